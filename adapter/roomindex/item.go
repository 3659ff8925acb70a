package roomindex

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/antchat/antchat/adapter"
)

// Func is an item of the adapter's own, run on the sequencer's goroutine. It
// must not block.
type Func func(q *Sequencer)

func (f Func) pass(q *Sequencer) { f(q) }

// Event is a delivery on its way to a target. The sequencer sets the
// Delivery's Position as it passes: the adapter must not read that field after
// the push.
type Event struct {
	Delivery adapter.Delivery
	Target   adapter.Target
}

func (e *Event) pass(q *Sequencer) {
	d := &e.Delivery
	if d.Pos != 0 {
		q.Advance(d.Lane, d.Pos)
	}
	d.Position = q.position
	n := q.Namespace(e.Target.Namespace)
	if n == nil {
		if d.Ask != nil {
			d.Ask.Expect(0)
		}
		return
	}
	to := n.Index.Select(&e.Target)
	if len(to) == 0 && d.Ask == nil {
		return
	}
	n.Receiver.Deliver(d, to)
}

// Gap is the loss of log entries on its way to a room's members.
type Gap adapter.Gap

func (g *Gap) pass(q *Sequencer) {
	if n := q.Namespace(g.Namespace); n != nil {
		if to := n.Index.one(g.Room); len(to) > 0 {
			n.Receiver.Gap(adapter.Gap(*g), to)
		}
	}
}

// Presence is a presence change on its way to a room's members.
type Presence adapter.PresenceChange

func (c *Presence) pass(q *Sequencer) {
	if n := q.Namespace(c.Namespace); n != nil {
		if to := n.Index.one(c.Room); len(to) > 0 {
			n.Receiver.Presence(adapter.PresenceChange(*c), to)
		}
	}
}

// ServerEvent is another node's server-side event.
type ServerEvent struct {
	Namespace string
	Event     adapter.Event
	Answer    func(value []byte) // nil when no answer is wanted
}

func (e *ServerEvent) pass(q *Sequencer) {
	if n := q.Namespace(e.Namespace); n != nil {
		n.Receiver.ServerEvent(e.Event, e.Answer)
	}
}

// Remove forgets a socket.
type Remove struct {
	Namespace string
	Socket    adapter.Socket
}

func (r *Remove) pass(q *Sequencer) {
	if n := q.Namespace(r.Namespace); n != nil {
		n.Index.Remove(r.Socket)
	}
}

// Fence takes the socket with an id out and fences it, if its session's token
// is older than Token.
type Fence struct {
	Namespace, SocketID string
	Token               uint64
}

func (f *Fence) pass(q *Sequencer) {
	n := q.Namespace(f.Namespace)
	if n == nil {
		return
	}
	m := n.Index.members.Find(f.SocketID)
	if m == nil || m.session == nil || m.session.Token >= f.Token {
		return
	}
	n.Index.Remove(m.socket)
	m.socket.Fence()
}

// Marker is the part that items share whose pusher waits for the passing. It
// is made by embedding; call Prepare before the push.
type Marker struct {
	state  atomic.Uint32
	passed chan struct{}
	err    error // written before passed is closed
}

const (
	markerWaiting = iota
	markerPassing
	markerWithdrawn
)

// Prepare makes the marker ready to be pushed.
func (m *Marker) Prepare() { m.passed = make(chan struct{}) }

// begin is false when the pusher has given up; the item then has no effect.
func (m *Marker) begin() bool { return m.state.CompareAndSwap(markerWaiting, markerPassing) }

func (m *Marker) end(err error) {
	m.err = err
	close(m.passed)
}

// Wait waits until the marker has passed. When the context ends first the
// marker is withdrawn: it will have no effect, and the context's error is
// returned, wrapped with adapter.ErrUnavailable. An error is final either way:
// the item changed nothing.
func (m *Marker) Wait(ctx context.Context) error {
	select {
	case <-m.passed:
		return m.err
	case <-ctx.Done():
	}
	if m.state.CompareAndSwap(markerWaiting, markerWithdrawn) {
		return fmt.Errorf("wait for the sequencer: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
	}
	<-m.passed // it was passing just then
	return m.err
}

// Cut installs a membership at its place in the order of events (DELIVERY,
// "Cut"): Add, Join and the resumption of a session are all cuts.
type Cut struct {
	Marker
	Namespace string
	Socket    adapter.Socket
	// Add makes the socket known, with Session, before it joins.
	Add     bool
	Session *adapter.Owner
	Rooms   []string
	// Hold holds the socket's events from here on.
	Hold bool
	// Before and After, when set, run on the sequencer's goroutine just before
	// the membership is installed (an error refuses the cut) and just after,
	// with the rooms that the socket was not in: for session records that must
	// change at the very same place in the order. They must not block.
	Before func() error
	After  func(joined []string)

	// Joined are the rooms that the socket was not in before. Read it after
	// Wait returned nil.
	Joined []string
}

func (c *Cut) pass(q *Sequencer) {
	if !c.begin() {
		return
	}
	n := q.Namespace(c.Namespace)
	if n == nil {
		c.end(fmt.Errorf("namespace %q is not open: %w", c.Namespace, adapter.ErrUnknownSocket))
		return
	}
	if !c.Add && !n.Index.Has(c.Socket) {
		c.end(adapter.ErrUnknownSocket)
		return
	}
	if c.Before != nil {
		if err := c.Before(); err != nil {
			c.end(err)
			return
		}
	}
	if c.Add {
		if old := n.Index.Add(c.Socket, c.Session); old != nil {
			old.Fence()
		}
	}
	c.Joined, _ = n.Index.Join(c.Socket, c.Rooms)
	if c.After != nil {
		c.After(c.Joined)
	}
	if c.Hold {
		c.Socket.Hold()
	}
	c.end(nil)
}

// Leave takes a socket out of rooms.
type Leave struct {
	Marker
	Namespace string
	Socket    adapter.Socket
	Rooms     []string
	// Before and After are as in Cut.
	Before func() error
	After  func(left []string)
}

func (l *Leave) pass(q *Sequencer) {
	if !l.begin() {
		return
	}
	n := q.Namespace(l.Namespace)
	if n == nil || !n.Index.Has(l.Socket) {
		l.end(adapter.ErrUnknownSocket)
		return
	}
	if l.Before != nil {
		if err := l.Before(); err != nil {
			l.end(err)
			return
		}
	}
	left := n.Index.Leave(l.Socket, l.Rooms)
	if l.After != nil {
		l.After(left)
	}
	l.end(nil)
}
