package engineio

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// The owner's side of a move (move.go).

// serveMove serves a step of an upgrade at another node.
func (s *Server) serveMove(ctx context.Context, w *relayWriter, r *http.Request, q *relayRequest) string {
	session := w.session
	answer := func(status int, body []byte) string {
		w.header.Set("Content-Type", "application/octet-stream")
		w.WriteHeader(status)
		_, _ = w.Write(body)
		if status != http.StatusOK {
			return ServedRefused
		}
		return ServedAnswered
	}
	switch q.kind {
	case relayOffer:
		p := &probe{s: session, id: q.id}
		p.timer.owner = p
		session.mu.Lock()
		_, mover := session.handler.(Mover)
		free := mover && session.state == stateOpen && session.ws == nil && session.candidate == nil
		if free {
			session.candidate = p
			s.wheel.set(&p.timer, s.o.UpgradeTimeout)
		}
		session.mu.Unlock()
		if !free {
			s.upgradeFailed("second upgrade")
			return answer(http.StatusConflict, nil)
		}
		return answer(http.StatusOK, []byte{session.revision})
	case relayProbed:
		p := session.guest(q.id)
		if p == nil {
			return answer(http.StatusConflict, nil)
		}
		session.markProbed(p)
		session.releasePoll()
		return answer(http.StatusOK, nil)
	case relayMove:
		state, err := session.depart(ctx, q.id)
		if err != nil {
			s.o.Logger.Debug("engineio: session does not move", "error", err)
			return answer(http.StatusConflict, nil)
		}
		return answer(http.StatusOK, state)
	case relayMoved:
		if !session.departed(q.id) {
			return answer(http.StatusConflict, nil)
		}
		return answer(http.StatusOK, nil)
	default: // relayAbandon
		if p := session.guest(q.id); p != nil {
			session.abandonProbe(p, "given up")
		}
		return answer(http.StatusOK, nil)
	}
}

// guest is the session's candidate at another node, nil if that is not the one.
func (s *Session) guest(id uint64) *probe {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.candidate; p != nil && p.w == nil && p.id == id {
		return p
	}
	return nil
}

// depart freezes the session and packs it. After an error it is closed: the client
// does not poll any more.
func (s *Session) depart(ctx context.Context, id uint64) (state []byte, err error) {
	s.mu.Lock()
	p := s.candidate
	if s.state != stateOpen || p == nil || p.w != nil || p.id != id || s.posting || p.leaving {
		s.mu.Unlock()
		return nil, errMove
	}
	p.leaving = true
	s.srv.wheel.remove(&p.timer)
	h := s.handler.(Mover)
	s.mu.Unlock()

	m := movedSession{
		Revision: s.revision, B64: s.b64, Secure: s.secure, CrossDomain: s.crossDomain, Opened: s.opened,
		Address: s.facts.address, URI: *s.facts.uri, Headers: s.Headers(),
	}
	ctx, cancel := context.WithTimeout(ctx, packTimeout)
	defer cancel()
	if !s.srv.guard(func() { m.Handler, err = h.Pack(ctx) }) {
		err = errMove
	}
	s.mu.Lock()
	if err == nil && s.state != stateOpen {
		err = errMove
	}
	if err != nil {
		s.mu.Unlock()
		s.abort(ReasonTransportError)
		return nil, err
	}
	s.state = stateMoving
	for k := s.queue.peek(); k != nil; k = s.queue.peek() {
		var message []movedPacket
		for _, x := range k.appendPackets(nil) {
			message = append(message, movedPacket(x))
		}
		m.Queue = append(m.Queue, message)
		s.queue.pop()
	}
	s.wakePollLocked()
	s.due = s.srv.wheel.clock() + int64(movingTimeout)
	s.srv.wheel.set(&s.beat, movingTimeout)
	s.mu.Unlock()
	return json.Marshal(m)
}

// departed ends a session that another node has taken up.
func (s *Session) departed(id uint64) bool {
	s.mu.Lock()
	p := s.candidate
	if s.state != stateMoving || p == nil || p.id != id {
		s.mu.Unlock()
		return false
	}
	s.candidate = nil
	s.state = stateClosed
	s.srv.wheel.remove(&s.beat)
	h := s.handler.(Mover)
	s.mu.Unlock()
	waits := false
	s.srv.guard(func() { waits = h.Departed() })
	if !waits {
		h = nil
	}
	s.srv.remember(s.id, h)
	if hook := s.srv.o.Hooks.Closed; hook != nil {
		hook(TransportPolling, int(s.revision), ReasonMoved, time.Since(s.Opened()))
	}
	s.srv.forget(s)
	return true
}

// movedSessions are those that have left lately; guarded by the server's mu.
type movedSessions struct {
	of   map[string]Mover // nil values: nothing is waited for any more
	ring []string
	next int
}

// remember notes a session that has left.
func (s *Server) remember(sid string, h Mover) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.moved
	if m.of == nil {
		m.of = make(map[string]Mover)
	}
	m.of[sid] = h
	if len(m.ring) < maxMoved {
		m.ring = append(m.ring, sid)
		return
	}
	delete(m.of, m.ring[m.next])
	m.ring[m.next] = sid
	m.next = (m.next + 1) % maxMoved
}

// left tells whether a session has left for another node, and who still waits for
// word of it.
func (s *Server) left(sid string) (h Mover, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, left = s.moved.of[sid]
	return h, left
}
