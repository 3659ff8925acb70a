package socketio

import (
	"context"
	"sync"
	"time"
)

// socketContext is a Socket as a context. A converted pointer costs nothing,
// where context.WithCancel would cost every idle socket its own; what it takes
// to wait is made when somebody waits.
type socketContext Socket

// Deadline is none: a socket ends when it ends.
func (c *socketContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value has none.
func (c *socketContext) Value(any) any { return nil }

// Done is closed when the socket's context ends.
func (c *socketContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cancelerLocked().Done()
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
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cancelerLocked().AfterFunc(f)
}

// ended is the canceler of all whose context has ended before anybody waited.
var ended = &canceler{}

func init() { ended.cancel() }

// cancelerLocked is used under the lock only, so that rest cannot take it away.
func (c *socketContext) cancelerLocked() *canceler {
	w := (*Socket)(c).workLocked()
	switch {
	case w.ctx != nil:
		return w.ctx
	case c.canceled:
		return ended
	}
	w = (*Socket)(c).changeWorkLocked()
	w.ctx = &canceler{}
	return w.ctx
}

// within is a context that ends with the socket's, or after a time, and of which
// nothing stays with the socket after the call of end.
func (s *Socket) within(d time.Duration) (_ context.Context, end func()) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	stop := (*socketContext)(s).AfterFunc(cancel)
	return ctx, func() {
		if stop() {
			(*socketContext)(s).rest()
		}
		cancel()
	}
}

// rest lets go of a canceler that nobody waits for.
func (c *socketContext) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.work; w != nil && w.ctx != nil && w.ctx.idle() {
		w.ctx = nil
		(*Socket)(c).restLocked()
	}
}

// cancel ends the context.
func (c *socketContext) cancel() {
	c.mu.Lock()
	c.canceled = true
	w := (*Socket)(c).workLocked()
	ctx, call := w.ctx, w.call
	c.mu.Unlock()
	if ctx != nil {
		ctx.cancel()
	}
	if call != nil {
		call.cancel()
	}
}

// canceler is the end of a context, for those who wait for it. The zero value has
// not ended.
type canceler struct {
	mu       sync.Mutex
	canceled bool          // guarded by mu, as are the rest
	done     chan struct{} // made on demand
	after    *afterFunc    // a list
}

// afterFunc is one registration of AfterFunc.
type afterFunc struct {
	f          func()
	prev, next *afterFunc
	on         bool
}

// Done is closed by cancel.
func (c *canceler) Done() <-chan struct{} {
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

// AfterFunc has f called once by cancel, or on a goroutine of its own if that has
// been; stop reports whether it prevented the call.
func (c *canceler) AfterFunc(f func()) (stop func() bool) {
	a := &afterFunc{f: f}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.canceled {
		go f()
		return func() bool { return false }
	}
	a.on, a.next = true, c.after
	if a.next != nil {
		a.next.prev = a
	}
	c.after = a
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
			c.after = a.next
		}
		return true
	}
}

// Err is context.Canceled after cancel.
func (c *canceler) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.canceled {
		return context.Canceled
	}
	return nil
}

// idle: nobody waits, or has asked to be told.
func (c *canceler) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done == nil && c.after == nil
}

// cancel calls what AfterFunc left, if it is the first call.
func (c *canceler) cancel() {
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
	for a := c.after; a != nil; a = a.next {
		a.on = false
		after = append(after, a)
	}
	c.after = nil
	c.mu.Unlock()
	// These are package context's own and only pass the cancellation on; what
	// a user gave to context.AfterFunc runs on a goroutine that it starts.
	for _, a := range after {
		a.f()
	}
}
