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

// readArgs are kind, bound and limit of the script's readlog. One entry more
// than wanted tells whether there is more.
func (a *Adapter) readArgs(r adapter.LogRead) []any {
	if r.After != nil {
		return []any{"a", min(*r.After, 1<<52), a.limit(r) + 1}
	}
	return []any{"n", min(r.Before, 1<<52), a.limit(r) + 1}
}

const maxReadBytes = 8 << 20

// slice makes the answer to a read of what the script found.
func (l *lane) slice(namespace, room string, q adapter.LogRead, r reply) (*adapter.LogSlice, error) {
	if len(r) < 8 {
		return nil, errWire
	}
	out := &adapter.LogSlice{Room: room, Epoch: r.text(0), Head: r.number(1)}
	before, forkSeq, first := r.text(2), r.number(3), r.number(4)
	gap := func(from, to uint64) {
		epoch := q.Epoch
		if epoch == "" {
			epoch = out.Epoch
		}
		out.Gap = &adapter.Gap{Namespace: namespace, Room: room, Epoch: epoch, From: from, To: to}
	}
	limit := l.a.limit(q)
	if out.Epoch == "" {
		// Nothing is left of what the asker knew, if it knew anything.
		if q.After != nil && (q.Epoch != "" || *q.After > 0) {
			gap(1, *q.After+1)
		}
		return out, nil
	}
	// (epoch, seq) is valid if the first that exists of its entry, the next
	// entry and the head has that epoch (DELIVERY, "Epoch").
	valid := q.Epoch == ""
	if !valid {
		at := out.Epoch
		for _, e := range []string{r.text(6), r.text(5)} {
			if e != "" {
				at = e
			}
		}
		valid = at == q.Epoch
	}
	list := r.list(7)
	if q.After == nil {
		if q.Before > 0 && !valid {
			if q.Before > 1 {
				gap(1, q.Before-1)
			}
			return out, nil
		}
		err := l.fill(out, namespace, room, list, limit)
		slices.Reverse(out.Entries)
		return out, err
	}
	after := *q.After
	from := after + 1
	switch {
	case !valid && before == q.Epoch:
		// What the client has seen beyond the fork is of a log that is gone.
		gap(forkSeq+1, max(after, forkSeq+1))
		return out, l.readAgain(out, namespace, room, min(after, forkSeq), limit)
	case !valid:
		// Its epoch is none of the last two: look for where it ends.
		shared, err := l.lastOf(namespace, room, q.Epoch, after)
		if err != nil {
			return nil, err
		}
		// How far that epoch went is not known: at least one more, so that
		// nobody who missed something takes it for complete.
		gap(shared+1, max(from, max(first, 1)-1))
		return out, l.readAgain(out, namespace, room, shared, limit)
	case after > out.Head:
		gap(out.Head+1, after)
		return out, nil
	case first == 0 && out.Head > after:
		gap(from, out.Head) // the whole stream has aged away
		return out, nil
	case from < first:
		gap(from, first-1)
	}
	return out, l.fill(out, namespace, room, list, limit)
}

// lookBack bounds how many entries lastOf reads.
const lookBack = 1000

// lastOf is the newest seq up to bound whose entry still has an epoch. When
// there is none among the entries left, it is the seq before them: what was
// trimmed may have had it.
func (l *lane) lastOf(namespace, room, epoch string, bound uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(l.a.ctx, l.a.o.Timeout)
	defer cancel()
	v, err := l.eval(ctx, true, lua().read, fullName(namespace, room), "n", min(bound, 1<<52)+1, lookBack)
	if err != nil {
		return 0, err
	}
	r, err := asReply(v)
	if err != nil || len(r) < 8 {
		return 0, errWire
	}
	var low uint64
	for _, x := range r.list(7) {
		e, err := readLogEntry(x)
		if err != nil {
			return 0, err
		}
		if e.epoch == epoch {
			return e.seq, nil
		}
		low = e.seq - 1
	}
	return low, nil
}

// readAgain reads forward from another seq than was asked for. Entries only go
// at the front, which fill tells, and come at the end, past the head.
func (l *lane) readAgain(out *adapter.LogSlice, namespace, room string, after uint64, limit int) error {
	ctx, cancel := context.WithTimeout(l.a.ctx, l.a.o.Timeout)
	defer cancel()
	v, err := l.eval(ctx, true, lua().read, fullName(namespace, room), "a", after, limit+1)
	if err != nil {
		return err
	}
	r, err := asReply(v)
	if err != nil || len(r) < 8 {
		return errWire
	}
	list := r.list(7)
	list = slices.DeleteFunc(list, func(x any) bool {
		e, err := readLogEntry(x)
		return err == nil && e.seq > out.Head
	})
	return l.fill(out, namespace, room, list, limit)
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
