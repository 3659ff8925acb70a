package socketio

import (
	"sync"
	"time"

	"github.com/antchat/antchat/server/schedule"
)

// deadlines are all the waits of a server that may run out: for a CONNECT, for
// acknowledgements. One timer serves them, where a timer each would be the
// largest part of what an idle connection costs.
type deadlines struct {
	// running is held while functions are called, so that close can wait.
	running sync.Mutex

	mu     sync.Mutex
	queue  schedule.Queue[func()] // guarded by mu, as are the rest
	timer  *time.Timer            // nil until the first add
	armed  time.Time              // when the timer goes off; zero: not set
	closed bool
}

// deadline is one wait, and what is called when it has run out.
type deadline = schedule.Entry[func()]

// add calls fire, which must be fast, once after that time, unless it is removed
// or all are closed.
func (d *deadlines) add(after time.Duration, fire func()) *deadline {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return new(deadline)
	}
	x := d.queue.Add(time.Now().Add(after), fire)
	d.armLocked()
	return x
}

// remove takes a deadline (nil: none) back. It may be firing right now.
func (d *deadlines) remove(x *deadline) {
	if x == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue.Remove(x)
}

// armLocked sets the timer to the first deadline. It is not set later when
// that one is removed: the timer then goes off once in vain, which is cheaper
// than moving it with each acknowledgement.
func (d *deadlines) armLocked() {
	x := d.queue.First()
	if x == nil {
		return
	}
	first := x.At()
	if !d.armed.IsZero() && !first.Before(d.armed) {
		return
	}
	d.armed = first
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(first), d.expire)
		return
	}
	d.timer.Reset(time.Until(first))
}

// expire runs on the timer's goroutine.
func (d *deadlines) expire() {
	d.running.Lock()
	defer d.running.Unlock()
	for {
		d.mu.Lock()
		x := d.queue.First() // nil when closed
		if x == nil || x.At().After(time.Now()) {
			d.armed = time.Time{}
			d.armLocked()
			d.mu.Unlock()
			return
		}
		d.queue.Remove(x)
		d.mu.Unlock()
		x.Value()
	}
}

// close forgets all deadlines and returns when none is firing any more.
func (d *deadlines) close() {
	d.mu.Lock()
	d.closed = true
	d.queue.Clear()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
	d.running.Lock() // waits for expire
	defer d.running.Unlock()
}
