package engineio

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unique"

	"github.com/gobwas/ws"
)

// An upgrade that arrives at another node than the session's own moves the session
// there (docs/decisions/2026-11-25-session-move.md). The new node holds the
// WebSocket and does the probe; the owner stops the polling. When the client
// completes the upgrade the owner freezes the session and hands it over; the new
// node takes it up, has that confirmed, and only then sends. Whatever is not
// confirmed in time ends the session on both sides, and the client comes back.

// Mover is a Handler whose session can move to another node.
type Mover interface {
	Handler
	// Pack is called when nothing more comes from the client here. What has come
	// is handled, for as long as ctx lasts; then nothing more is sent. It returns
	// what Options.Adopt needs at the other node. After an error the session is
	// closed.
	Pack(ctx context.Context) ([]byte, error)
	// Departed: the session goes on elsewhere. It is called instead of Closed, and
	// does not block. true: Told may be called, for a while.
	Departed() bool
	// Told takes what Adopt's tell was given at the other node.
	Told(word []byte)
}

// Adopt makes the Handler of a session that comes from another node, of what its
// Mover packed there. Nothing is sent before start, which is called when the other
// node has let go of the session. After an error a Handler that is not nil has its
// Closed called. tell sends word to the Mover; it may be lost, and does not block.
type Adopt func(ctx context.Context, s *Session, state []byte, tell func(word []byte)) (h Handler, start func(), err error)

const (
	// packTimeout is how long handlers may run on before a move.
	packTimeout = time.Second
	// moveTimeout is how long each step of a move may take.
	moveTimeout = 2 * time.Second
	// movingTimeout is how long the owner keeps what it has handed over: the new
	// node's two steps.
	movingTimeout = 2*moveTimeout + time.Second
	// maxMoved is how many sessions that have left a node remembers, to answer
	// late requests as after an upgrade.
	maxMoved = 4096
	// maxWord limits what is told to a former owner, in bytes, and maxWords how
	// many are on their way at once.
	maxWord  = 4 << 20
	maxWords = 1000
)

// Outcomes of a move, for Hooks.Moved.
const (
	MoveDone          = "moved"
	MoveNotHandedOver = "not handed over" // the owner did not answer, or was busy
	MoveNotTakenUp    = "not taken up"    // by the Handler here
	MoveNotConfirmed  = "not confirmed"   // by the owner, in time
)

// ReasonMoved is what Hooks.Closed is given where a session has left for another
// node.
const ReasonMoved = "moved"

// errMove ends a move; the client comes back by itself.
var errMove = errors.New("move not completed")

// movedSession is a session on its way.
type movedSession struct {
	Revision    byte              `json:"revision"`
	B64         bool              `json:"b64,omitempty"`
	Secure      bool              `json:"secure,omitempty"`
	CrossDomain bool              `json:"cross_domain,omitempty"`
	Opened      int64             `json:"opened"`
	Address     string            `json:"address"`
	URI         string            `json:"uri"`
	Headers     map[string]string `json:"headers,omitempty"`
	Queue       [][]movedPacket   `json:"queue,omitempty"` // by message
	Handler     []byte            `json:"handler"`
}

type movedPacket struct {
	Type   byte   `json:"t"`
	Binary bool   `json:"b,omitempty"`
	Data   []byte `json:"d,omitempty"`
}

// The owner's side.

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
		Address: s.facts.address, URI: s.facts.uri, Headers: s.Headers(),
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

// The new node's side.

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
	ctx, cancel := context.WithTimeout(context.Background(), moveTimeout)
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
	s.become(&m)
	srv.mu.Lock()
	delete(srv.arriving, s)
	srv.readdressLocked(a.address, m.Address)
	srv.sessions[s.id] = s
	srv.mu.Unlock()
	s.mu.Lock()
	s.ws = w
	s.held, s.handling = true, true
	s.mu.Unlock()
	w.probe = nil

	ctx, cancel := context.WithTimeout(context.Background(), moveTimeout)
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
	if hook := srv.o.Hooks.Opened; hook != nil {
		hook(TransportWebSocket, int(s.revision))
	}
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

// become fills in what the session was.
func (s *Session) become(m *movedSession) {
	s.opened = m.Opened
	s.b64, s.secure, s.crossDomain = m.B64, m.Secure, m.CrossDomain
	var values strings.Builder
	for _, name := range s.srv.o.Headers {
		values.WriteString(m.Headers[name])
		values.WriteString(headerEnd)
	}
	s.facts = facts{address: m.Address, uri: m.URI, headers: unique.Make(values.String())}
	for _, message := range m.Queue {
		s.queue.push(s.remade(message))
	}
}

// remade is a message as its owner had it.
func (s *Session) remade(message []movedPacket) *Prepared {
	if len(message) == 1 && message[0].Type != TypeMessage {
		return preparePacket(message[0].Type, message[0].Data)
	}
	var text []byte
	var bins [][]byte
	for i, k := range message {
		switch {
		case k.Binary:
			bins = append(bins, k.Data)
		case i == 0:
			text = append([]byte{}, k.Data...)
		}
	}
	return prepare(s.revision, text, bins)
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
	if s.queue.count > 0 {
		s.kickLocked(false)
	}
}

// teller sends word to the former owner, without waiting.
func (a *arrival) teller() func(word []byte) {
	return func(word []byte) {
		if len(word) > maxWord || a.s.words.Add(1) > maxWords {
			return
		}
		go func() {
			defer a.s.words.Add(-1)
			_, _ = a.ask(relayWord, word)
		}()
	}
}

// readdressLocked counts a session under another address than it was reserved for.
func (s *Server) readdressLocked(from, to string) {
	if s.addresses[from]--; s.addresses[from] == 0 {
		delete(s.addresses, from)
	}
	s.addresses[to]++
}
