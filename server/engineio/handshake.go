package engineio

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gobwas/ws"
)

// handshake opens a session (engine.io-protocol v4, "Handshake").
func (s *Server) handshake(w http.ResponseWriter, r *http.Request, q url.Values, upgrade bool) {
	if s.o.Admit != nil {
		if wait, ok := s.o.Admit(); !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			s.refuse(w, r, RefusedOverload, "")
			return
		}
	}
	if s.o.Ready != nil && !s.o.Ready() {
		s.refuse(w, r, RefusedUnready, "")
		return
	}
	transport, eio := q.Get("transport"), q.Get("EIO")
	revision := byte(3)
	if eio == "4" {
		revision = 4
	}
	switch {
	case r.Method != http.MethodGet:
		s.refuse(w, r, RefusedMethod, "")
		return
	case transport == TransportWebSocket && !upgrade, len(r.URL.RequestURI()) > maxURI:
		s.refuse(w, r, RefusedRequest, "")
		return
	case revision == 3 && s.o.DisableRevision3, s.o.StrictRevision && eio != "3" && eio != "4":
		s.refuse(w, r, RefusedVersion, "")
		return
	}
	// What costs most comes last: there may be no room.
	address := ClientAddress(r, s.o.TrustedProxies)
	if code, ok := s.reserve(address); !ok {
		s.refuse(w, r, code, "")
		return
	}
	if s.o.AllowRequest != nil {
		var err error
		if !s.guard(func() { err = s.o.AllowRequest(r) }) {
			err = errors.New(RefusedForbidden.message())
		}
		if err != nil {
			s.unreserve(address)
			s.refuse(w, r, RefusedForbidden, err.Error())
			return
		}
	}
	f := s.gather(r, address)
	session := &Session{
		srv:    s,
		id:     s.o.NodeID + randomID(idLen-nodeIDLen),
		opened: time.Now().UnixNano(),
		facts:  f,

		revision:    revision,
		b64:         wantsBase64(q),
		secure:      s.isSecure(r),
		crossDomain: r.Header.Get("Origin") != "",
		shard:       uint8(s.turn.Add(1) % uint32(len(s.flushers))),
	}
	session.beat.owner = session
	s.setCookie(w, session.id)
	if upgrade {
		s.openWebSocket(w, r, session)
		return
	}
	s.admit(session, TransportPolling)
	if err := s.writePayload(w, r, q, session, s.openPacket(nil, session).appendPackets(nil)); err != nil {
		session.abort(ReasonTransportError)
	}
}

// openWebSocket opens a session on a WebSocket.
func (s *Server) openWebSocket(w http.ResponseWriter, r *http.Request, session *Session) {
	nc, buffered, answer, err := s.takeOver(w, r)
	if err != nil {
		s.unreserve(session.facts.address)
		return
	}
	ws := &webSocket{s: session, conn: s.network.newConn(nc), b64: session.b64, ends: s.newAge()}
	session.ws = ws
	session.held = true
	if session.revision == 3 {
		// Apart from the open packet: there are clients of revision 3 that begin to
		// listen for packets only when the handshake is done.
		if ws.conn.writeAll(answer, s.o.WriteTimeout) != nil {
			ws.conn.close()
			s.unreserve(session.facts.address)
			return
		}
		answer = nil
	}
	// One write for both, otherwise: it is the dearest part of a handshake.
	session.queue.push(s.openPacket(answer, session))
	s.admit(session, TransportWebSocket)

	session.mu.Lock()
	session.held = false
	flush := session.kickLocked(true)
	if session.state == stateClosed {
		session.mu.Unlock()
		ws.conn.close()
		return
	}
	// Under the lock: while the session is not closed, the server cannot have
	// ended.
	ws.conn.start(ws, buffered)
	session.mu.Unlock()
	if flush {
		scratch := joins.Get().(*[maxJoin]byte)
		session.flush(scratch[:0], flushRounds)
		joins.Put(scratch)
	}
}

// admit makes the session known and has it accepted.
func (s *Server) admit(session *Session, transport string) {
	session.handling = true // until accept is done, no Closed
	if hook := s.o.Hooks.Opened; hook != nil {
		hook(transport, int(session.revision))
	}
	s.mu.Lock()
	s.sessions[session.id] = session
	s.mu.Unlock()

	var h Handler
	s.guard(func() { h = s.accept(session) })

	session.mu.Lock()
	session.handler = h
	if session.state == stateOpen {
		session.startHeartbeatLocked()
	}
	session.mu.Unlock()
	session.end()
	if h == nil {
		session.abort(ReasonForcedServerClose)
		return
	}
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if closing {
		// Close may have made its list before this session was on it.
		session.Close(ReasonShutdown)
	}
}

// openPacket is the first packet of a session (engine.io-protocol v4,
// "Handshake"), on a WebSocket behind what comes before it.
func (s *Server) openPacket(before []byte, session *Session) *Prepared {
	tail := s.opening[0]
	if session.ws != nil {
		tail = s.opening[1]
	}
	n := len(openHead) + len(session.id) + len(tail)
	b := appendHeader(slices.Grow(before, ws.MaxHeaderSize+1+n), ws.OpText, n+1)
	b = append(append(b, '0'+TypeOpen), openHead...)
	b = append(append(b, session.id...), tail...) // an id needs no escapes
	p := &Prepared{wire: b}
	p.add(Packet{Type: TypeOpen, Data: p.tail(n)})
	return p
}

const openHead = `{"sid":"`

// openPacketTail is what follows the id, the same for all sessions of a transport.
func (s *Server) openPacketTail(upgrades []string) []byte {
	b, _ := json.Marshal(struct { // only strings and numbers: cannot fail
		Upgrades     []string `json:"upgrades"`
		PingInterval int64    `json:"pingInterval"`
		PingTimeout  int64    `json:"pingTimeout"`
		MaxPayload   int64    `json:"maxPayload"`
	}{upgrades, s.o.PingInterval.Milliseconds(), s.o.PingTimeout.Milliseconds(), s.o.MaxHTTPBufferSize})
	b[0] = ',' // instead of the opening brace
	return append([]byte{'"'}, b...)
}

func (s *Server) setCookie(w http.ResponseWriter, sid string) {
	if s.o.Cookie == nil {
		return
	}
	c := *s.o.Cookie
	c.Value = sid
	c.HttpOnly = true
	if c.Name == "" {
		c.Name = "io"
	}
	if c.Path == "" {
		c.Path = "/"
	}
	if c.SameSite == 0 {
		c.SameSite = http.SameSiteLaxMode
	}
	http.SetCookie(w, &c)
}
