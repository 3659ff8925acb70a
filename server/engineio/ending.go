package engineio

import "time"

// ending says how a session takes its leave.
type ending struct {
	// frame is the WebSocket close frame; nil: one without a status.
	frame *Prepared
	// peer: the client began, and what is queued is of no use to it any more.
	peer bool
}

const (
	// closeTimeout is how long a WebSocket has to take what is queued and to
	// answer the close frame.
	closeTimeout = 3 * time.Second
	// pollCloseTimeout is how long a polling client has to come and fetch the
	// close packet, as in Node.
	pollCloseTimeout = 30 * time.Second
	// peerCloseTimeout is how long a poll that crossed the client's own close
	// packet still finds its noop.
	peerCloseTimeout = 200 * time.Millisecond
)

// Close sends what is queued, then closes, within seconds at most. Nothing is
// taken from the client or queued for it any more.
func (s *Session) Close(reason string) { s.finish(reason, ending{}) }

// Abort closes at once; what is queued is lost.
func (s *Session) Abort(reason string) {
	s.mu.Lock()
	moving := s.state == stateMoving
	s.mu.Unlock()
	if !moving { // its new owner fences this one
		s.abort(reason)
	}
}

// finish begins to close the session.
func (s *Session) finish(reason string, e ending) {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return
	}
	s.state = stateClosing
	timeout := closeTimeout
	if s.ws != nil {
		s.peerClosed = e.peer
		if e.frame == nil {
			e.frame = closeFrame
		}
		s.queue.push(e.frame)
	} else if e.peer {
		timeout = peerCloseTimeout
		s.queue.clear()
		s.queue.push(packetNoop)
	} else {
		timeout = pollCloseTimeout
		s.queue.push(packetClose)
	}
	transport := s.transportLocked()
	candidate := s.candidate
	if s.probed && candidate != nil && candidate.w != nil && !e.peer {
		// Its client may have paused polling, and would take the loss of this
		// WebSocket for a failed probe and wait for its ping timeout. It completes the
		// upgrade, and is told then.
		candidate = nil
	} else {
		s.candidate = nil
	}
	s.due = s.srv.wheel.clock() + int64(timeout)
	s.srv.wheel.set(&s.beat, timeout)
	flush := s.kickLocked(true)
	s.notifyLocked(reason, transport)
	s.mu.Unlock()
	if candidate != nil {
		candidate.drop("session closed")
	}
	if flush {
		s.flush(nil, 1)
	}
}

// abort ends the session and reports whether it was the first to begin that.
func (s *Session) abort(reason string) (first bool) {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return false
	}
	first = s.state <= stateMoving
	s.state = stateClosed
	s.queue.clear()
	ws, candidate := s.ws, s.candidate
	s.candidate = nil
	if first {
		s.notifyLocked(reason, s.transportLocked())
	}
	s.wakePollLocked()
	s.srv.wheel.remove(&s.beat)
	s.mu.Unlock()
	if candidate != nil {
		candidate.drop("session closed")
	}
	if ws != nil {
		ws.conn.close()
	}
	s.srv.forget(s)
	return first
}

// blockedGrace is how long Closed waits for a Handler's call to return.
const blockedGrace = time.Second

// notifyLocked has the end of the session told, on a goroutine of its own: the
// caller may hold whatever the Handler needs.
func (s *Session) notifyLocked(reason, transport string) {
	if s.handling {
		s.handled = make(chan struct{})
	}
	accepting, handled := s.handler == nil, s.handled
	s.srv.wg.Go(func() {
		if h := s.srv.o.Hooks.Closed; h != nil {
			h(transport, int(s.revision), reason, time.Since(s.Opened()))
		}
		switch {
		case handled == nil:
		case accepting:
			<-handled
		default:
			t := time.NewTimer(blockedGrace)
			select {
			case <-handled:
			case <-t.C:
			}
			t.Stop()
		}
		s.mu.Lock()
		h := s.handler
		s.mu.Unlock()
		if h != nil {
			s.srv.guard(func() { h.Closed(reason) })
		}
	})
}

// closing reports whether the session takes its leave.
func (s *Session) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateClosing
}
