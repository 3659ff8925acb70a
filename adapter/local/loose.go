package local

import (
	"context"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
)

// maxLoose bounds the rooms that are declared one by one; further ones declare
// the whole namespace.
const maxLoose = 65536

// loose makes the loss of recoverable emits provable. They live in memory
// only, so a kill loses them, and whoever comes back could not tell whether it
// missed one. Therefore a room is declared on disk before its first
// recoverable emit is published (the emit waits for that one commit), and the
// declaration is withdrawn when the room has been quiet for long, or at a
// clean close, which writes the emits themselves. What is still declared at
// the next start was lost: sessions of those rooms are not recovered. Rooms
// with nothing but logged messages are never declared, and their sessions
// recover after a kill too.
type loose struct {
	durable  bool
	keepTime time.Duration

	mu       sync.Mutex
	declared map[roomKey]int64 // last use, Unix milliseconds
	pending  map[roomKey]bool  // true: to be written, false: to be deleted
	// lost says up to which position emits to a room may have been lost by an
	// earlier run.
	lost map[roomKey]uint64
}

func newLoose(durable bool, window time.Duration) *loose {
	return &loose{
		durable: durable,
		// Long enough that every session that was connected at the room's
		// last emit has been seen to be lost and has expired.
		keepTime: 2*window + 5*time.Minute,
		declared: make(map[roomKey]int64),
		pending:  make(map[roomKey]bool),
		lost:     make(map[roomKey]uint64),
	}
}

// declare makes sure that the room's declaration is on disk.
func (l *loose) declare(ctx context.Context, key roomKey, nowMilli int64, sync func(context.Context) error) error {
	if !l.durable {
		return nil
	}
	for {
		l.mu.Lock()
		if _, ok := l.declared[key]; !ok && len(l.declared)+len(l.pending) >= maxLoose {
			key.room = ""
		}
		if _, ok := l.declared[key]; ok {
			l.declared[key] = nowMilli
			l.mu.Unlock()
			return nil
		}
		l.pending[key] = true
		l.mu.Unlock()
		if err := sync(ctx); err != nil {
			return err
		}
	}
}

// withdraw takes back declarations that have not been used for long.
func (l *loose) withdraw(nowMilli int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, used := range l.declared {
		if nowMilli-used > l.keepTime.Milliseconds() {
			delete(l.declared, key)
			l.pending[key] = false
		}
	}
}

func (l *loose) take() map[roomKey]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil
	}
	p := l.pending
	l.pending = make(map[roomKey]bool)
	return p
}

// written notes that taken changes are durable; failed gives them back.
func (l *loose) written(p map[roomKey]bool, nowMilli int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, put := range p {
		if put {
			l.declared[key] = nowMilli
		}
	}
}

func (l *loose) failed(p map[roomKey]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, put := range p {
		if _, newer := l.pending[key]; !newer {
			l.pending[key] = put
		}
	}
}

// check refuses a session that may have missed a lost emit.
func (l *loose) check(namespace, sid string, start uint64, rooms []joined, offset uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lost) == 0 {
		return nil
	}
	lost := max(offset, start) < l.lost[roomKey{namespace, ""}] || max(offset, start) < l.lost[roomKey{namespace, sid}]
	for _, j := range rooms {
		lost = lost || max(offset, j.pos) < l.lost[roomKey{namespace, j.room}]
	}
	if lost {
		return unrecoverable("missed events may have been lost when the node was killed")
	}
	return nil
}

// forks are the stretches of positions that earlier runs may have given out
// without leaving a trace: above what was on disk when they were killed, below
// where the next run started (DELIVERY, "Recovery": "fork < offset < start").
// Immutable after the start.
type forks []fork

type fork struct{ fork, start uint64 }

// maxForks is how many are remembered: kills within one window. When one is
// forgotten, every offset below its start is refused.
const maxForks = 32

func (f forks) lost(offset uint64) bool {
	for _, k := range f {
		if k.fork < offset && offset < k.start {
			return true
		}
	}
	return len(f) >= maxForks && offset < f[0].start
}

var _ adapter.Adapter = (*Adapter)(nil)
