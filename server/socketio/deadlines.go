package socketio

import (
	"container/heap"
	"sync"
	"time"
)

// deadlines are all the waits of a server that may run out: for a CONNECT, for
// acknowledgements. One timer serves them, where a timer each would be the
// largest part of what an idle connection costs.
type deadlines struct {
	// running is held while functions are called, so that close can wait.
	running sync.Mutex

	mu     sync.Mutex
	heap   deadlineHeap // guarded by mu, as are the rest
	timer  *time.Timer  // nil until the first add
	armed  time.Time    // when the timer goes off; zero: not set
	closed bool
}

// deadline is one wait.
type deadline struct {
	at    time.Time
	fire  func()
	index int // in the heap, -1 when out of it
}

// add calls fire, which must be fast, once after d, unless it is removed.
func (d *deadlines) add(after time.Duration, fire func()) *deadline {
	x := &deadline{at: time.Now().Add(after), fire: fire}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		x.index = -1
		return x
	}
	heap.Push(&d.heap, x)
	d.armLocked()
	return x
}

// remove takes a deadline back. It may be firing right now.
func (d *deadlines) remove(x *deadline) {
	if x == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if x.index >= 0 {
		heap.Remove(&d.heap, x.index)
	}
}

// armLocked sets the timer to the first deadline. It is not set later when
// that one is removed: the timer then goes off once in vain, which is cheaper
// than moving it with each acknowledgement.
func (d *deadlines) armLocked() {
	if len(d.heap) == 0 {
		return
	}
	first := d.heap[0].at
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
		if d.closed || len(d.heap) == 0 || d.heap[0].at.After(time.Now()) {
			d.armed = time.Time{}
			if !d.closed {
				d.armLocked()
			}
			d.mu.Unlock()
			return
		}
		x := heap.Pop(&d.heap).(*deadline)
		d.mu.Unlock()
		x.fire()
	}
}

// close forgets all deadlines and returns when none is firing any more.
func (d *deadlines) close() {
	d.mu.Lock()
	d.closed = true
	for _, x := range d.heap {
		x.index = -1
	}
	d.heap = nil
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
	d.running.Lock() // waits for expire
	defer d.running.Unlock()
}

// deadlineHeap orders deadlines by time, for container/heap.
type deadlineHeap []*deadline

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is container/heap's.
func (h *deadlineHeap) Push(x any) {
	d := x.(*deadline)
	d.index = len(*h)
	*h = append(*h, d)
}

// Pop is container/heap's.
func (h *deadlineHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	d.index = -1
	return d
}
