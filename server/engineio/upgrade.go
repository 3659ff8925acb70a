package engineio

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gobwas/ws"
)

// probe is an upgrade under way (engine.io-protocol v4, "Upgrade"): a WebSocket
// opened for a session that polls. Until its client has sent 2probe and then 5,
// the session stays on polling, and whatever goes wrong ends only the WebSocket.
type probe struct {
	w     *webSocket
	timer entry

	probed bool // 2probe has come; owned by the reading goroutine

	// Of a WebSocket at another node (move.go), w is nil and these are set.
	s       *Session
	id      uint64
	leaving bool // the session is being packed; guarded by its mu
	// arrival is not nil where the session is another node's.
	arrival *arrival
}

// session is whose candidate it is.
func (p *probe) session() *Session {
	if p.w == nil {
		return p.s
	}
	return p.w.s
}

// serveUpgrade handles a WebSocket request with a session id.
func (s *Server) serveUpgrade(w http.ResponseWriter, r *http.Request, q url.Values, session *Session) {
	nc, buffered, answer, err := s.takeOver(w, r)
	if err != nil {
		return
	}
	ws := &webSocket{s: session, conn: s.network.newConn(nc), b64: wantsBase64(q), ends: s.newAge()}
	if ws.conn.writeAll(answer, s.o.WriteTimeout) != nil {
		ws.conn.close()
		return
	}
	p := &probe{w: ws}
	p.timer.owner = p
	ws.probe = p

	session.mu.Lock()
	if session.state != stateOpen || session.ws != nil || session.candidate != nil {
		session.mu.Unlock()
		// After the handshake and not instead of it, as Node: some clients take a
		// refused handshake for a failure of the whole server.
		_ = ws.conn.writeAll(closeFrame.wire, time.Second)
		ws.conn.close()
		s.upgradeFailed("second upgrade")
		return
	}
	session.candidate = p
	s.wheel.set(&p.timer, s.o.UpgradeTimeout)
	// Under the lock: while the session is open, the server cannot have ended.
	ws.conn.start(ws, buffered)
	session.mu.Unlock()
}

func (s *Server) upgradeFailed(why string) {
	if h := s.o.Hooks.UpgradeFailed; h != nil {
		h(why)
	}
}

// expired is called by the wheel.
func (p *probe) expired() { p.session().abandonProbe(p, "timeout") }

// drop closes a candidate that the session has already let go of.
func (p *probe) drop(why string) {
	s := p.session()
	s.srv.wheel.remove(&p.timer)
	if p.w != nil {
		p.w.conn.close()
	}
	s.srv.upgradeFailed(why)
	if p.arrival != nil {
		p.arrival.gone(s, relayAbandon)
	}
}

// abandon lets go of this candidate, on the reading goroutine.
func (w *webSocket) abandon(why string) { w.s.abandonProbe(w.probe, why) }

func (s *Session) abandonProbe(p *probe, why string) {
	s.mu.Lock()
	mine := s.candidate == p && !p.leaving
	if mine {
		s.candidate = nil
		s.probed = false
	}
	s.mu.Unlock()
	if mine {
		p.drop(why)
	}
}

// probing handles a packet on a candidate.
func (w *webSocket) probing(p Packet) error {
	switch {
	case !w.probe.probed && p.Type == TypePing && string(p.Data) == "probe":
		w.probe.probed = true
		w.s.markProbed(w.probe) // the client may act on the answer at once
		if err := w.conn.writeAll(packetProbe.wire, w.s.srv.o.UpgradeTimeout); err != nil {
			w.abandon("write failed")
			return errEnded
		}
		w.s.releasePoll()
		return nil
	case w.probe.probed && p.Type == TypeUpgrade && w.s.take(w):
		return nil
	case w.probe.probed && p.Type == TypeUpgrade && w.s.closing():
		// The client has left polling: nobody comes for the close packet there.
		w.leave("session closed", ending{})
		w.s.abort(ReasonTransportClose)
		return errEnded
	}
	w.leave("unexpected packet", ending{frame: prepareClose(ws.StatusPolicyViolation)})
	return errEnded
}

// upgradedLocked: the session does not poll any more, here or at another node.
func (s *Session) upgradedLocked() bool {
	return s.ws != nil || s.state == stateMoving || s.candidate != nil && s.candidate.leaving
}

// markProbed has every poll from now on answered within a moment, so that the
// client can stop polling.
func (s *Session) markProbed(p *probe) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.candidate == p && s.state == stateOpen {
		s.probed = true
	}
}

// releasePoll answers the poll that was pending before.
func (s *Session) releasePoll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probed {
		s.wakePollLocked()
	}
}

// take makes a candidate the session's transport. It refuses while a POST is
// handled: a client must have paused its polling, and what it sent there comes
// first.
func (s *Session) take(w *webSocket) bool {
	s.mu.Lock()
	if s.state != stateOpen || s.candidate != w.probe || s.posting {
		s.mu.Unlock()
		return false
	}
	s.srv.wheel.remove(&w.probe.timer)
	w.probe = nil
	s.candidate, s.probed = nil, false
	s.wakePollLocked() // it finds the WebSocket and answers with a noop
	s.ws = w
	// Revision 3 too: Node stops watching there, and a silent upgraded client
	// lives for ever.
	s.heardLocked()
	if w.ends != 0 {
		s.setBeatLocked(time.Duration(s.due - s.srv.wheel.clock()))
	}
	if s.queue.count() > 0 {
		s.kickLocked(false)
	}
	s.mu.Unlock()
	if h := s.srv.o.Hooks.Upgraded; h != nil {
		h(int(s.revision))
	}
	return true
}
