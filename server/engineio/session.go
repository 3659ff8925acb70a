package engineio

import (
	"errors"
	"iter"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Reasons that a Handler's Closed is given. The first seven are spelled as in
// Socket.IO.
const (
	ReasonTransportClose    = "transport close"      // the client closed, or its connection ended
	ReasonTransportError    = "transport error"      // the connection failed, or the client broke the protocol
	ReasonPingTimeout       = "ping timeout"         // no sign of life
	ReasonForcedClose       = "forced close"         // closed by the application
	ReasonForcedServerClose = "forced server close"  // closed by the server
	ReasonShutdown          = "server shutting down" // Server.Close, Server.Drain
	ReasonParseError        = "parse error"          // undecodable input, or the Handler's error
	ReasonSlowClient        = "slow client"          // its queue was full or did not move
	ReasonMaxAge            = "maximum age"          // Options.MaxAge
)

var (
	// ErrClosed: the session is closed or closing; the message was not taken.
	ErrClosed = errors.New("session closed")
	// ErrSlowClient: the session's queue was full; the session has been closed.
	ErrSlowClient = errors.New("session closed: slow client")
	// ErrFrame: not a message made by Prepare for this session's revision.
	ErrFrame = errors.New("frame not prepared for this session")
)

// Handler takes what a session's client sends. Its methods are called in the
// order of arrival, one at a time.
type Handler interface {
	// Text and Binary take one Engine.IO message. data is valid during the call
	// only. They may block: then nothing more is read from this client, and
	// nobody else notices. An error closes the session as ReasonParseError.
	Text(data []byte) error
	Binary(data []byte) error
	// Closed is called once, last, after a call of the other two has returned;
	// only a call that is still blocked a second after the session ended does not
	// hold it up, so that Closed can release it.
	Closed(reason string)
}

// state of a session; it only grows.
type state uint8

const (
	stateOpen state = iota
	// stateMoving: handed over to another node, which has not confirmed it yet.
	stateMoving
	// stateClosing: nothing more is taken in or queued; what is queued, then a
	// goodbye, is still going out.
	stateClosing
	stateClosed
)

// Session is one client's Engine.IO connection, whatever transports it uses. Its
// methods may be called from any goroutine, and none of them blocks.
type Session struct {
	// Immutable.
	srv    *Server
	id     string
	facts  facts
	opened int64 // Unix time in nanoseconds

	beat entry // wakes expired

	// mu guards all that follows. The small fields stand together, since every
	// byte counts here.
	mu      sync.Mutex
	handler Handler // nil until accepted; then it stays
	queue   queue
	due     int64 // of the heartbeat, once closing of that; in nanoseconds of wheel.clock

	poll      *poll      // polling: the pending GET
	ws        *webSocket // nil while polling
	candidate *probe     // an upgrade under way

	handled chan struct{} // closed when handling ends; made by who waits for that

	state      state
	held       bool      // accept runs: nothing may go out before the open packet
	handling   bool      // a call of the Handler, or accept, is under way
	waiting    bool      // heartbeat
	posting    bool      // a POST is being read or handled; its goroutine owns twice
	twice      UTF8Twice // how the client encodes polling text (revision 3)
	writing    bool      // someone is in write, or waits for it to become possible
	dirty      bool      // on the flusher's list
	probed     bool      // candidate has been probed: polls are not held
	peerClosed bool      // the peer's WebSocket close frame has arrived
	retiring   bool      // retire has begun

	// Immutable too; here they fill what the compiler would leave empty.
	shard       uint8 // its flusher in srv.flushers
	revision    byte
	b64         bool // handshake with b64: binary as base64 (revision 3)
	secure      bool
	crossDomain bool
}

// ID returns the session id: 20 characters, the first 6 the node's.
func (s *Session) ID() string { return s.id }

// Revision returns the Engine.IO revision, 3 or 4.
func (s *Session) Revision() int { return int(s.revision) }

// Opened returns when the session began.
func (s *Session) Opened() time.Time { return time.Unix(0, s.opened) }

// Transport returns the name of the present transport.
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transportLocked()
}

func (s *Session) transportLocked() string {
	if s.ws != nil {
		return TransportWebSocket
	}
	return TransportPolling
}

// RemoteAddr returns the client's address without a port, as far as
// Options.TrustedProxies lets it be known.
func (s *Session) RemoteAddr() string { return s.facts.address }

// Header returns a header of the handshake, in any case of letters, if it is in
// Options.Headers.
func (s *Session) Header(name string) string {
	for kept, value := range s.kept() {
		if strings.EqualFold(kept, name) {
			return value
		}
	}
	return ""
}

// kept yields the kept headers with their values.
func (s *Session) kept() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		rest := s.facts.headers.Value()
		for _, name := range s.srv.o.Headers {
			var value string
			value, rest, _ = strings.Cut(rest, headerEnd)
			if value != "" && !yield(name, value) {
				return
			}
		}
	}
}

// Headers returns the kept headers of the handshake, with lower-case names. The
// map is the caller's.
func (s *Session) Headers() map[string]string {
	m := make(map[string]string, len(s.srv.o.Headers))
	for name, value := range s.kept() {
		m[name] = value
	}
	return m
}

// URL returns the handshake's path and query, without what Options.Secrets
// names.
func (s *Session) URL() string {
	uri, _, _ := strings.Cut(*s.facts.uri, headerEnd)
	return uri
}

// Secret returns the parameter of the handshake's query, or else its header, of
// a name in Options.Secrets; "" when there was none.
func (s *Session) Secret(name string) string {
	_, secrets, _ := strings.Cut(*s.facts.uri, headerEnd)
	for line := range strings.SplitSeq(secrets, headerEnd) {
		if known, value, _ := strings.Cut(line, "="); known == name {
			return value
		}
	}
	return ""
}

// Query returns the handshake's query, parsed anew by each call.
func (s *Session) Query() url.Values {
	_, raw, _ := strings.Cut(s.URL(), "?")
	q, _ := url.ParseQuery(raw) // what can be parsed
	return q
}

// Secure reports whether the client came by TLS.
func (s *Session) Secure() bool { return s.secure }

// CrossDomain reports whether the handshake named an Origin, as Node's xdomain.
func (s *Session) CrossDomain() bool { return s.crossDomain }

// Prepare makes a message of an Engine.IO text, without its type digit, and of
// binary messages that follow it directly; either may be missing. It copies both.
// The result is immutable and is for any number of sessions: of the same
// revision, or of both when there is no binary.
func (s *Session) Prepare(text []byte, binary [][]byte) any {
	return prepare(s.revision, text, binary)
}

// Send queues a message and, if nothing is before it, tries to write it at once.
// What follows a message sent by one goroutine is sent after it.
//
// It returns ErrClosed, ErrSlowClient or ErrFrame; nil does not mean that the
// client has it.
func (s *Session) Send(frame any) error { return s.enqueue(frame, true) }

// Queue is Send for broadcasts: it only queues, and allocates nothing; one of the
// server's flushers writes, joining what has piled up for the same client.
func (s *Session) Queue(frame any) error { return s.enqueue(frame, false) }

func (s *Session) enqueue(frame any, now bool) error {
	p, ok := frame.(*Prepared)
	if !ok || p.revision != 0 && p.revision != s.revision {
		return ErrFrame
	}
	if len(p.wire) == 0 {
		return nil // prepared of nothing
	}
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return ErrClosed
	}
	if q := &s.queue; q.count() > 0 && (q.count() >= s.srv.o.QueuePackets || q.waiting()+len(p.wire) > s.srv.o.QueueBytes) {
		bytes, messages := q.waiting(), q.count()
		s.mu.Unlock()
		s.tooSlow(bytes, messages, true)
		return ErrSlowClient
	}
	s.queue.push(p)
	flush := s.kickLocked(now)
	s.mu.Unlock()
	if flush {
		s.flush(nil, 1)
	}
	return nil
}

// tooSlow ends a session whose client does not read.
func (s *Session) tooSlow(bytes, messages int, overflow bool) {
	if s.abort(ReasonSlowClient) {
		s.srv.o.Logger.Debug("engineio: closed a client that does not read", "bytes", bytes, "messages", messages, "overflow", overflow)
		if h := s.srv.o.Hooks.SlowClient; h != nil {
			h(bytes, messages, overflow)
		}
	}
}

// kickLocked sees to it that what was queued goes out. It returns true when the
// caller must call flush after unlocking, which only happens if now is set.
func (s *Session) kickLocked(now bool) (flush bool) {
	switch {
	case s.held || s.state == stateClosed:
	case s.ws == nil:
		s.wakePollLocked()
	case s.writing || s.dirty:
		// Whoever has it now sees what was added.
	case now:
		s.writing = true
		return true
	default:
		s.dirty = true
		s.flusher().add(s)
	}
	return false
}

// Go runs f on another goroutine, which costs less than a go statement: one of the
// server's that has a grown stack already, or a new one when none waits. f may
// block. Close does not wait for it.
func (s *Session) Go(f func()) { s.srv.network.workers.do(f) }

// Idle reports whether a message would go out now: nothing is queued, and the
// WebSocket takes writes or a poll is pending. It is how volatile events are
// decided.
func (s *Session) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateOpen && s.queue.count() == 0 && !s.writing && (s.ws != nil || s.poll != nil)
}

// begin marks the start of a call of the Handler; false: none may begin.
func (s *Session) begin() bool {
	s.mu.Lock()
	open, busy := s.state == stateOpen, s.handling
	if open && !busy {
		s.handling = true
		s.heardLocked()
	}
	s.mu.Unlock()
	if open && busy {
		// Two transports at once: the rules of the upgrade exclude it.
		s.abort(ReasonTransportError)
	}
	return open && !busy
}

// end marks the end of it.
func (s *Session) end() {
	s.mu.Lock()
	s.handling = false
	if s.handled != nil {
		close(s.handled)
		s.handled = nil
	}
	s.mu.Unlock()
}

// receive handles one packet from the session's transport. false: the session has
// ended, or is ending, and takes no more.
func (s *Session) receive(transport string, p Packet) bool {
	if h := s.srv.o.Hooks.Received; h != nil {
		h(transport, 1, len(p.Data))
	}
	switch p.Type {
	case TypeMessage:
		if !s.begin() {
			return false
		}
		var err error
		ok := s.srv.guard(func() {
			if p.Binary {
				err = s.handler.Binary(p.Data)
			} else {
				err = s.handler.Text(p.Data)
			}
		})
		s.end()
		if err != nil || !ok {
			s.finish(ReasonParseError, ending{})
			return false
		}
		return true
	case TypePing, TypePong:
		// engine.io-protocol v4, "Heartbeat": the server pings; v3: the client does.
		if (p.Type == TypePing) != (s.revision == 3) {
			s.finish(ReasonTransportError, ending{})
			return false
		}
		if p.Type == TypePing {
			// A bare answer: Node does not echo the ping's data.
			return s.heard() && s.Queue(packetPong) == nil
		}
		return s.heard()
	case TypeClose:
		s.finish(ReasonTransportClose, ending{peer: true})
		return false
	default:
		// Open, upgrade and noop mean nothing here; Node ignores them too.
		return s.heard()
	}
}
