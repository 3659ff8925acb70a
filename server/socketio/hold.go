package socketio

import (
	"time"

	"github.com/antchat/antchat/adapter"
)

// heldEvent is a delivery that a held socket gets later. It is encoded then:
// only then is its offset known.
type heldEvent struct {
	d     *adapter.Delivery
	ackID uint64
	plain bool // not to be rendered: the event is in its final form
}

// hold makes the socket keep back what is delivered to it.
func (s *Socket) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds > 0 {
		s.overlap = true
	}
	s.holds++
}

// keepLocked keeps a delivery back; false when there are too many: then the
// socket has lost something and must not be sent anything any more, or its
// offset would claim what it never got.
func (s *Socket) keepLocked(h heldEvent) bool {
	w := s.changeWorkLocked()
	if len(w.held) >= s.client.server.options.MaxHeld {
		w.held = nil
		s.broken = true
		return false
	}
	w.held = append(w.held, h)
	return true
}

// release takes back one hold, whose cut was at the given position (nil: none),
// and queues what was kept back if it was the last. It may wait for the
// connection, and is called on a goroutine that works for the socket.
//
// Offsets of what was kept back are at least the cut's position, since all up to
// there is in what the cut's answer shows. With several holds at once the cut of
// a later one says nothing of what an earlier one kept back, so it is left out
// then, and it is not needed (docs/decisions, "overlapping-holds").
func (s *Socket) release(cut *adapter.Position) {
	for {
		s.mu.Lock()
		if s.state == socketEnded || s.broken {
			s.holds--
			s.takeHeldLocked()
			s.mu.Unlock()
			return
		}
		if s.holds > 1 {
			s.holds--
			s.mu.Unlock()
			return
		}
		if cut != nil && !s.overlap {
			s.last = s.last.Max(*cut)
		}
		cut = nil
		batch := s.takeHeldLocked()
		if len(batch) == 0 {
			s.holds, s.overlap = 0, false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		// Still held: what comes meanwhile is kept for the next round. The lock
		// is not held for the whole batch, because the sequencer needs it.
		if !s.flush(batch) {
			s.mu.Lock()
			s.broken = true
			s.mu.Unlock()
		}
	}
}

// takeHeldLocked takes out what was kept back.
func (s *Socket) takeHeldLocked() []heldEvent {
	held := s.workLocked().held
	if held != nil {
		s.changeWorkLocked().held = nil
		s.restLocked()
	}
	return held
}

// flush queues what was kept back.
func (s *Socket) flush(batch []heldEvent) bool {
	pace := pacer{socket: s}
	for _, h := range batch {
		e, ok := h.d.Event, true
		if !h.plain {
			e, _, ok = s.ns.rendered(s.view, h.d)
		}
		if !ok {
			continue
		}
		if !pace.wait(e.Size()) || s.queue(e, h.ackID, h.d.Position) != nil {
			return false
		}
		s.ns.sent(s, e)
	}
	return true
}

// queue queues one broadcast event for this socket alone. An error means that the
// connection takes no more.
func (s *Socket) queue(e adapter.Event, ackID uint64, at adapter.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.liveLocked(); err != nil {
		return err
	}
	return s.queueLocked(e, ackID, at)
}

func (s *Socket) queueLocked(e adapter.Event, ackID uint64, at adapter.Position) error {
	var offset *adapter.Position
	s.last = s.last.Max(at)
	if s.offsets && ackID == 0 {
		offset = &s.last
	}
	frame, err := s.client.eventFrame(s.ns, e, ackID, offset)
	if err != nil {
		s.ns.unencoded(e, err)
		return nil
	}
	return s.client.conn.Queue(frame)
}

// pacer keeps a long replay from overflowing the connection's own queue: after
// each part it waits until the connection has taken what it has. The client
// then has offsets to go on from, should it be cut off all the same.
type pacer struct {
	socket *Socket
	bytes  int
	events int
}

// A part of a replay, and how long a client may take for it.
const (
	paceBytes  = 128 << 10
	paceEvents = 512
	paceWait   = 20 * time.Second
)

// wait is called before size bytes are queued. It is false when the client
// does not read, or the socket has ended.
func (p *pacer) wait(size int) bool {
	if p.events > 0 && (p.bytes+size > paceBytes || p.events >= paceEvents) {
		p.bytes, p.events = 0, 0
		if !p.socket.idle() {
			p.socket.client.conn.Abort(string(ReasonSlowClient))
			return false
		}
	}
	p.bytes += size
	p.events++
	return true
}

// idle waits until the connection has written all that it had. Conn tells
// only on being asked, so this asks, less and less often.
func (s *Socket) idle() bool {
	ctx, end := s.within(paceWait)
	defer end()
	for pause := time.Millisecond; !s.client.conn.Idle(); pause = min(2*pause, 50*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}
