package socketio

import (
	"context"
	"fmt"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// Emit sends an event to this client. It is written at once if the connection
// is free, queued otherwise, and never blocks on the network. Unlike a
// broadcast it is not brought back by a recovery. ErrDisconnected when the
// socket has ended, ErrNotConnected in connect middleware.
func (s *Socket) Emit(event string, args ...any) error {
	e, err := NewEvent(event, args...)
	if err != nil {
		return err
	}
	return s.EmitEvent(e)
}

// EmitEvent is Emit of an event that is encoded already.
func (s *Socket) EmitEvent(e adapter.Event) error { return s.send(e, 0, nil, false) }

// EmitWithAck sends an event and waits for the client's acknowledgement: until
// the context ends, or for Options.AckTimeout (see [Socket.Timeout]). Handlers
// may wait for an acknowledgement of their own socket. ErrAckTimeout,
// ErrTooManyAcks, ErrDisconnected, ErrNotConnected, or the context's error.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	return SocketEmitter{socket: s}.EmitWithAck(ctx, event, args...)
}

// Volatile lets events be dropped while the connection is busy.
func (s *Socket) Volatile() SocketEmitter { return SocketEmitter{socket: s, volatile: true} }

// Timeout bounds the wait for an acknowledgement.
func (s *Socket) Timeout(d time.Duration) SocketEmitter { return SocketEmitter{socket: s, timeout: d} }

// Compress is accepted for likeness with the reference server; it has no
// effect.
func (s *Socket) Compress(bool) SocketEmitter { return SocketEmitter{socket: s} }

// SocketEmitter says how an event goes out to one socket. It is a value, as
// [Emitter].
type SocketEmitter struct {
	socket   *Socket
	volatile bool
	timeout  time.Duration
}

// Volatile lets the event be dropped while the connection is busy.
func (e SocketEmitter) Volatile() SocketEmitter { e.volatile = true; return e }

// Timeout bounds the wait for an acknowledgement.
func (e SocketEmitter) Timeout(d time.Duration) SocketEmitter { e.timeout = d; return e }

// Compress has no effect.
func (e SocketEmitter) Compress(bool) SocketEmitter { return e }

// Emit is [Socket.Emit]. A volatile event that is dropped is no error.
func (e SocketEmitter) Emit(event string, args ...any) error {
	ev, err := NewEvent(event, args...)
	if err != nil {
		return err
	}
	return e.socket.send(ev, 0, nil, e.volatile)
}

// EmitWithAck is [Socket.EmitWithAck]. A volatile event that is dropped ends in
// ErrAckTimeout.
func (e SocketEmitter) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	s := e.socket
	ev, err := NewEvent(event, args...)
	if err != nil {
		return Args{}, err
	}
	if s.ns == nil {
		return Args{}, ErrNotConnected
	}
	timeout := e.timeout
	if timeout <= 0 {
		timeout = s.client.server.options.AckTimeout
	}
	id := s.ns.ackIDs.Add(1)
	call := &ackCall{result: make(chan ackResult, 1), began: time.Now()}
	if err := s.send(ev, id, call, e.volatile); err != nil {
		return Args{}, err
	}
	due := s.client.server.deadlines.add(timeout, func() {
		if s.forgetAck(id) {
			call.fail(ErrAckTimeout)
			if h := s.client.server.options.Hooks.AckTimedOut; h != nil {
				h(s)
			}
		}
	})
	defer s.client.server.deadlines.remove(due)
	select {
	case r := <-call.result:
		return r.args, r.err
	case <-ctx.Done():
		s.forgetAck(id)
		return Args{}, ctx.Err()
	}
}

// send encodes and writes an event of this socket alone. The position is read,
// the offset encoded and the frame queued in one hold of the lock: no
// broadcast can come between what the offset says and what the queue holds.
func (s *Socket) send(e adapter.Event, ackID uint64, ack acker, volatile bool) error {
	s.mu.Lock()
	err := s.sendLocked(e, ackID, ack, volatile)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.ns.sent(s, e)
	return nil
}

func (s *Socket) sendLocked(e adapter.Event, ackID uint64, ack acker, volatile bool) error {
	if err := s.liveLocked(); err != nil {
		return err
	}
	if ack != nil {
		if err := s.addAckLocked(ackID, ack); err != nil {
			return err
		}
	}
	c := s.client
	if volatile && !c.conn.Idle() {
		if h := c.server.options.Hooks.Dropped; h != nil {
			h(s, e.Name)
		}
		return nil
	}
	var offset *adapter.Position
	if s.offsets && ackID == 0 {
		at := s.last
		if s.holds == 0 {
			// Nothing is kept back, so every completed broadcast to this
			// socket is in its queue: the sequencer needs our lock to hold it
			// or to queue more.
			at = at.Max(c.server.position())
		}
		s.last = at
		offset = &at
	}
	frame, err := c.eventFrame(s.ns, e, ackID, offset)
	if err != nil {
		s.takeAckLocked(ackID)
		return fmt.Errorf("encode event %q: %w", e.Name, err)
	}
	if err := c.conn.Send(frame); err != nil {
		s.takeAckLocked(ackID)
		return fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	return nil
}

// liveLocked is nil when the socket may be sent something.
func (s *Socket) liveLocked() error {
	switch {
	case s.state == socketConnecting:
		return ErrNotConnected
	case s.state == socketEnded || s.broken:
		return ErrDisconnected
	}
	return nil
}

// sendPacket writes a packet that is no event, if the client can still be told.
func (c *Client) sendPacket(p *packet.Packet) error {
	frame, err := c.frame(p)
	if err != nil {
		return fmt.Errorf("encode packet: %w", err)
	}
	return c.conn.Send(frame)
}

// sent tells OnAnyOutgoing functions.
func (ns *Namespace) sent(s *Socket, e adapter.Event) {
	if h := ns.server.options.Hooks.Outgoing; h != nil {
		h(s, e)
	}
	if len(ns.outgoing) == 0 {
		return
	}
	ns.server.protect("outgoing", func() {
		for _, f := range ns.outgoing {
			f(s, e)
		}
	})
}
