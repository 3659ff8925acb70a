package socketio

import (
	"context"
	"time"
)

// socketContext is a Socket as a context. A converted pointer costs nothing,
// where context.WithCancel would cost every idle socket its own; the channel
// is made when somebody waits.
type socketContext Socket

// afterFunc is one registration of AfterFunc.
type afterFunc struct{ f func() }

// Deadline is none: a socket ends when it ends.
func (c *socketContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value has none.
func (c *socketContext) Value(any) any { return nil }

// Done is closed when the socket's context ends.
func (c *socketContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.canceled {
			close(c.done)
		}
	}
	return c.done
}

// Err is context.Canceled once the socket's context has ended.
func (c *socketContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.canceled {
		return context.Canceled
	}
	return nil
}

// AfterFunc lets package context tie derived contexts to this one without a
// goroutine for each.
func (c *socketContext) AfterFunc(f func()) (stop func() bool) {
	a := &afterFunc{f}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.canceled {
		go f()
		return func() bool { return false }
	}
	if c.afterDone == nil {
		c.afterDone = make(map[*afterFunc]struct{})
	}
	c.afterDone[a] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, was := c.afterDone[a]
		delete(c.afterDone, a)
		return was
	}
}

// cancel ends the context.
func (c *socketContext) cancel() {
	c.mu.Lock()
	if c.canceled {
		c.mu.Unlock()
		return
	}
	c.canceled = true
	if c.done != nil {
		close(c.done)
	}
	after := c.afterDone
	c.afterDone = nil
	c.mu.Unlock()
	// These are package context's own and only pass the cancellation on; what
	// a user gave to context.AfterFunc runs on a goroutine that it starts.
	for a := range after {
		a.f()
	}
}
