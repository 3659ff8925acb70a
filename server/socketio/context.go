package socketio

import (
	"context"
	"time"
)

// socketContext is a Socket as a context. A converted pointer costs nothing,
// where context.WithCancel would cost every idle socket its own; the channel
// is made when somebody waits.
type socketContext Socket

// afterFunc is one registration of AfterFunc, in a list that costs nothing while
// it is empty.
type afterFunc struct {
	f          func()
	prev, next *afterFunc
	on         bool
}

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
	a := &afterFunc{f: f}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.canceled {
		go f()
		return func() bool { return false }
	}
	a.on, a.next = true, c.afterDone
	if a.next != nil {
		a.next.prev = a
	}
	c.afterDone = a
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !a.on {
			return false
		}
		a.on = false
		if a.next != nil {
			a.next.prev = a.prev
		}
		if a.prev != nil {
			a.prev.next = a.next
		} else {
			c.afterDone = a.next
		}
		return true
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
	var after []*afterFunc
	for a := c.afterDone; a != nil; a = a.next {
		a.on = false
		after = append(after, a)
	}
	c.afterDone = nil
	c.mu.Unlock()
	// These are package context's own and only pass the cancellation on; what
	// a user gave to context.AfterFunc runs on a goroutine that it starts.
	for _, a := range after {
		a.f()
	}
}
