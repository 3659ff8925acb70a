package engineio

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// poll is a pending GET (engine.io-protocol v4, "HTTP long-polling").
type poll struct {
	s     *Session
	wake  chan struct{} // never closed
	timer entry         // Options.PollHold, or less during an upgrade
	// late: it came after the upgrade's probe, so the client may be about to
	// complete that.
	late bool
	// relay is not nil for a poll that came by another node.
	relay *relayWriter
	// recalled: that node has given it up, and nothing was taken; guarded by s.mu.
	recalled bool
}

// wakePollLocked lets the pending poll look at the session.
func (s *Session) wakePollLocked() {
	if s.poll != nil {
		select {
		case s.poll.wake <- struct{}{}:
		default:
		}
	}
}

// expired is called by the wheel: the poll has been held long enough.
func (p *poll) expired() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.poll == p {
		p.s.wakePollLocked()
	}
}

// servePoll answers a GET with what is queued, or waits for something.
func (s *Server) servePoll(w http.ResponseWriter, r *http.Request, q url.Values, session *Session) {
	p := &poll{s: session, wake: make(chan struct{}, 1), relay: relayedBy(w)}
	p.timer.owner = p

	session.mu.Lock()
	switch {
	case session.state == stateClosed:
		session.mu.Unlock()
		s.refuse(w, r, RefusedSession, "")
		return
	case session.upgradedLocked():
		session.mu.Unlock()
		s.refuse(w, r, RefusedRequest, "")
		return
	case session.poll != nil:
		session.mu.Unlock()
		// The first one is answered with a close packet.
		session.abort(ReasonTransportError)
		s.refuseEmpty(w, http.StatusBadRequest, RefusedOverlap)
		return
	case p.relay != nil && !p.relay.beginPollLocked():
		session.mu.Unlock()
		s.refuseEmpty(w, http.StatusBadRequest, RefusedOverlap)
		return
	}
	session.poll = p
	p.late = session.probed
	ready := session.queue.count() > 0
	switch {
	case ready || session.state != stateOpen:
	case p.late:
		// Answered almost at once: the client waits for it before it completes the
		// upgrade. But what it sends on the WebSocket may overtake, or be overtaken
		// by, what it sends here, and after the upgrade a poll is an error.
		s.wheel.set(&p.timer, 2*s.wheel.tick)
	case p.relay != nil && (s.o.PollHold < 0 || s.o.PollHold > maxRelayHold):
		s.wheel.set(&p.timer, maxRelayHold)
	case s.o.PollHold > 0:
		s.wheel.set(&p.timer, s.o.PollHold)
	}
	session.mu.Unlock()

	if !ready {
		// An HTTP server's ReadTimeout runs on while the answer is waited for, and
		// would look like a client that gave up.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		select {
		case <-p.wake:
		case <-r.Context().Done():
			// The client gave up, which ends a session that polls. One that is moving
			// to its WebSocket, or has, loses nothing.
			session.mu.Lock()
			recalled := p.recalled
			if !recalled {
				session.poll = nil
				s.wheel.remove(&p.timer)
			}
			moving := session.probed || session.upgradedLocked()
			session.mu.Unlock()
			if p.relay != nil {
				return // the node that asked says what has become of the client
			}
			if !moving && !recalled {
				session.abort(ReasonTransportError)
			}
			return
		}
	}
	s.answerPoll(w, r, q, session, p)
}

// packetLists are where answers are put together.
var packetLists = sync.Pool{New: func() any { return new([]Packet) }}

// answerPoll takes from the queue what fits into one answer.
func (s *Server) answerPoll(w http.ResponseWriter, r *http.Request, q url.Values, session *Session, p *poll) {
	list := packetLists.Get().(*[]Packet)
	ps := (*list)[:0]
	session.mu.Lock()
	if p.recalled {
		session.mu.Unlock()
		packetLists.Put(list)
		return
	}
	session.poll = nil
	s.wheel.remove(&p.timer)
	switch {
	case session.state == stateClosed:
		ps = packetClose.appendPackets(ps)
	case session.upgradedLocked() && p.late:
		session.mu.Unlock()
		packetLists.Put(list)
		s.refuse(w, r, RefusedRequest, "")
		return
	case session.upgradedLocked():
	default:
		size := 0
		for m := session.queue.peek(); m != nil; m = session.queue.peek() {
			// maxPayload is for both directions; a single message may exceed it.
			size += m.payloadSize()
			if len(ps) > 0 && int64(size) > s.o.MaxHTTPBufferSize {
				break
			}
			ps = m.appendPackets(ps)
			session.queue.pop()
		}
	}
	last := session.state == stateClosing && session.queue.count() == 0
	empty := len(ps) == 0
	moving := empty && (session.probed || session.upgradedLocked())
	if p.relay != nil {
		p.relay.tookLocked(len(ps))
	}
	session.mu.Unlock()
	if empty {
		// Held long enough, or about to be upgraded, or just upgraded.
		ps = packetNoop.appendPackets(ps)
	}

	if last && p.relay != nil {
		// Here and not after the write, which sends it: net/http sends only when
		// all is done.
		session.abort(ReasonTransportError)
	}
	err := s.writePayload(w, r, q, session, ps)
	clear(ps)
	*list = ps
	packetLists.Put(list)
	if p.relay != nil && empty && !errors.Is(err, ErrUnknownNode) {
		err = nil // nothing is lost, and the node that asked can ask what became of it
	}
	if err != nil && !moving || last {
		session.abort(ReasonTransportError)
	}
}

// minGzip is the size from which an answer is compressed.
const minGzip = 1 << 10

var (
	payloads = sync.Pool{New: func() any { return new([]byte) }}
	gzips    = sync.Pool{New: func() any {
		z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // a valid level
		return z
	}}
)

// writePayload answers a poll with ps.
func (s *Server) writePayload(w http.ResponseWriter, r *http.Request, q url.Values, session *Session, ps []Packet) error {
	buf := payloads.Get().(*[]byte)
	defer putPayload(buf)
	jsonp := q.Has("j")
	octets := false
	body := (*buf)[:0]
	if session.revision == 3 {
		body, octets = AppendPayload3(body, ps, session.b64 || jsonp || wantsBase64(q))
	} else {
		body = AppendPayload4(body, ps)
	}
	*buf = body
	if jsonp {
		second := payloads.Get().(*[]byte)
		defer putPayload(second)
		*second = AppendJSONP((*second)[:0], q.Get("j"), body)
		body = *second
	}
	plain := len(body)

	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=UTF-8")
	switch {
	case jsonp:
		// Node says text here too; but a browser runs no script that says it is
		// text where X-Content-Type-Options is nosniff.
		head.Set("Content-Type", "text/javascript; charset=UTF-8")
	case octets:
		head.Set("Content-Type", "application/octet-stream")
	}
	head.Set("Cache-Control", "no-store")
	// A poll may have waited longer than the HTTP server's own write timeout.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.o.WriteTimeout))
	sent, compressed, err := writeBody(w, r, body)
	if h := s.o.Hooks.Polled; h != nil && relayedBy(w) == nil {
		h(plain, sent, compressed)
	}
	if h := s.o.Hooks.Sent; h != nil {
		h(TransportPolling, len(ps), plain)
	}
	return err
}

// writeBody writes a poll's answer, compressed if that is wanted and of use.
func writeBody(w http.ResponseWriter, r *http.Request, body []byte) (sent int, compressed bool, err error) {
	head := w.Header()
	if compressed = len(body) >= minGzip && acceptsGzip(r); compressed {
		packed := payloads.Get().(*[]byte)
		defer putPayload(packed)
		out := bytes.NewBuffer((*packed)[:0])
		z := gzips.Get().(*gzip.Writer)
		z.Reset(out)
		_, _ = z.Write(body) // to memory
		_ = z.Close()
		gzips.Put(z)
		*packed = out.Bytes()
		body = *packed
		head.Set("Content-Encoding", "gzip")
	}
	head.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(body)
	return len(body), compressed, err
}

// putPayload gives a buffer back, unless a rare large answer has grown it.
func putPayload(b *[]byte) {
	if cap(*b) <= maxWrite {
		payloads.Put(b)
	}
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && !strings.HasPrefix(q, "q=0.000")
		}
	}
	return false
}

func wantsBase64(q url.Values) bool { return q.Has("b64") }

// errTooBig: a body over Options.MaxHTTPBufferSize.
var errTooBig = errors.New("body too big")

// servePost feeds a payload to the session's Handler and answers when it has
// taken all of it.
func (s *Server) servePost(w http.ResponseWriter, r *http.Request, q url.Values, session *Session) {
	session.mu.Lock()
	switch {
	case session.state == stateClosed:
		session.mu.Unlock()
		s.refuse(w, r, RefusedSession, "")
		return
	case session.state == stateClosing && session.ws == nil:
		// Ignored, as Node does: a client would take a refusal for a failure, and
		// not fetch what it is being told.
		session.mu.Unlock()
		taken(w)
		return
	case session.upgradedLocked():
		session.mu.Unlock()
		s.refuse(w, r, RefusedRequest, "")
		return
	case session.posting:
		session.mu.Unlock()
		session.abort(ReasonTransportError)
		s.refuseEmpty(w, http.StatusBadRequest, RefusedOverlap)
		return
	}
	session.posting = true
	session.mu.Unlock()

	buf := payloads.Get().(*[]byte)
	defer putPayload(buf)
	in := intake{s: s}
	defer in.release()
	status, code, reason := s.post(w, r, q, session, buf, &in)

	// Before the answer: the client may send the next one as soon as it has it.
	session.mu.Lock()
	session.posting = false
	session.mu.Unlock()
	if reason != "" {
		session.abort(reason)
	}
	if status != http.StatusOK {
		s.refuseEmpty(w, status, code)
		return
	}
	taken(w)
}

// taken answers a POST.
func taken(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", "2")
	_, _ = io.WriteString(w, "ok")
}

// post reads and handles one POST. reason is why the session must be closed, ""
// if it need not.
func (s *Server) post(w http.ResponseWriter, r *http.Request, q url.Values, session *Session, buf *[]byte, in *intake) (status int, code RefusalCode, reason string) {
	octets := strings.HasPrefix(r.Header.Get("Content-Type"), "application/octet-stream")
	if octets && session.revision == 4 {
		return http.StatusBadRequest, RefusedPayload, ReasonTransportError
	}
	body, err := s.readBody(w, r, (*buf)[:0], in)
	*buf = body[:0]
	if errors.Is(err, errTooBig) {
		w.Header().Set("Connection", "close")
		return http.StatusRequestEntityTooLarge, RefusedSize, ""
	}
	if errors.Is(err, errCrowded) {
		w.Header().Set("Connection", "close")
		return http.StatusServiceUnavailable, RefusedCrowded, ""
	}
	if err != nil {
		w.Header().Set("Connection", "close")
		return http.StatusBadRequest, RefusedPayload, ReasonTransportError
	}
	if q.Has("j") {
		octets = false
		if body, err = DecodeJSONPBody(body, int(s.o.MaxHTTPBufferSize)); err != nil {
			return http.StatusBadRequest, RefusedPayload, ReasonParseError
		}
	}
	var ps []Packet
	if session.revision == 3 {
		ps, err = DecodePayload3(body, octets, s.o.MaxPayloadPackets, &session.twice)
	} else {
		ps, err = DecodePayload4(body, s.o.MaxPayloadPackets)
	}
	if err != nil {
		return http.StatusBadRequest, RefusedPayload, ReasonParseError
	}
	for _, p := range ps {
		if session.closing() {
			break // since the packet before: the rest is ignored
		}
		if !session.receive(TransportPolling, p) {
			if p.Type != TypeClose {
				return http.StatusBadRequest, RefusedPayload, ""
			}
			break
		}
	}
	return http.StatusOK, 0, ""
}

// readBody reads a body whose size is limited before it is believed, into b.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, b []byte, in *intake) ([]byte, error) {
	limit := s.o.MaxHTTPBufferSize
	if r.ContentLength > limit {
		return b, errTooBig
	}
	if !in.hold(cap(b)) {
		return b, errCrowded
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.o.BodyTimeout))
	for {
		if len(b) == cap(b) {
			b = append(b, make([]byte, max(512, len(b)))...)[:len(b)]
			if !in.hold(cap(b)) {
				return b, errCrowded
			}
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if int64(len(b)) > limit {
			return b, errTooBig
		}
		if err == io.EOF {
			// Only now: net/http reads on after a refusal, and must not wait longer.
			_ = rc.SetReadDeadline(time.Time{})
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
