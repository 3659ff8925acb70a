package local

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/antchat/antchat/adapter"
)

const maxReadBytes = 8 << 20

// ErrDamaged: an entry on disk is not what was written. It is never delivered.
var ErrDamaged = errors.New("local: damaged entry on disk")

type roomKey struct{ namespace, room string }

// roomLog is a room that has a log. The fields of head are guarded by the
// stream's lock; the others are immutable.
type roomLog struct {
	roomKey
	id    uint64 // names the room on disk
	epoch string
	head  head
	// gone is the seq below which entries may be missing from the store: read
	// by scans, ahead of head.first.
	gone mark
}

// head says what a room's log holds: the entries first to last, none when
// first is last+1.
type head struct {
	first, last uint64
	// trimmed is the position of the newest entry that is gone: a client that
	// needs one at or below it has lost something.
	trimmed uint64
	lastPos uint64
	lastAt  int64 // Unix milliseconds of the newest entry
	firstAt int64 // a lower bound for the oldest one's, 0 when unknown
}

// view is a head at one moment, together with its room.
type view struct {
	log *roomLog
	head
}

// view returns a room's head; log is nil when it was never written to.
func (s *stream) view(k roomKey) view {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.viewLocked(k)
}

func (s *stream) viewLocked(k roomKey) view {
	l := s.logs[k]
	if l == nil {
		return view{}
	}
	return view{log: l, head: l.head}
}

// Read implements adapter.Log.
func (a *Adapter) Read(ctx context.Context, namespace, room string, r adapter.LogRead) (*adapter.LogSlice, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	return a.read(a.stream.view(roomKey{namespace, room}), namespace, room, r)
}

// read reads a part of a room's log as it was at v.
func (a *Adapter) read(v view, namespace, room string, r adapter.LogRead) (*adapter.LogSlice, error) {
	limit := min(max(r.Limit, 1), a.o.MaxRead)
	out := &adapter.LogSlice{Room: room}
	gap := func(from, to uint64) {
		epoch := r.Epoch
		if epoch == "" {
			epoch = out.Epoch
		}
		out.Gap = &adapter.Gap{Namespace: namespace, Room: room, Epoch: epoch, From: from, To: to}
	}
	if v.log == nil {
		// A client that knows an epoch has seen entries that are no more.
		if r.After != nil && (r.Epoch != "" || *r.After > 0) {
			gap(*r.After+1, *r.After+1)
		}
		return out, nil
	}
	out.Epoch, out.Head = v.log.epoch, v.last
	foreign := r.Epoch != "" && r.Epoch != v.log.epoch
	if r.After == nil {
		to := v.last
		if r.Before > 0 {
			if foreign {
				// Everything below Before was of an epoch that is gone.
				if r.Before > 1 {
					gap(1, r.Before-1)
				}
				return out, nil
			}
			to = min(to, r.Before-1)
		}
		return out, a.readNewest(out, v, to, limit)
	}
	from := *r.After + 1
	switch {
	case foreign:
		// Where the lost epoch ended is not known here: at least its next
		// entry is lost, and what there is now starts at the beginning.
		gap(from, from)
		from = v.first
	case *r.After > v.last:
		gap(v.last+1, *r.After)
		return out, nil
	case from < v.first:
		gap(from, v.first-1)
		from = v.first
	}
	return out, a.readForward(out, v, from, limit)
}

func (a *Adapter) readNewest(out *adapter.LogSlice, v view, to uint64, limit int) error {
	if to < v.first {
		return nil
	}
	size := 0
	err := a.store.scan(v.log, v.first, to, true, func(d *adapter.Delivery) bool {
		size += d.Event.Size()
		if len(out.Entries) == limit || (len(out.Entries) > 0 && size > maxReadBytes) {
			out.More = true
			return false
		}
		out.Entries = append(out.Entries, d)
		return true
	})
	slices.Reverse(out.Entries)
	return wrapRead(err)
}

func (a *Adapter) readForward(out *adapter.LogSlice, v view, from uint64, limit int) error {
	if from > v.last {
		return nil
	}
	size, next := 0, from
	err := a.store.scan(v.log, from, v.last, false, func(d *adapter.Delivery) bool {
		if d.Seq != next && out.Gap == nil {
			// Trimmed between the look at the head and this read.
			out.Gap = &adapter.Gap{Namespace: v.log.namespace, Room: v.log.room, Epoch: v.log.epoch, From: next, To: d.Seq - 1}
		} else if d.Seq != next {
			out.Gap.To = d.Seq - 1
		}
		next = d.Seq + 1
		size += d.Event.Size()
		if len(out.Entries) == limit || (len(out.Entries) > 0 && size > maxReadBytes) {
			out.More = true
			return false
		}
		out.Entries = append(out.Entries, d)
		return true
	})
	return wrapRead(err)
}

func wrapRead(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read room log: %w", err)
}

// Head implements adapter.Log.
func (a *Adapter) Head(ctx context.Context, namespace, room string) (adapter.RoomHead, error) {
	if err := a.usable(ctx); err != nil {
		return adapter.RoomHead{}, err
	}
	h := adapter.RoomHead{Room: room}
	if v := a.stream.view(roomKey{namespace, room}); v.log != nil {
		h.Epoch, h.Seq = v.log.epoch, v.last
	}
	return h, nil
}

// LogRooms implements adapter.Log.
func (a *Adapter) LogRooms(ctx context.Context, namespace, after string, limit int) ([]adapter.RoomHead, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock()
	names := page(a.stream.logNames[namespace], after, min(limit, a.o.MaxRead))
	out := make([]adapter.RoomHead, 0, len(names))
	for _, name := range names {
		l := a.stream.logs[roomKey{namespace, name}]
		out = append(out, adapter.RoomHead{Room: name, Epoch: l.epoch, Seq: l.head.last})
	}
	return out, nil
}

// page returns at most limit of sorted names, strictly after one of them.
func page(names []string, after string, limit int) []string {
	i, found := slices.BinarySearch(names, after)
	if found && after != "" {
		i++
	}
	rest := names[i:]
	return rest[:min(max(limit, 0), len(rest))]
}
