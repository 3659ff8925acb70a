package engineio

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/gobwas/ws"
)

// The new node's side of a move (move.go).

// arrival is what a candidate knows whose session is another node's.
type arrival struct {
	s       *Server
	owner   string
	sid     string
	id      uint64
	address string // as reserved
	began   time.Time
}

// ask takes a step; it is bounded, and its answer's status must be 200.
func (a *arrival) ask(kind relayKind, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(a.s.ctx, moveTimeout)
	defer cancel()
	q := relayRequest{kind: kind, sid: a.sid, id: a.id, body: body}
	b, err := a.s.o.Relay.Ask(ctx, a.owner, q.append(nil))
	if err != nil {
		return nil, err
	}
	answer, err := readRelayReply(b)
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK {
		return answer.body, &moveRefusal{answer.status}
	}
	return answer.body, nil
}

// moveRefusal is an owner that said no.
type moveRefusal struct{ status int }

func (e *moveRefusal) Error() string { return "the owner refuses: " + http.StatusText(e.status) }

// serveArrival handles a WebSocket request for another node's session.
func (s *Server) serveArrival(w http.ResponseWriter, r *http.Request, q url.Values, owner string) {
	address := ClientAddress(r, s.o.TrustedProxies)
	if code, ok := s.reserve(address); !ok {
		s.refuse(w, r, code, "")
		return
	}
	a := &arrival{s: s, owner: owner, sid: q.Get("sid"), id: rand.Uint64() | 1, address: address, began: time.Now()}
	offer, err := a.ask(relayOffer, nil)
	var refusal *moveRefusal
	second := errors.As(err, &refusal) && refusal.status == http.StatusConflict
	if err != nil && !second || err == nil && (len(offer) != 1 || offer[0] != 3 && offer[0] != 4) {
		s.unreserve(address)
		switch {
		case errors.Is(err, ErrUnknownNode), refusal != nil:
			s.refuse(w, r, RefusedSession, "")
		default:
			s.refuse(w, r, RefusedRelay, "")
		}
		return
	}
	nc, buffered, answer, err := s.takeOver(w, r)
	if err != nil {
		s.unreserve(address)
		return
	}
	// The session itself comes with the move; until then it is only its WebSocket's.
	session := &Session{srv: s, id: a.sid, shard: uint8(s.turn.Add(1) % uint32(len(s.flushers)))}
	session.beat.owner = session
	c := &webSocket{s: session, conn: s.network.newConn(nc), b64: wantsBase64(q), ends: s.newAge()}
	err = c.conn.writeAll(answer, s.o.WriteTimeout)
	if err != nil || second {
		if second {
			_ = c.conn.writeAll(closeFrame.wire, time.Second)
		}
		c.conn.close()
		s.unreserve(address)
		s.upgradeFailed("second upgrade")
		return
	}
	session.revision = offer[0]
	p := &probe{w: c, arrival: a}
	p.timer.owner = p
	c.probe = p
	session.mu.Lock()
	session.candidate = p
	s.wheel.set(&p.timer, s.o.UpgradeTimeout)
	s.mu.Lock()
	s.arriving[session] = p
	closing := s.closing
	s.mu.Unlock()
	c.conn.start(c, buffered)
	session.mu.Unlock()
	if closing {
		session.abandonProbe(p, "session closed")
	}
}

// gone tells the owner that its candidate is no more, or, with relayBroken, its
// client; the reservation ends with it.
func (a *arrival) gone(session *Session, kind relayKind) {
	a.s.mu.Lock()
	delete(a.s.arriving, session)
	a.s.mu.Unlock()
	go func() { // counted by the reservation
		_, _ = a.ask(kind, nil)
		a.s.unreserve(a.address)
	}()
}

// arriving handles a packet on such a candidate.
func (w *webSocket) arriving(p Packet) error {
	c := w.probe
	switch {
	case !c.probed && p.Type == TypePing && string(p.Data) == "probe":
		c.probed = true
		if _, err := c.arrival.ask(relayProbed, nil); err != nil {
			w.leave("session closed", ending{})
			return errEnded
		}
		if err := w.conn.writeAll(packetProbe.wire, w.s.srv.o.UpgradeTimeout); err != nil {
			w.abandon("write failed")
			return errEnded
		}
		return nil
	case c.probed && p.Type == TypeUpgrade:
		if w.arrive() {
			return nil
		}
		return errEnded
	}
	w.leave("unexpected packet", ending{frame: prepareClose(ws.StatusPolicyViolation)})
	return errEnded
}

// arrive takes the session over, on the reading goroutine: nothing more is read
// before. The client has left polling, so that there is no way back.
func (w *webSocket) arrive() bool {
	s, p := w.s, w.probe
	a, srv := p.arrival, w.s.srv
	s.mu.Lock()
	mine := s.candidate == p
	if mine {
		s.candidate = nil
		srv.wheel.remove(&p.timer)
	}
	s.mu.Unlock()
	if !mine {
		return false
	}
	outcome := func(what string) {
		if h := srv.o.Hooks.Moved; h != nil {
			h(what, time.Since(a.began))
		}
	}
	var m movedSession
	b, err := a.ask(relayMove, nil)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil || m.Revision != s.revision || srv.o.Adopt == nil {
		outcome(MoveNotHandedOver)
		_ = w.conn.writeAll(closeFrame.wire, time.Second)
		w.conn.close()
		srv.upgradeFailed(MoveNotHandedOver)
		a.gone(s, relayBroken)
		return false
	}
	// All of it before anybody can find the session: a poll must see that there is
	// a WebSocket.
	s.become(&m)
	s.ws = w
	s.held, s.handling = true, true
	w.probe = nil
	if hook := srv.o.Hooks.Opened; hook != nil {
		hook(TransportWebSocket, int(s.revision))
	}
	srv.mu.Lock()
	delete(srv.arriving, s)
	srv.readdressLocked(a.address, m.Address)
	srv.sessions[s.id] = s
	srv.mu.Unlock()

	ctx, cancel := context.WithTimeout(srv.ctx, moveTimeout)
	defer cancel()
	var h Handler
	var start func()
	if !srv.guard(func() { h, start, err = srv.o.Adopt(ctx, s, m.Handler, a.teller()) }) {
		err = errMove
	}
	if h == nil && err == nil {
		err = errMove
	}
	failed := MoveNotTakenUp
	if err == nil {
		failed = MoveNotConfirmed
		_, err = a.ask(relayMoved, nil)
	}
	s.mu.Lock()
	s.handler = h
	open := s.state == stateOpen
	if err == nil && open {
		s.arrivedLocked()
	}
	s.mu.Unlock()
	s.end()
	if err != nil || !open {
		srv.o.Logger.Debug("engineio: session did not move here", "error", err)
		outcome(failed)
		srv.wg.Go(func() { _, _ = a.ask(relayBroken, nil) }) // while the session counts
		s.abort(ReasonTransportError)
		srv.upgradeFailed(failed)
		return false
	}
	outcome(MoveDone)
	start()
	srv.mu.Lock()
	closing := srv.closing
	srv.mu.Unlock()
	if closing {
		s.Close(ReasonShutdown)
	}
	return true
}

// arrivedLocked lets the session's frames go.
func (s *Session) arrivedLocked() {
	s.held = false
	s.startHeartbeatLocked()
	if s.revision == 4 {
		// The client counts from the owner's last ping, whenever that was.
		soon := min(s.srv.o.PingInterval, s.srv.o.PingTimeout/2)
		s.due = s.srv.wheel.clock() + int64(soon)
		s.setBeatLocked(soon)
	}
	if s.queue.count() > 0 {
		s.kickLocked(false)
	}
}

// teller sends word to the former owner, without waiting.
func (a *arrival) teller() func(word []byte) {
	return func(word []byte) {
		s := a.s
		s.mu.Lock()
		ok := !s.closing && s.words < maxWords && len(word) <= maxWord
		if ok {
			s.words++
			s.wg.Add(1)
		}
		s.mu.Unlock()
		if !ok {
			s.wordLost()
			return
		}
		go func() {
			defer s.wg.Done()
			if _, err := a.ask(relayWord, word); err != nil {
				s.wordLost()
			}
			s.mu.Lock()
			s.words--
			s.mu.Unlock()
		}()
	}
}

func (s *Server) wordLost() {
	if h := s.o.Hooks.WordLost; h != nil {
		h()
	}
}

// readdressLocked counts a session under another address than it was reserved for.
func (s *Server) readdressLocked(from, to string) {
	if s.addresses[from]--; s.addresses[from] == 0 {
		delete(s.addresses, from)
	}
	s.addresses[to]++
}
