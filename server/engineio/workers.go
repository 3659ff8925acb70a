package engineio

import "sync"

// workers are goroutines that wait for something to do. A goroutine begins with a
// stack of 2 KiB, and what handles a message takes several times that: growing the
// stack, with all that stands on it already, costs more than all the rest of a
// start. Those that have worked have grown; the collector shrinks them when they are
// not used.
//
// There are as many at work as there is work, as with the go statement: one that
// blocks keeps nothing from the others.
type workers struct {
	mu     sync.Mutex
	idle   []*worker // guarded by mu; the last one in is the first to work
	closed bool      // guarded by mu
	wg     sync.WaitGroup
}

// maxIdle is how many wait at most, half a megabyte of stacks. Any more end with
// their work.
const maxIdle = 64

// worker is one that waits. Its channel holds one function, and is closed only when
// nobody sends any more.
type worker struct{ next chan func() }

// do runs f on another goroutine. It does not block.
func (w *workers) do(f func()) {
	w.mu.Lock()
	n := len(w.idle) - 1
	if n < 0 {
		w.mu.Unlock()
		go w.work(f)
		return
	}
	one := w.idle[n]
	w.idle[n] = nil
	w.idle = w.idle[:n]
	w.mu.Unlock()
	one.next <- f
}

func (w *workers) work(f func()) {
	one := &worker{}
	for {
		f()
		w.mu.Lock()
		if w.closed || len(w.idle) >= maxIdle {
			w.mu.Unlock()
			return
		}
		if one.next == nil {
			one.next = make(chan func(), 1)
		}
		w.idle = append(w.idle, one)
		w.wg.Add(1)
		w.mu.Unlock()
		f = <-one.next
		w.wg.Done()
		if f == nil {
			return
		}
	}
}

// close ends those that wait, now and later.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	for _, one := range w.idle {
		close(one.next)
	}
	w.idle = nil
	w.mu.Unlock()
	w.wg.Wait()
}
