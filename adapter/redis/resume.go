package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/antchat/antchat/adapter"
)

const maxReplayBytes = 16 << 20

// Resume implements adapter.Membership. The claim must have been made on this
// node.
func (a *Adapter) Resume(ctx context.Context, namespace string, s adapter.Socket, o adapter.Owner, offset *adapter.Position) (*adapter.Replay, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	rec, ok := a.owned.claimed(o)
	if !ok {
		return nil, fmt.Errorf("resume: the session is another connection's: %w", adapter.ErrFenced)
	}
	if rec.Namespace != namespace || rec.SID != s.ID() {
		return nil, fmt.Errorf("resume: socket is not the session's: %w", adapter.ErrUnrecoverable)
	}
	op := a.newCut(namespace, s, &o)
	op.add, op.hold = true, true
	var from adapter.Position
	if offset != nil {
		from = *offset
	}
	for _, l := range a.lanes {
		p := op.part(l, "resume")
		p.tail = []any{from[l.n], a.o.MaxReplay, maxReplayBytes}
	}
	op.spread(rec.Rooms, "resume")
	op.lanes[a.laneOf(namespace, s.ID())].sid = true
	got, err := op.run(ctx)
	if err != nil {
		return nil, a.outcome2("resume", err)
	}
	replay, err := a.replay(op, rec, from, offset != nil, got)
	if err != nil {
		op.withdraw()
		return nil, fmt.Errorf("resume: %w", err)
	}
	a.owned.connected(o)
	for _, l := range a.lanes {
		l.pipe.control(l.call(lua().session, "here", o.PID, l.hasPID(o.PID), strconv.FormatUint(o.Token, 10)))
	}
	return replay, nil
}

// outcome2 is outcome for what may be unrecoverable.
func (a *Adapter) outcome2(what string, err error) error {
	if isUnrecoverable(err) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return a.outcome(what, err)
}

func (l *lane) hasPID(pid string) string {
	if l.a.laneOfPID(pid) == l {
		return "1"
	}
	return "0"
}

// lostBy says whether an offset is of a stretch of positions that a lane's
// store has forgotten: above a fork, below the start after it.
func lostBy(forks string, offset uint64) bool {
	n := 0
	oldest := uint64(0)
	for part := range strings.SplitSeq(forks, ";") {
		a, b, ok := strings.Cut(part, "-")
		if !ok {
			continue
		}
		fork, err1 := strconv.ParseUint(a, 10, 53)
		start, err2 := strconv.ParseUint(b, 10, 53)
		if err1 != nil || err2 != nil || fork < offset && offset < start {
			return true
		}
		if n == 0 {
			oldest = start
		}
		n++
	}
	return n >= 8 && offset < oldest // earlier ones were forgotten
}

// replay makes the answer of a resumption: lane by lane, in the order of
// positions over all rooms.
func (a *Adapter) replay(op *cutOp, rec *adapter.Session, offset adapter.Position, known bool, got map[*lane]reply) (*adapter.Replay, error) {
	joined := make(map[string]uint64, len(rec.Rooms))
	for _, r := range got {
		own := r.list(5)
		for i := 0; i+1 < len(own); i += 2 {
			if room, ok := strings.CutPrefix(own.text(i), "r:"); ok {
				joined[room] = own.number(i + 1)
			}
		}
	}
	out := &adapter.Replay{Rooms: rec.Rooms}
	at := offset
	for _, l := range a.lanes {
		r := got[l]
		c := r.number(1)
		if known && (offset[l.n] > c || lostBy(r.text(3), offset[l.n])) {
			return nil, fmt.Errorf("the offset is of a time that this store does not know: %w", adapter.ErrUnrecoverable)
		}
		var missed []*adapter.Delivery
		for _, x := range r.list(4) {
			set, _ := x.([]any)
			kind, name := reply(set).text(0), reply(set).text(1)
			if kind == "g" {
				losses, err := readLosses(reply(set).list(2))
				if err != nil {
					return nil, fmt.Errorf("%w: %w", adapter.ErrUnrecoverable, err)
				}
				for _, g := range losses {
					out.Lost = append(out.Lost, adapter.Gap{Namespace: op.namespace, Room: name, Epoch: g.epoch, From: g.from, To: g.to})
				}
				continue
			}
			for _, x := range reply(set).list(2) {
				d, err := l.missed(op, rec, kind, name, joined, x)
				if err != nil {
					return nil, fmt.Errorf("%w: %w", adapter.ErrUnrecoverable, err)
				}
				if d != nil {
					missed = append(missed, d)
				}
			}
		}
		slices.SortFunc(missed, func(x, y *adapter.Delivery) int { return cmp.Compare(x.Pos, y.Pos) })
		for _, d := range missed {
			at[l.n] = max(at[l.n], d.Pos)
			d.Position = at
		}
		at[l.n] = max(at[l.n], c)
		out.Missed = append(out.Missed, missed...)
	}
	if len(out.Missed) > a.o.MaxReplay {
		return nil, fmt.Errorf("too much was missed: %w", adapter.ErrUnrecoverable)
	}
	out.Position = at
	return out, nil
}

// missed reads one missed event; nil when it was not for this socket.
func (l *lane) missed(op *cutOp, rec *adapter.Session, kind, name string, joined map[string]uint64, x any) (*adapter.Delivery, error) {
	if kind == "s" {
		e, err := readLogEntry(x)
		if err != nil {
			return nil, err
		}
		return l.deliveryOf(op.namespace, name, &e)
	}
	pos, e, err := readKept(x)
	if err != nil {
		return nil, err
	}
	member := func(room string) bool {
		at, ok := joined[room]
		return room == rec.SID || ok && at < pos
	}
	if slices.ContainsFunc(e.target.Except, member) {
		return nil, nil
	}
	if name == "*" && len(e.target.Rooms) > 0 && !slices.ContainsFunc(e.target.Rooms, member) {
		return nil, nil
	}
	return &l.a.eventOf(l, e, adapter.Recoverable, pos).Delivery, nil
}
