package engineio

import (
	"sync"
	"sync/atomic"
	"testing"
)

// All that is given to workers is done, at once as much as there is, however many
// wait; and closing leaves none.
func TestWorkers(t *testing.T) {
	var w workers
	var done atomic.Int64
	for range 20 {
		var all sync.WaitGroup
		release := make(chan struct{})
		const many = 3 * maxIdle
		var begun sync.WaitGroup
		begun.Add(many)
		for range many {
			all.Add(1)
			w.do(func() {
				defer all.Done()
				begun.Done()
				<-release
				done.Add(1)
			})
		}
		begun.Wait() // they wait for each other
		close(release)
		all.Wait()
	}
	if n := done.Load(); n != 20*3*maxIdle {
		t.Errorf("%d done", n)
	}
	w.mu.Lock()
	if n := len(w.idle); n > maxIdle {
		t.Errorf("%d wait", n)
	}
	w.mu.Unlock()
	// While some are given something to do, others are still on their way back.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				w.do(func() { done.Add(1) })
			}
		})
	}
	w.close()
	all.Wait()
	ran := make(chan struct{})
	w.do(func() { close(ran) }) // also after that
	<-ran
}
