package engineio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// relayed is what a session's owner remembers of relayed requests; guarded by the
// session's mu.
type relayed struct {
	get      uint64    // the poll that came last
	taken    bool      // it has been answered
	empty    bool      // with nothing from the queue
	recalled [4]uint64 // polls that must not be answered if they come yet
	recalls  int

	posts   [8]relayedPost // those that came last
	next    int            // where the next goes
	evicted bool           // there were more
}

type relayedPost struct {
	id    uint64
	done  chan struct{} // closed when reply is there
	reply []byte        // immutable then
}

// relayedOf returns what is remembered for a session; nil: it is not there any
// more.
func (s *Server) relayedOf(session *Session) *relayed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[session.id] != session {
		return nil
	}
	r := s.relayed[session]
	if r == nil {
		r = &relayed{}
		s.relayed[session] = r
	}
	return r
}

// Kinds of a relayed request's end at the owner, for Hooks.RelayServed.
const (
	ServedAnswered = "answered"
	ServedRepeat   = "repeat"  // a POST that was known; it got the same answer
	ServedUnclear  = "unclear" // a POST that may have been known; its session was closed
	ServedLost     = "lost"    // a poll's answer did not arrive; its session was closed
	ServedSpared   = "spared"  // a poll was recalled, and nothing was lost
	ServedNoted    = "noted"   // word that a client went away
	ServedRefused  = "refused" // a step of a move that is not possible
)

// ServeRelayed serves a request of another node's Relay. reply sends the answer;
// its error says that the asking node has not got it, or may not have. It blocks
// until the request is answered, or ctx ends, which is when the client has gone
// away; a poll is held for 25 s at most.
func (s *Server) ServeRelayed(ctx context.Context, request []byte, reply func([]byte) error) {
	began := time.Now()
	q, err := readRelayRequest(request)
	if err != nil {
		_ = reply((&relayReply{status: http.StatusBadRequest}).append(nil))
		return
	}
	outcome := s.serveRelayed(ctx, &q, reply)
	if h := s.o.Hooks.RelayServed; h != nil {
		h(q.kind.String(), outcome, len(q.body), time.Since(began))
	}
}

func (s *Server) serveRelayed(ctx context.Context, q *relayRequest, reply func([]byte) error) string {
	query, _ := url.ParseQuery(q.query) // what can be parsed
	r := &http.Request{
		Method: q.kind.method(), URL: &url.URL{RawQuery: q.query}, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	r = r.WithContext(ctx)
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
	}
	w := &relayWriter{id: q.id, reply: reply, header: http.Header{}}
	session := s.find(q.sid)
	if session != nil {
		w.session, w.memory = session, s.relayedOf(session)
	}
	if w.memory == nil {
		s.serveLeft(w, r, q)
		return ServedAnswered
	}
	switch q.kind {
	case relayGet:
		s.serveSession(w, r, query, session)
		if w.err == nil {
			return ServedAnswered
		}
		if w.lost() {
			s.lostBatch(session) // closed already; this counts it
		}
		return ServedLost
	case relayPost:
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(q.body)), int64(len(q.body))
		return s.serveRelayedPost(ctx, w, r, query, q)
	case relayRecall:
		return s.serveRecall(w, r, query)
	case relayUndelivered:
		defer w.noContent()
		switch lost, moving := w.undelivered(); {
		case lost:
			s.lostBatch(session)
			return ServedLost
		case moving:
			return ServedNoted
		}
		session.abort(ReasonTransportError) // its client went away
		return ServedNoted
	case relayBroken:
		defer w.noContent()
		session.abort(ReasonTransportError)
		return ServedNoted
	case relayOther:
		s.serveSession(w, r, query, session)
		return ServedAnswered
	default:
		return s.serveMove(ctx, w, r, q)
	}
}

// serveLeft serves a request of a session that is not here.
func (s *Server) serveLeft(w *relayWriter, r *http.Request, q *relayRequest) {
	h, left := s.left(q.sid)
	switch {
	case q.kind == relayWord && h != nil:
		s.guard(func() { h.Told(q.body) })
		w.noContent()
	case left:
		s.refuse(w, r, RefusedRequest, "") // as after an upgrade
	default:
		s.refuse(w, r, RefusedSession, "")
	}
}

// beginPollLocked is false for a poll that was here already, or that its node has
// given up.
func (w *relayWriter) beginPollLocked() bool {
	m := w.memory
	if m.get == w.id || slices.Contains(m.recalled[:], w.id) {
		return false
	}
	m.get, m.taken, m.empty = w.id, false, false
	return true
}

// tookLocked remembers whether the poll's answer matters.
func (w *relayWriter) tookLocked(packets int) {
	if m := w.memory; m.get == w.id {
		m.taken, m.empty = true, packets == 0
	}
}

// lostLocked reports whether something went out in the answer of the poll, which
// has not arrived.
func (w *relayWriter) lostLocked() bool {
	m := w.memory
	return m.get == w.id && m.taken && !m.empty
}

func (w *relayWriter) lost() bool {
	w.session.mu.Lock()
	defer w.session.mu.Unlock()
	return w.lostLocked()
}

// serveRecall takes a poll back whose answer has not reached the asking node.
func (s *Server) serveRecall(w *relayWriter, r *http.Request, q url.Values) string {
	session, m := w.session, w.memory
	session.mu.Lock()
	lost := w.lostLocked()
	m.recalled[m.recalls%len(m.recalled)] = w.id
	m.recalls++
	if p := session.poll; p != nil && p.relay != nil && p.relay.id == w.id {
		p.recalled = true
		session.poll = nil
		s.wheel.remove(&p.timer)
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	polls := !session.upgradedLocked()
	session.mu.Unlock()
	switch {
	case lost:
		s.lostBatch(session)
		s.refuse(w, r, RefusedSession, "")
		return ServedLost
	case !polls:
		s.refuse(w, r, RefusedRequest, "")
		return ServedAnswered
	}
	_ = s.writePayload(w, r, q, session, packetNoop.appendPackets(nil))
	return ServedSpared
}

// undelivered: the client of a relayed poll went away. lost says that something
// was in the answer, moving that the session does not need the poll any more.
func (w *relayWriter) undelivered() (lost, moving bool) {
	s := w.session
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.lostLocked(), s.probed || s.upgradedLocked()
}

// lostBatch closes a session whose client will never have what was taken for it.
func (s *Server) lostBatch(session *Session) {
	session.abort(ReasonTransportError)
	if h := s.o.Hooks.RelayLost; h != nil {
		h()
	}
}

// serveRelayedPost handles a POST once, however often it comes.
func (s *Server) serveRelayedPost(ctx context.Context, w *relayWriter, r *http.Request, query url.Values, q *relayRequest) string {
	session, rel := w.session, w.memory
	session.mu.Lock()
	for i := range rel.posts {
		if p := &rel.posts[i]; p.id == q.id {
			done := p.done
			session.mu.Unlock()
			select {
			case <-done:
			case <-ctx.Done():
				return ServedRepeat // its node asks again, or has given up
			}
			session.mu.Lock()
			var answer []byte
			for i := range rel.posts {
				if p := &rel.posts[i]; p.id == q.id {
					answer = p.reply
				}
			}
			session.mu.Unlock()
			if answer != nil {
				_ = w.reply(answer)
			}
			return ServedRepeat
		}
	}
	if q.repeat && rel.evicted {
		// Handled already, or never seen: nobody knows any more.
		session.mu.Unlock()
		session.abort(ReasonTransportError)
		s.refuseEmpty(w, http.StatusBadRequest, RefusedOverlap)
		return ServedUnclear
	}
	slot := rel.next
	rel.next = (rel.next + 1) % len(rel.posts)
	rel.evicted = rel.evicted || rel.posts[slot].id != 0
	done := make(chan struct{})
	rel.posts[slot] = relayedPost{id: q.id, done: done}
	session.mu.Unlock()

	send := w.reply
	w.reply = func(b []byte) error {
		session.mu.Lock()
		if p := &rel.posts[slot]; p.id == q.id {
			p.reply = b
		}
		session.mu.Unlock()
		close(done)
		return send(b)
	}
	s.serveSession(w, r, query, session)
	return ServedAnswered
}

// relayWriter is the http.ResponseWriter of a relayed request: what is written to
// it is the reply, in one piece.
type relayWriter struct {
	// Immutable; nil session when there is none.
	id      uint64
	session *Session
	memory  *relayed // guarded by session.mu

	reply  func([]byte) error
	header http.Header
	status int
	sent   bool
	err    error
}

func (w *relayWriter) Header() http.Header { return w.header }

func (w *relayWriter) WriteHeader(status int) {
	w.status = status
	if w.header.Get("Content-Length") == "0" {
		_, _ = w.Write(nil)
	}
}

var errTwice = errors.New("a second write to a relayed answer")

// Write sends the reply. Its error is that the asking node has not got it, so that
// what serves polls treats that like a client that is gone.
func (w *relayWriter) Write(b []byte) (int, error) {
	if w.sent {
		return 0, errTwice
	}
	w.sent = true
	if w.status == 0 {
		w.status = http.StatusOK
	}
	a := relayReply{status: w.status, body: b}
	for _, name := range relayedHeaders {
		if v := w.header.Get(name); v != "" {
			a.header = append(a.header, name, v)
		}
	}
	if w.err = w.reply(a.append(nil)); w.err != nil {
		return 0, w.err
	}
	return len(b), nil
}

func (w *relayWriter) noContent() {
	w.status = http.StatusNoContent
	_, _ = w.Write(nil)
}

// relayedBy is nil for a request that came by itself.
func relayedBy(w http.ResponseWriter) *relayWriter {
	rw, _ := w.(*relayWriter)
	return rw
}
