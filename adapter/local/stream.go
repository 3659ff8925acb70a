package local

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// posPerMilli: a position is the store's clock in milliseconds times this, or
// the last position plus one if that is more (DELIVERY, "Append", step 5).
const posPerMilli = 2048

// Set aside is how many positions emits may take while a commit is under way.
// One that finds them used up waits for the commit.
const (
	setAsideDisk   = 2048
	setAsideMemory = 64 // a commit takes microseconds
)

// stream gives out positions. Whatever has one, and every cut, is pushed to
// the sequencer under its lock, so that positions, cuts and the order of
// deliveries agree.
type stream struct {
	seq      *roomindex.Sequencer
	setAside uint64

	mu  sync.Mutex // held briefly; nothing blocks under it
	pos uint64     // last position given out and published
	// limit is the last position that an emit may take: below the positions
	// of the commit under way, MaxUint64 when there is none.
	limit   uint64
	settled chan struct{} // closed at the end of the commit; nil while nobody waits

	logs     map[roomKey]*roomLog
	logNames map[string][]string // by namespace, ascending
	// forgotten is the highest head.trimmed of rooms whose whole log is gone.
	forgotten uint64
	kept      rings
}

// now is the last position given out and published.
func (s *stream) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pos
}

// next returns the position after p at a time.
func next(p uint64, nowMilli int64) uint64 { return max(p+1, uint64(nowMilli)*posPerMilli) }

// emit publishes an event that is not logged. It waits only for a place below
// the commit under way, and only if the event takes one.
func (s *stream) emit(ctx context.Context, ev *roomindex.Event, keep bool, nowMilli int64) error {
	s.mu.Lock()
	for keep {
		p := s.pos + 1
		if s.limit == math.MaxUint64 {
			p = next(s.pos, nowMilli)
		}
		if p <= s.limit {
			s.pos = p
			ev.Delivery.Pos = p
			s.kept.add(p, nowMilli, ev)
			break
		}
		if s.settled == nil {
			s.settled = make(chan struct{})
		}
		settled := s.settled
		s.mu.Unlock()
		select {
		case <-settled:
		case <-ctx.Done():
			return fmt.Errorf("wait for a commit: %w", context.Cause(ctx))
		}
		s.mu.Lock()
	}
	ok := s.seq.Push(ev)
	s.mu.Unlock()
	if !ok {
		return adapter.ErrClosed
	}
	return nil
}

// cut pushes a marker and returns the cut's position: every item at or below
// it has been pushed before the marker. look, when set, runs at the cut, under
// the lock.
func (s *stream) cut(it roomindex.Item, look func(pos uint64) error) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if look != nil {
		if err := look(s.pos); err != nil {
			return 0, err
		}
	}
	if !s.seq.Push(it) {
		return 0, adapter.ErrClosed
	}
	return s.pos, nil
}

// beginCommit sets positions aside for emits and returns the position below
// the commit's first.
func (s *stream) beginCommit(nowMilli int64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = next(s.pos, nowMilli) + s.setAside
	return s.limit
}

// endCommit publishes what was committed; apply runs under the lock. upTo is
// the highest position that the commit may have used, committed or not: a
// failed commit's positions are never used again.
func (s *stream) endCommit(upTo uint64, events []*roomindex.Event, apply func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if apply != nil {
		apply()
	}
	for _, ev := range events {
		s.seq.Push(ev)
	}
	s.pos = max(s.pos, upTo)
	s.limit = math.MaxUint64
	if s.settled != nil {
		close(s.settled)
		s.settled = nil
	}
}

// addLogLocked makes a room's log known.
func (s *stream) addLogLocked(l *roomLog) {
	s.logs[l.roomKey] = l
	names := s.logNames[l.namespace]
	if i, found := slices.BinarySearch(names, l.room); !found {
		s.logNames[l.namespace] = slices.Insert(names, i, l.room)
	}
}

// dropLogLocked forgets a room whose log has no entries left.
func (s *stream) dropLogLocked(l *roomLog) {
	s.forgotten = max(s.forgotten, l.head.trimmed)
	delete(s.logs, l.roomKey)
	names := s.logNames[l.namespace]
	if i, found := slices.BinarySearch(names, l.room); found {
		names = slices.Delete(names, i, i+1)
	}
	if len(names) == 0 {
		delete(s.logNames, l.namespace)
	} else {
		s.logNames[l.namespace] = names
	}
}

// applyLocked makes a committed batch visible.
func (s *stream) applyLocked(b *batch, fresh map[roomKey]*roomLog) {
	for _, l := range fresh {
		s.addLogLocked(l)
	}
	for l, h := range b.heads {
		l.head = *h
	}
	for _, l := range b.dropped {
		s.dropLogLocked(l)
	}
}

func (s *stream) countLogs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.logs)
}

func (s *stream) forgottenPos() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forgotten
}

// agedLogs returns the rooms that may hold entries from before a time.
func (s *stream) agedLogs(old int64) []view {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []view
	for _, l := range s.logs {
		if l.head.firstAt < old {
			out = append(out, view{log: l, head: l.head})
		}
	}
	return out
}
