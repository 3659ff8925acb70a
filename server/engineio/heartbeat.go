package engineio

import "time"

// The heartbeat (engine.io-protocol v4, "Heartbeat"; v3, "Timeouts").
//
// Revision 4: the server pings at due and is then waiting, with due the moment
// to give up; any packet from the client ends the waiting. Revision 3: the client
// pings; due is the moment to give up, moved on by every packet.
//
// A packet does not touch the wheel: the session's entry finds out when it fires
// that due has moved.

// startHeartbeatLocked begins the first round.
func (s *Session) startHeartbeatLocked() {
	d := s.srv.o.PingInterval
	if s.revision == 3 {
		d += s.srv.o.PingTimeout
	}
	s.due = s.srv.wheel.clock() + int64(d)
	s.setBeatLocked(d)
}

// heardLocked notes that a packet has come.
func (s *Session) heardLocked() {
	o := &s.srv.o
	switch {
	case s.revision == 3:
		s.due = s.srv.wheel.now.Load() + int64(o.PingInterval+o.PingTimeout)
	case s.waiting:
		s.waiting = false
		s.due += int64(o.PingInterval - o.PingTimeout)
		if o.PingInterval < o.PingTimeout {
			s.setBeatLocked(time.Duration(s.due - s.srv.wheel.clock()))
		}
	}
}

// heard is heardLocked for packets without a call of the Handler. false: the
// session takes no more.
func (s *Session) heard() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateOpen {
		s.heardLocked()
	}
	return s.state == stateOpen
}

// overdueLocked reports whether the client's time is up at this very moment.
func (s *Session) overdueLocked() bool {
	due := s.due
	if s.revision == 4 && !s.waiting {
		due += int64(s.srv.o.PingTimeout)
	}
	return s.srv.wheel.clock() >= due
}

// expired is called by the wheel: at due, or at an earlier value of it, when the
// WebSocket has reached its age, or when closing has taken too long.
func (s *Session) expired() {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return
	}
	w := s.srv.wheel
	aged := s.agedLocked()
	if left := time.Duration(s.due - w.clock()); left >= w.tick || aged {
		if aged {
			// A heartbeat that is due as well comes at the next tick.
			defer s.retire(ReasonMaxAge, func() {})
			w.set(&s.beat, left)
		} else {
			s.setBeatLocked(left)
		}
		s.mu.Unlock()
		return
	}
	if s.state == stateMoving {
		s.mu.Unlock()
		s.abort(ReasonTransportError) // nobody has confirmed it
		return
	}
	if s.state == stateClosing || s.revision == 3 || s.waiting {
		s.mu.Unlock()
		s.abort(ReasonPingTimeout) // the reason is told only to one that was open
		return
	}
	s.waiting = true
	// From when the ping was due, so that the wheel's ticks do not add up; but a
	// client does not pay for a machine too busy to send it then.
	if now := w.clock(); now-s.due > int64(w.tick) {
		s.due = now
	}
	s.due += int64(s.srv.o.PingTimeout)
	s.setBeatLocked(time.Duration(s.due - w.clock()))
	s.queue.push(packetPing)
	s.kickLocked(false)
	s.mu.Unlock()
}
