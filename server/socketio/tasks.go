package socketio

import (
	"context"
	"sync/atomic"
)

// tasks counts what must have ended before the server is closed: connections,
// and the goroutines that work for them. A sync.WaitGroup would forbid a start
// while Close is waiting; here what runs may start more until all is done.
type tasks struct {
	n       atomic.Int64
	closing atomic.Bool
	ended   chan struct{} // one token when n may have reached 0
}

func (t *tasks) begin() { t.n.Add(1) }

func (t *tasks) end() {
	if t.n.Add(-1) == 0 && t.closing.Load() {
		select {
		case t.ended <- struct{}{}:
		default:
		}
	}
}

// wait returns when nothing runs any more. closing must be set.
func (t *tasks) wait(ctx context.Context) error {
	for t.n.Load() > 0 {
		select {
		case <-t.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
