package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter"
)

// newEpoch is a candidate: the script takes it when the room begins one.
func newEpoch() string {
	var raw [6]byte
	rand.Read(raw[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// Append implements adapter.Log.
func (a *Adapter) Append(ctx context.Context, e adapter.Append) (adapter.Appended, error) {
	h := a.o.Hooks.Appended
	if h == nil {
		return a.append(ctx, e)
	}
	began := time.Now()
	got, err := a.append(ctx, e)
	if errors.Is(err, adapter.ErrConflict) || errors.Is(err, adapter.ErrFenced) {
		h(time.Since(began), nil)
	} else {
		h(time.Since(began), err)
	}
	return got, err
}

func (a *Adapter) append(ctx context.Context, e adapter.Append) (adapter.Appended, error) {
	if err := a.usable(ctx); err != nil {
		return adapter.Appended{}, err
	}
	body := entryBody(&e)
	if len(body) > a.o.MaxEntry {
		return adapter.Appended{}, fmt.Errorf("append: entry of %d bytes, %d are allowed: %w", len(body), a.o.MaxEntry, adapter.ErrFull)
	}
	l := a.laneOf(e.Namespace, e.Room)
	pid, token := "", "0"
	if e.Owner != nil {
		pid, token = e.Owner.PID, strconv.FormatUint(e.Owner.Token, 10)
	}
	wait := "0"
	if a.o.AckReplicas > 0 {
		wait = "1"
	}
	cmd := l.call(lua().append, fullName(e.Namespace, e.Room), newEpoch(), e.Key, hex.EncodeToString(e.Digest[:]),
		a.o.DedupeWindow.Milliseconds(), body, a.o.LogMax, a.o.LogAge.Milliseconds(), pid, token, wait,
		max(1, min(64, a.o.LogMax/10)))
	if e.Trace != "" {
		cmd = append(cmd, e.Trace)
	}
	// Without a key an entry whose fate is unknown must not be sent twice.
	v, err := l.pipe.do(ctx, &op{cmd: cmd, wait: true, once: e.Key == ""})
	if err != nil {
		return adapter.Appended{}, a.outcome("append", err)
	}
	r, err := asReply(v)
	if err != nil {
		return adapter.Appended{}, a.outcome("append", err)
	}
	switch r.text(0) {
	case "ok", "dup":
		l.witness.note(fullName(e.Namespace, e.Room), r.text(1), r.number(2))
		return adapter.Appended{
			Epoch: r.text(1), Seq: r.number(2), Lane: l.n, Pos: r.number(3),
			Time: time.UnixMilli(int64(r.number(4))), Duplicate: r.text(0) == "dup",
		}, nil
	case "dead":
		a.reaped(lifeOf(cmd))
		return adapter.Appended{}, fmt.Errorf("append: this node was reaped: %w", adapter.ErrFenced)
	case "fenced":
		return adapter.Appended{}, fmt.Errorf("append: %w", adapter.ErrFenced)
	case "conflict":
		return adapter.Appended{}, fmt.Errorf("append: %w", adapter.ErrConflict)
	}
	return adapter.Appended{}, a.outcome("append", errWire)
}

// Read implements adapter.Log.
func (a *Adapter) Read(ctx context.Context, namespace, room string, r adapter.LogRead) (*adapter.LogSlice, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	l := a.laneOf(namespace, room)
	v, err := l.eval(ctx, true, lua().read, append([]any{fullName(namespace, room)}, a.readArgs(r)...)...)
	if err != nil {
		return nil, a.outcome("read room log", err)
	}
	got, err := asReply(v)
	if err != nil {
		return nil, a.outcome("read room log", err)
	}
	s, err := l.slice(namespace, room, r, got)
	if err != nil {
		return nil, a.outcome("read room log", err)
	}
	return s, nil
}

func (a *Adapter) limit(r adapter.LogRead) int { return min(max(r.Limit, 1), a.o.MaxRead) }

// readArgs are kind, bound, limit and epoch of the script's readlog. One entry
// more than wanted tells whether there is more.
func (a *Adapter) readArgs(r adapter.LogRead) []any {
	if r.After != nil {
		return []any{"a", min(*r.After, 1<<52), a.limit(r) + 1, r.Epoch}
	}
	return []any{"n", min(r.Before, 1<<52), a.limit(r) + 1, r.Epoch}
}

const maxReadBytes = 8 << 20

// slice makes the answer to a read of what the script found: which part of the
// log is the same in the asker's epoch, up to same, and what comes after it.
func (l *lane) slice(namespace, room string, q adapter.LogRead, r reply) (*adapter.LogSlice, error) {
	if len(r) < 7 {
		return nil, errWire
	}
	out := &adapter.LogSlice{Room: room, Epoch: r.text(0), Head: r.number(1)}
	first, known, same := r.number(2), r.text(3) == "1", r.number(4)
	limit := l.a.limit(q)
	if q.After == nil {
		if before := q.Before; before > 0 && q.Epoch != "" && out.Epoch != "" && (!known || same < before-1) {
			if before > 1 {
				out.Gap = &adapter.Gap{Namespace: namespace, Room: room, Epoch: q.Epoch, From: 1, To: before - 1}
			}
			return out, nil
		}
		err := l.fill(out, namespace, room, r.list(6), limit)
		slices.Reverse(out.Entries)
		return out, err
	}
	losses, err := readLosses(r.list(5))
	if err != nil {
		return nil, err
	}
	after, epoch := *q.After, q.Epoch
	if epoch == "" {
		epoch = out.Epoch
	}
	var from, to uint64 // what was asked for and is not there
	switch {
	case out.Epoch == "":
		// Nothing is left of what the asker knew, if it knew anything.
		if q.Epoch != "" || after > 0 {
			from, to = 1, after+1
		}
	case !known:
		// How far that epoch went is not known: at least one more, so that
		// nobody who missed something takes it for complete.
		from, to = same+1, max(after+1, max(first, 1)-1)
	case same < after && first == 0:
		from, to = same+1, max(after, out.Head)
	case same < after:
		from, to = same+1, max(after, first-1)
	case first == 0 && out.Head > after:
		from, to = after+1, out.Head // the whole stream has aged away
	case first > after+1:
		from, to = after+1, first-1
	}
	for _, g := range losses {
		if from > 0 && g.epoch == epoch && g.from <= to+1 && g.to >= from {
			to = max(to, g.to)
			continue
		}
		out.Lost = append(out.Lost, adapter.Gap{Namespace: namespace, Room: room, Epoch: g.epoch, From: g.from, To: g.to})
	}
	if from > 0 {
		out.Gap = &adapter.Gap{Namespace: namespace, Room: room, Epoch: epoch, From: from, To: to}
	}
	return out, l.fill(out, namespace, room, r.list(6), limit)
}

func (l *lane) fill(out *adapter.LogSlice, namespace, room string, list reply, limit int) error {
	size := 0
	for _, x := range list {
		e, err := readLogEntry(x)
		if err != nil {
			return err
		}
		size += len(e.body)
		if len(out.Entries) == limit || len(out.Entries) > 0 && size > maxReadBytes {
			out.More = true
			break
		}
		d, err := l.deliveryOf(namespace, room, &e)
		if err != nil {
			return err
		}
		out.Entries = append(out.Entries, d)
	}
	return nil
}

// Head implements adapter.Log.
func (a *Adapter) Head(ctx context.Context, namespace, room string) (adapter.RoomHead, error) {
	if err := a.usable(ctx); err != nil {
		return adapter.RoomHead{}, err
	}
	v, err := a.laneOf(namespace, room).eval(ctx, true, lua().heads, "named", fullName(namespace, room))
	if err != nil {
		return adapter.RoomHead{}, a.outcome("read head", err)
	}
	r, err := asReply(v)
	if err != nil || len(r) != 2 {
		return adapter.RoomHead{}, a.outcome("read head", errWire)
	}
	return adapter.RoomHead{Room: room, Epoch: r.text(0), Seq: r.number(1)}, nil
}

// LogRooms implements adapter.Log.
func (a *Adapter) LogRooms(ctx context.Context, namespace, after string, limit int) ([]adapter.RoomHead, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	out := []adapter.RoomHead{}
	limit = min(max(limit, 0), a.o.MaxRead)
	for _, l := range a.lanes {
		for from := after; ; {
			got, err := l.page(ctx, lua().heads, "list", namespace, from, limit, 3)
			if err != nil {
				return nil, a.outcome("list rooms", err)
			}
			stale := false // rooms that aged away were still listed
			for r := range slices.Chunk(got, 3) {
				from = roomOf(namespace, r.text(0))
				if r.text(1) == "" {
					stale = true
					continue
				}
				out = append(out, adapter.RoomHead{Room: from, Epoch: r.text(1), Seq: r.number(2)})
			}
			if !stale {
				break
			}
		}
	}
	slices.SortFunc(out, func(x, y adapter.RoomHead) int { return cmp.Compare(x.Room, y.Room) })
	return out[:min(limit, len(out))], nil
}

func roomOf(namespace, full string) string { return strings.TrimPrefix(full, namespace+",") }

// page reads a page of a namespace's names in order, strictly after one of
// them, each with its facts.
func (l *lane) page(ctx context.Context, s *script, op, namespace, after string, limit, each int) (reply, error) {
	if limit == 0 {
		return nil, nil
	}
	low, high := "["+fullName(namespace, ""), "("+namespace+"-" // '-' follows ','
	if after != "" {
		low = "(" + fullName(namespace, after)
	}
	v, err := l.eval(ctx, true, s, op, low, high, limit)
	if err != nil {
		return nil, err
	}
	r, err := asReply(v)
	if err == nil && len(r)%each != 0 {
		err = errWire
	}
	return r, err
}
