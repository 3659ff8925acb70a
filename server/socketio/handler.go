package socketio

import (
	"context"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Incoming is an event that a client sent.
type Incoming struct {
	Name string
	Args Args
	// WantsAck: the client waits for an acknowledgement. It gets exactly one,
	// whatever the handler does.
	WantsAck bool
	// Event is the event as it came, for passing it on.
	Event adapter.Event
}

// EventHandler handles an event. The Reply becomes the acknowledgement if one
// was asked for; an error becomes Options.ErrorPayload. The context ends with
// the socket, or when the handler has returned and what it left to AfterReply has
// run: for what goes on longer there is [Socket.Context]. Handlers of one socket run one at a time, in the order in which
// the events arrived, and may block; those of different sockets run at once.
type EventHandler func(ctx context.Context, s *Socket, e *Incoming) (Reply, error)

// Reply is what an event is acknowledged with. The zero value has no
// arguments.
type Reply struct {
	values      []any
	data        []byte
	attachments [][]byte
}

// Answer is a Reply with the given arguments, encoded as by [NewEvent].
func Answer(args ...any) Reply { return Reply{values: args} }

// AnswerRaw is a Reply with arguments that are encoded already: a JSON array
// with placeholders for the attachments. The caller answers for its validity.
func AnswerRaw(array []byte, attachments [][]byte) Reply {
	return Reply{data: array, attachments: attachments}
}

// encode gives the JSON array and attachments of the reply.
func (r Reply) encode() ([]byte, [][]byte, error) {
	if r.data != nil {
		return r.data, r.attachments, nil
	}
	return encodeArray(r.values)
}

// On handles an event whose payload is its first argument. The argument is
// decoded into In as by [Args.Decode]; if it is missing In is zero, and
// struct{} ignores it. What the handler returns is the acknowledgement's only
// argument; with Out struct{} it has none, and a [Reply] is taken as it is.
// It panics if the event has a handler already, or its name is reserved.
func On[In, Out any](ns *Namespace, event string, h func(ctx context.Context, s *Socket, in In) (Out, error)) {
	ns.Handle(event, func(ctx context.Context, s *Socket, e *Incoming) (Reply, error) {
		var in In
		if _, ignore := any(in).(struct{}); !ignore {
			if err := e.Args.Decode(0, &in); err != nil {
				return Reply{}, err
			}
		}
		out, err := h(ctx, s, in)
		return replyOf(out), err
	})
}

// OnArgs handles an event with all of its arguments, otherwise as [On].
func OnArgs[Out any](ns *Namespace, event string, h func(ctx context.Context, s *Socket, args Args) (Out, error)) {
	ns.Handle(event, func(ctx context.Context, s *Socket, e *Incoming) (Reply, error) {
		out, err := h(ctx, s, e.Args)
		return replyOf(out), err
	})
}

func replyOf(out any) Reply {
	switch v := out.(type) {
	case struct{}:
		return Reply{}
	case Reply:
		return v
	}
	return Answer(out)
}

// eventContext is the context of one handler's call. It ends with the socket's
// context, and after the call: so waiting for it, as every timeout does, leaves
// nothing behind with an idle socket. It also has what is to happen after the
// reply.
type eventContext struct {
	canceler
	socket *Socket

	afterMu sync.Mutex
	after   []func() // guarded by afterMu
	replied bool     // guarded by afterMu
}

// beginCall makes the context of a handler's call, of which a socket has one at a
// time.
func (s *Socket) beginCall() *eventContext {
	c := &eventContext{socket: s}
	s.mu.Lock()
	s.changeWorkLocked().call = c
	canceled := s.canceled
	s.mu.Unlock()
	if canceled {
		c.cancel()
	}
	return c
}

// end ends the context: its call is over.
func (c *eventContext) end() {
	s := c.socket
	s.mu.Lock()
	if w := s.work; w != nil && w.call == c {
		w.call = nil
		s.restLocked()
	}
	s.mu.Unlock()
	c.cancel()
}

// Deadline is none.
func (c *eventContext) Deadline() (time.Time, bool) { return time.Time{}, false }

type eventKey struct{}

func (c *eventContext) Value(key any) any {
	if key == (eventKey{}) {
		return c
	}
	return nil
}

// AfterReply runs f once the acknowledgement of the event being handled has
// been queued (or, when none was asked for, the handler has returned). ctx is
// the handler's, or derived from it, and f runs on the handler's goroutine. In
// [Namespace.OnConnect] f runs after it returned. With any other context, or
// when the reply is out already, f runs at once.
func AfterReply(ctx context.Context, f func()) {
	if c, ok := ctx.Value(eventKey{}).(*eventContext); !ok || !c.later(f) {
		f()
	}
}

// later keeps f for after the reply; false when that is past.
func (c *eventContext) later(f func()) bool {
	c.afterMu.Lock()
	defer c.afterMu.Unlock()
	if c.replied {
		return false
	}
	c.after = append(c.after, f)
	return true
}

// take gives what AfterReply left, and takes it out.
func (c *eventContext) take() []func() {
	c.afterMu.Lock()
	defer c.afterMu.Unlock()
	after := c.after
	c.after = nil
	c.replied = true
	return after
}
