package engineio

import (
	"sync"
	"sync/atomic"
	"time"
)

// wheel holds every deadline of a server: heartbeats, held polls, upgrades,
// closings. Adding and removing cost O(1) and no memory beyond the entry, which
// lies inside what it times; one goroutine turns it, and sleeps while it is
// empty.
//
// Deadlines are kept to within one tick, early rather than late: a peer that
// counts the same time finds it already passed.
type wheel struct {
	tick  time.Duration
	start time.Time
	// now is the time of the last turn, in nanoseconds since start: a clock that
	// costs one load and is at most a tick behind, or any time behind while the
	// wheel is empty.
	now atomic.Int64

	mu    sync.Mutex
	slots [wheelSlots]*entry
	done  int64 // ticks below this one have been fired
	count int

	fired []timed // owned by run

	wake chan struct{} // never closed
	stop chan struct{}
	end  chan struct{} // closed when the goroutine has ended
}

const wheelSlots = 512

// entry is a place on the wheel. The zero value is not on it.
type entry struct {
	// guarded by wheel.mu
	prev, next *entry
	due        int64 // tick; 0: not on the wheel

	owner timed
}

// timed is what an entry belongs to. expired runs on the wheel's goroutine: it
// must not block, and must find out for itself whether it still applies, since
// the entry may have been removed a moment before.
type timed interface{ expired() }

// newWheel starts a wheel whose shortest deadline of importance is shortest.
func newWheel(shortest time.Duration) *wheel {
	w := &wheel{
		tick:  min(max(shortest/16, 5*time.Millisecond), 50*time.Millisecond),
		start: time.Now(),
		wake:  make(chan struct{}, 1),
		stop:  make(chan struct{}),
		end:   make(chan struct{}),
	}
	go w.run()
	return w
}

// close stops the wheel and waits for its goroutine. Entries left never fire.
func (w *wheel) close() {
	close(w.stop)
	<-w.end
}

// clock is the precise time, in nanoseconds since start.
func (w *wheel) clock() int64 { return int64(time.Since(w.start)) }

// tickOf numbers ticks from 1.
func (w *wheel) tickOf(clock int64) int64 { return clock/int64(w.tick) + 1 }

// set puts e on the wheel, or moves it, to expire in d.
func (w *wheel) set(e *entry, d time.Duration) {
	now := w.clock()
	w.mu.Lock()
	if e.due != 0 {
		w.unlink(e)
	}
	if w.count == 0 {
		// Nobody has turned the empty wheel: start from here.
		w.done = w.tickOf(now)
		w.now.Store(now)
	}
	e.due = max(w.tickOf(now+int64(d)), w.done)
	slot := &w.slots[e.due%wheelSlots]
	e.prev, e.next = nil, *slot
	if e.next != nil {
		e.next.prev = e
	}
	*slot = e
	w.count++
	first := w.count == 1
	w.mu.Unlock()
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// remove takes e off the wheel. Its expired may be running, or about to.
func (w *wheel) remove(e *entry) {
	w.mu.Lock()
	if e.due != 0 {
		w.unlink(e)
	}
	w.mu.Unlock()
}

// unlink is called with w.mu held.
func (w *wheel) unlink(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		w.slots[e.due%wheelSlots] = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	e.prev, e.next, e.due = nil, nil, 0
	w.count--
}

func (w *wheel) run() {
	defer close(w.end)
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
		}
		if w.turn() {
			continue
		}
		ticker.Stop()
		select {
		case <-w.stop:
			return
		case <-w.wake:
		}
		ticker.Reset(w.tick)
	}
}

// turn fires what is due and reports whether anything is left.
func (w *wheel) turn() bool {
	now := w.clock()
	w.now.Store(now)
	upto := w.tickOf(now)

	w.mu.Lock()
	w.fired = w.fired[:0]
	// After a pause longer than a round, one round finds everything.
	for t := max(w.done, upto-wheelSlots+1); t <= upto; t++ {
		for e := w.slots[t%wheelSlots]; e != nil; {
			next := e.next
			if e.due <= upto {
				w.unlink(e)
				w.fired = append(w.fired, e.owner)
			}
			e = next
		}
	}
	w.done = upto + 1
	w.mu.Unlock()

	for i, o := range w.fired {
		w.fired[i] = nil
		o.expired()
	}
	if cap(w.fired) > 4096 {
		w.fired = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count > 0
}
