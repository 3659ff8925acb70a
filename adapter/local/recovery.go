package local

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

const maxReplayBytes = 16 << 20

// missing is one room's part of a recovery: the log entries with a position
// above from.
type missing struct {
	view
	from uint64
}

// Resume implements adapter.Membership. After an error the socket is not
// added, but it may have been held: it must not be used again.
func (a *Adapter) Resume(ctx context.Context, namespace string, s adapter.Socket, o adapter.Owner, offset *adapter.Position) (*adapter.Replay, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	c := &roomindex.Cut{Namespace: namespace, Socket: s, Add: true, Session: &o, Hold: true}
	var logs []missing
	var missed []*adapter.Delivery
	pos, err := a.passCut(ctx, c, &o, func(pos uint64) error {
		start, rooms, err := a.sessions.resumable(o, namespace, s.ID())
		if err != nil {
			return err
		}
		from := uint64(0)
		if offset != nil {
			if from = offset[0]; from > pos || a.forks.lost(from) {
				return unrecoverable("the offset is of a time that this store does not know")
			}
		}
		for _, j := range rooms {
			c.Rooms = append(c.Rooms, j.room)
		}
		c.After = func([]string) { a.sessions.connected(&o) }
		if logs, err = a.stream.missedLogs(namespace, rooms, from); err != nil {
			return err
		}
		if err = a.loose.check(namespace, s.ID(), start, rooms, from); err != nil {
			return err
		}
		missed, err = a.stream.kept.missed(namespace, s.ID(), start, rooms, from, a.o.MaxReplay)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("resume: %w", err)
	}
	for _, m := range logs {
		if missed, err = a.readMissed(missed, m); err != nil {
			a.Remove(namespace, s)
			return nil, fmt.Errorf("resume: %w", err)
		}
	}
	slices.SortFunc(missed, func(x, y *adapter.Delivery) int { return cmp.Compare(x.Pos, y.Pos) })
	return &adapter.Replay{Missed: missed, Rooms: c.Rooms, Position: adapter.Position{pos}}, nil
}

func unrecoverable(why string) error { return fmt.Errorf("%s: %w", why, adapter.ErrUnrecoverable) }

// missedLogs says what to read of each room's log, and refuses when some of it
// has been trimmed.
func (s *stream) missedLogs(namespace string, rooms []joined, offset uint64) ([]missing, error) {
	var out []missing
	for _, j := range rooms {
		from := max(offset, j.pos)
		v := s.viewLocked(roomKey{namespace, j.room})
		trimmed := s.forgotten
		if v.log != nil {
			trimmed = v.trimmed
		}
		if from < trimmed {
			return nil, unrecoverable("missed messages were trimmed away")
		}
		if v.log != nil && v.last >= v.first && v.lastPos > from {
			out = append(out, missing{view: v, from: from})
		}
	}
	return out, nil
}

// readMissed appends a room's missed entries, newest first, reading backwards
// from the cut.
func (a *Adapter) readMissed(missed []*adapter.Delivery, m missing) ([]*adapter.Delivery, error) {
	over := false
	var bytes int
	for _, d := range missed {
		bytes += d.Event.Size()
	}
	next := m.last
	reached := false
	err := a.store.scan(m.log, m.first, m.last, true, func(d *adapter.Delivery) bool {
		if d.Pos <= m.from {
			reached = true
			return false
		}
		if d.Seq != next {
			return false // a hole: trimmed meanwhile
		}
		next--
		bytes += d.Event.Size()
		if len(missed) >= a.o.MaxReplay || bytes > maxReplayBytes {
			over = true
			return false
		}
		missed = append(missed, d)
		return true
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", adapter.ErrUnrecoverable, wrapRead(err))
	case over:
		return nil, unrecoverable("too much was missed")
	case !reached && next >= m.first:
		return nil, unrecoverable("missed messages were trimmed away")
	}
	return missed, nil
}

// missed returns the recoverable emits that a session has missed.
func (r *rings) missed(namespace, sid string, start uint64, rooms []joined, offset uint64, limit int) ([]*adapter.Delivery, error) {
	var out []*adapter.Delivery
	// A ring is read from its newest event backwards.
	read := func(key roomKey, from uint64, mine func(k *keptEvent) bool) error {
		if from < r.trimmedTo(key) {
			return unrecoverable("missed events are not kept any more")
		}
		g := r.rings[key]
		if g == nil {
			return nil
		}
		for _, k := range slices.Backward(g.events.all()) {
			if k.pos <= from {
				break
			}
			if !mine(k) || k.excepts(sid, rooms) {
				continue
			}
			if len(out) >= limit {
				return unrecoverable("too much was missed")
			}
			out = append(out, k.delivery(namespace))
		}
		return nil
	}
	any := func(*keptEvent) bool { return true }
	for _, j := range rooms {
		if j.room == "" {
			continue // its emits stand with those to several rooms, below
		}
		if err := read(roomKey{namespace, j.room}, max(offset, j.pos), any); err != nil {
			return nil, err
		}
	}
	if err := read(roomKey{namespace, sid}, max(offset, start), any); err != nil {
		return nil, err
	}
	err := read(roomKey{namespace, ""}, max(offset, start), func(k *keptEvent) bool {
		if len(k.rooms) == 0 || slices.Contains(k.rooms, sid) {
			return true
		}
		return slices.ContainsFunc(rooms, func(j joined) bool {
			return j.pos < k.pos && slices.Contains(k.rooms, j.room)
		})
	})
	return out, err
}

func (k *keptEvent) excepts(sid string, rooms []joined) bool {
	if len(k.except) == 0 {
		return false
	}
	return slices.Contains(k.except, sid) || slices.ContainsFunc(rooms, func(j joined) bool {
		return j.pos < k.pos && slices.Contains(k.except, j.room)
	})
}

func (k *keptEvent) delivery(namespace string) *adapter.Delivery {
	return &adapter.Delivery{
		Namespace: namespace, Event: k.event, Class: adapter.Recoverable,
		Pos: k.pos, Position: adapter.Position{k.pos},
	}
}
