package engineio

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A session id names its owner, so that any node can be given any request of a
// polling session: it has the owner answer. Both halves of that are here; what
// crosses is in relaywire.go. docs/decisions/2026-11-25-poll-relay.md says why
// nothing is lost or handled twice.

// Relay carries requests to other nodes. Its methods are called concurrently.
type Relay interface {
	// Ask hands a request to a node, once at most, and waits for the reply until
	// ctx ends, which that node's [Server.ServeRelayed] then learns too. It
	// returns ErrUnknownNode when nobody of that name is there, and ErrNoReply
	// when the request was handed over and no reply came.
	Ask(ctx context.Context, node string, request []byte) ([]byte, error)
}

var (
	// ErrUnknownNode: a Relay knows no node of that name.
	ErrUnknownNode = errors.New("unknown node")
	// ErrNoReply: a Relay has handed a request over, and no reply came.
	ErrNoReply = errors.New("no reply")
)

const (
	// maxRelayHold is how long a relayed poll is held at most, whatever
	// Options.PollHold says.
	maxRelayHold = 25 * time.Second
	// relayTry is how long a POST waits for its reply before it is sent again, and a
	// poll beyond the time that it is held before it is recalled.
	relayTry = 3 * time.Second
	// recallTimeout is how long an answer that did not come may take to be
	// recalled; its client waits.
	recallTimeout = 5 * time.Second
)

// foreign returns the owner in a session id that another node made, "" if the id
// is this node's own, or nobody's.
func (s *Server) foreign(sid string) string {
	if s.o.Relay == nil || len(sid) != idLen || strings.Trim(sid, idAlphabet) != "" || sid[:nodeIDLen] == s.o.NodeID {
		return ""
	}
	return sid[:nodeIDLen]
}

// errand is a request on its way to its session's owner.
type errand struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	owner string
	ask   relayRequest
	began time.Time
}

// Outcomes of an errand, for Hooks.Relayed.
const (
	RelayAnswered = "answered" // by the owner, whatever it said
	RelayUnknown  = "unknown"  // the owner is gone
	RelayFailed   = "failed"   // no answer from the owner; the session has ended or will
	RelaySpared   = "spared"   // no answer, but nothing was lost: the session goes on
	RelayLeft     = "left"     // the client went away
	RelayBusy     = "busy"     // Options.MaxRelayed or MaxArriving
	RelayBad      = "bad"      // a body that did not arrive, or was too large
)

// relay has the session's owner answer a request.
func (s *Server) relay(w http.ResponseWriter, r *http.Request, owner string) {
	e := &errand{s: s, w: w, r: r, owner: owner, began: time.Now()}
	sid := r.URL.Query().Get("sid")
	e.ask = relayRequest{kind: relayOther, sid: sid, id: rand.Uint64() | 1, query: r.URL.RawQuery}
	if len(e.ask.query) > maxURI {
		s.refuse(w, r, RefusedRequest, "")
		return
	}
	switch r.Method {
	case http.MethodGet:
		e.ask.kind = relayGet
		e.counted(e.get)
	case http.MethodPost:
		e.ask.kind = relayPost
		e.post()
	default:
		e.counted(e.once)
	}
}

// counted does what waits for another node, if not too many do.
func (e *errand) counted(wait func()) {
	defer e.s.relaying.Add(-1)
	if e.s.relaying.Add(1) > int64(e.s.o.MaxRelayed) {
		e.s.refuse(e.w, e.r, RefusedBusy, "")
		e.done(RelayBusy, 0)
		return
	}
	wait()
}

func (e *errand) done(outcome string, bytes int) {
	if h := e.s.o.Hooks.Relayed; h != nil {
		h(e.ask.kind.String(), outcome, bytes, time.Since(e.began))
	}
}

// get asks once: what the owner takes from the session's queue is sent to the
// client by whoever asked, or the session ends.
func (e *errand) get() {
	_ = http.NewResponseController(e.w).SetReadDeadline(time.Time{})
	hold := e.s.o.PollHold
	if hold < 0 || hold > maxRelayHold {
		hold = maxRelayHold
	}
	// An owner that has died does not say so; one that only holds longer loses
	// nothing by being asked again.
	ctx, cancel := context.WithTimeout(e.r.Context(), hold+relayTry)
	defer cancel()
	b, err := e.s.o.Relay.Ask(ctx, e.owner, e.ask.append(nil))
	answer, bad := readRelayReply(b)
	switch {
	case err == nil && bad == nil:
		if e.s.writeRelayed(e.w, e.r, answer) != nil {
			e.tell(relayUndelivered)
			e.done(RelayLeft, len(answer.body))
			return
		}
		e.done(RelayAnswered, len(answer.body))
	case errors.Is(err, ErrUnknownNode):
		e.unknown()
	case e.r.Context().Err() != nil:
		// The owner has let go of the poll, by ctx, or answered at that moment.
		e.tell(relayUndelivered)
		e.done(RelayLeft, 0)
	default:
		e.recall()
	}
}

// recall finds out what has become of a poll whose answer did not come. If the
// owner had taken nothing from the queue, the client polls again, as after a poll
// with nothing to say.
func (e *errand) recall() {
	b, err := e.inquire(relayRecall)
	answer, bad := readRelayReply(b)
	switch {
	case errors.Is(err, ErrUnknownNode):
		e.unknown()
	case err == nil && bad == nil:
		if e.s.writeRelayed(e.w, e.r, answer) == nil && answer.status == http.StatusOK {
			e.done(RelaySpared, len(answer.body))
		} else {
			e.done(RelayFailed, 0)
		}
	default:
		e.fail()
	}
}

// post reads the body here, within this node's limits, before it counts: one that
// does not come must not keep others from being passed on. Then it asks until there
// is an answer: the owner knows a repeat by its id.
func (e *errand) post() {
	buf := payloads.Get().(*[]byte)
	defer putPayload(buf)
	in := intake{s: e.s}
	defer in.release()
	body, err := e.s.readBody(e.w, e.r, (*buf)[:0], &in)
	*buf = body[:0]
	switch {
	case errors.Is(err, errCrowded):
		e.w.Header().Set("Connection", "close")
		e.s.refuseEmpty(e.w, http.StatusServiceUnavailable, RefusedCrowded)
		e.done(RelayBusy, 0)
		return
	case errors.Is(err, errTooBig):
		e.w.Header().Set("Connection", "close")
		e.s.refuseEmpty(e.w, http.StatusRequestEntityTooLarge, RefusedSize)
		e.done(RelayBad, 0)
		return
	case err != nil:
		e.w.Header().Set("Connection", "close")
		e.s.refuseEmpty(e.w, http.StatusBadRequest, RefusedPayload)
		e.tell(relayBroken)
		e.done(RelayBad, 0)
		return
	}
	e.ask.contentType = e.r.Header.Get("Content-Type")
	if len(e.ask.contentType) > maxHeaderValue {
		e.ask.contentType = ""
	}
	e.ask.body = body
	e.counted(e.send)
}

// send is the rest of post.
func (e *errand) send() {
	// Not the client's own context: what has arrived is handled, as at the owner.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.r.Context()), e.s.o.RelayTimeout)
	defer cancel()
	for {
		try, end := context.WithTimeout(ctx, relayTry)
		b, err := e.s.o.Relay.Ask(try, e.owner, e.ask.append(nil))
		end()
		answer, bad := readRelayReply(b)
		switch {
		case err == nil && bad == nil:
			_ = e.s.writeRelayed(e.w, e.r, answer)
			e.done(RelayAnswered, len(e.ask.body))
			return
		case errors.Is(err, ErrUnknownNode):
			e.unknown()
			return
		case errors.Is(err, ErrNoReply) && ctx.Err() == nil:
			// Only now: so the first copy is before this one, wherever it is.
			e.ask.repeat = true
		default:
			e.fail()
			_ = http.NewResponseController(e.w).Flush()
			e.tell(relayBroken) // the client takes the session for ended
			return
		}
	}
}

// once is for requests that the owner can only refuse.
func (e *errand) once() {
	ctx, cancel := context.WithTimeout(e.r.Context(), relayTry)
	defer cancel()
	b, err := e.s.o.Relay.Ask(ctx, e.owner, e.ask.append(nil))
	answer, bad := readRelayReply(b)
	switch {
	case err == nil && bad == nil:
		_ = e.s.writeRelayed(e.w, e.r, answer)
		e.done(RelayAnswered, 0)
	case errors.Is(err, ErrUnknownNode):
		e.unknown()
	default:
		e.fail()
	}
}

// tell sends word about this request. If it does not arrive, the owner finds out
// by its own clocks.
func (e *errand) tell(kind relayKind) { _, _ = e.inquire(kind) }

// inquire asks about this request. It waits, though the client may be gone.
func (e *errand) inquire(kind relayKind) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.r.Context()), recallTimeout)
	defer cancel()
	word := relayRequest{kind: kind, sid: e.ask.sid, id: e.ask.id, query: e.ask.query}
	return e.s.o.Relay.Ask(ctx, e.owner, word.append(nil))
}

func (e *errand) unknown() {
	e.s.refuse(e.w, e.r, RefusedSession, "")
	e.done(RelayUnknown, 0)
}

func (e *errand) fail() {
	e.s.refuse(e.w, e.r, RefusedRelay, "")
	e.done(RelayFailed, 0)
}

// writeRelayed answers with what the owner said.
func (s *Server) writeRelayed(w http.ResponseWriter, r *http.Request, a relayReply) error {
	head := w.Header()
	for i := 0; i+1 < len(a.header); i += 2 {
		head.Set(a.header[i], a.header[i+1])
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.o.WriteTimeout))
	if a.status == http.StatusOK && r.Method == http.MethodGet {
		sent, compressed, err := writeBody(w, r, a.body)
		if h := s.o.Hooks.Polled; h != nil {
			h(len(a.body), sent, compressed)
		}
		return err
	}
	head.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, err := w.Write(a.body)
	return err
}
