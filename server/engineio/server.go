package engineio

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Server is an http.Handler that serves Engine.IO on whatever path it is mounted
// at. Header sizes and times are its http.Server's to limit; CORS headers are
// added around it.
type Server struct {
	o        Options
	accept   func(*Session) Handler
	opening  [2][]byte // the open packet after the session id: polling, WebSocket
	wheel    *wheel
	network  network
	flushers []*flusher
	turn     atomic.Uint32          // deals sessions to flushers
	relaying atomic.Int64           // requests that wait for another node
	intake   atomic.Int64           // bytes; see intake.go
	lastURI  atomic.Pointer[string] // see sharedURI

	// wg counts sessions and the goroutines that work for them; a goroutine is
	// started only while its session counts.
	wg       sync.WaitGroup
	flushing sync.WaitGroup
	stop     chan struct{} // closed to end the flushers
	// ctx is what sessions that arrive here wait with; Close ends it when its time
	// is up.
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{} // closed when Close has done everything

	mu        sync.Mutex
	sessions  map[string]*Session
	relayed   map[*Session]*relayed // of sessions whose requests have come by other nodes
	arriving  map[*Session]*probe   // of other nodes' sessions whose upgrade has come here
	moved     movedSessions
	count     int // sessions, and handshakes that will be one
	addresses map[string]int
	words     int  // to former owners, on their way
	draining  bool // no new sessions
	closing   bool
}

// NewServer returns a server that hands each new session to accept, on the
// goroutine of its handshake; the client hears nothing before accept returns. The
// open packet goes first, then what accept has sent. A nil Handler refuses the
// session.
func NewServer(accept func(*Session) Handler, o Options) *Server {
	s := &Server{
		o:         o.withDefaults(),
		accept:    accept,
		stop:      make(chan struct{}),
		ended:     make(chan struct{}),
		sessions:  make(map[string]*Session),
		relayed:   make(map[*Session]*relayed),
		arriving:  make(map[*Session]*probe),
		addresses: make(map[string]int),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	upgrades := []string{}
	s.opening[1] = s.openPacketTail(upgrades)
	if slices.Contains(s.o.Transports, TransportWebSocket) {
		upgrades = append(upgrades, TransportWebSocket)
	}
	s.opening[0] = s.openPacketTail(upgrades)
	s.wheel = newWheel(min(s.o.PingInterval, s.o.PingTimeout))
	s.network.wg = &s.wg
	var err error
	if s.network.poller, err = newPoller(&s.network); err != nil {
		s.o.Logger.Warn("engineio: a goroutine per WebSocket", "error", err)
	}
	for range min(runtime.GOMAXPROCS(0), maxFlushers) {
		f := newFlusher(s.stop)
		s.flushers = append(s.flushers, f)
		s.flushing.Go(f.run)
	}
	return s
}

// Sessions returns the number of sessions, closing ones included.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// drainPace is the slowest pace of Drain, per session: few sessions are no wave.
const drainPace = 20 * time.Millisecond

// Refuse answers new sessions with 503 from now on. Those that are there stay.
func (s *Server) Refuse() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
}

// Drain refuses new sessions and closes those that there are as ReasonShutdown,
// one after the other, evenly over window or less: so that clients do not come
// to other servers all at once. Each is closed at a moment when its client waits for
// no answer, if one comes within a second of its turn; with a window of 0 all have
// their turn at once. A session that polls is served until then. It returns when
// the last one has begun to close, or when ctx ends; Close ends what is left. It
// must return before Close is called.
func (s *Server) Drain(ctx context.Context, window time.Duration) {
	s.Refuse()
	// In a map's order, which is no order. Handshakes that are under way are
	// Close's.
	all := s.list()
	window = min(window, time.Duration(len(all))*drainPace)
	began := time.Now()
	tick := time.NewTicker(max(window/500, time.Millisecond))
	defer tick.Stop()
	var left atomic.Int64
	left.Store(int64(len(all)) + 1)
	last := make(chan struct{})
	begun := func() {
		if left.Add(-1) == 0 {
			close(last)
		}
	}
	for i, session := range all {
		for due := time.Duration(float64(window) * float64(i) / float64(len(all))); time.Since(began) < due; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		session.retire(ReasonShutdown, begun)
	}
	begun()
	select {
	case <-last:
	case <-ctx.Done():
	}
}

// Close refuses new sessions, closes every session as ReasonShutdown, and waits
// for all goroutines. Clients have three seconds, or until ctx ends, to take what
// is queued. It returns an error only if a Handler is still blocked then.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	s.mu.Unlock()
	if !first {
		select {
		case <-s.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, session := range s.list() {
		session.Close(ReasonShutdown)
	}
	s.mu.Lock()
	arriving := maps.Clone(s.arriving)
	s.mu.Unlock()
	for session, p := range arriving {
		session.abandonProbe(p, "session closed")
	}
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	t := time.NewTimer(closeTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-t.C:
	}
	s.cancel()
	for _, session := range s.list() {
		session.abort(ReasonShutdown)
	}
	var err error
	t.Reset(2 * blockedGrace)
	select {
	case <-done:
	case <-t.C:
		err = errors.New("close engineio: a handler is still blocked")
	}
	close(s.stop)
	s.flushing.Wait()
	s.wheel.close()
	s.network.close()
	close(s.ended)
	return err
}

func (s *Server) list() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Session, 0, len(s.sessions))
	for _, session := range s.sessions {
		all = append(all, session)
	}
	return all
}

// ServeHTTP serves handshakes, polls and upgrades.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	transport := q.Get("transport")
	upgrade := isUpgrade(r)
	switch {
	case !slices.Contains(s.o.Transports, transport):
		s.refuse(w, r, RefusedTransport, "")
		return
	case upgrade && (transport != TransportWebSocket || !checkUpgrade(r)):
		if v := r.Header.Get("Sec-WebSocket-Version"); v != "" && v != "13" {
			w.Header().Set("Sec-WebSocket-Version", "13") // RFC 6455, 4.2.2
		}
		s.refuse(w, r, RefusedRequest, "")
		return
	case upgrade && !s.o.CheckOrigin(r):
		s.refuse(w, r, RefusedForbidden, "")
		return
	case !q.Has("sid") || q.Get("sid") == "":
		s.handshake(w, r, q, upgrade)
		return
	}
	session := s.find(q.Get("sid"))
	if session == nil {
		owner := s.foreign(q.Get("sid"))
		_, left := s.left(q.Get("sid"))
		switch {
		case owner != "" && upgrade && s.o.Adopt != nil:
			s.serveArrival(w, r, q, owner)
		case owner != "" && !upgrade:
			s.relay(w, r, owner)
		case left:
			s.refuse(w, r, RefusedRequest, "")
		default:
			s.refuse(w, r, RefusedSession, "")
		}
		return
	}
	if upgrade {
		s.serveUpgrade(w, r, q, session)
		return
	}
	s.serveSession(w, r, q, session)
}

// serveSession serves a polling request, which may have come by another node.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request, q url.Values, session *Session) {
	switch {
	case q.Get("transport") != TransportPolling:
		s.refuse(w, r, RefusedRequest, "")
	case r.Method == http.MethodGet:
		s.servePoll(w, r, q, session)
	case r.Method == http.MethodPost:
		s.servePost(w, r, q, session)
	default:
		s.refuse(w, r, RefusedRequest, "")
	}
}

// find returns a session whose client's time is not up.
func (s *Server) find(sid string) *Session {
	s.mu.Lock()
	session := s.sessions[sid]
	s.mu.Unlock()
	if session == nil {
		return nil
	}
	session.mu.Lock()
	dead := session.state == stateClosed || session.state == stateOpen && session.handler != nil && session.overdueLocked()
	session.mu.Unlock()
	if dead {
		session.abort(ReasonPingTimeout)
		return nil
	}
	return session
}

// reserve counts a session that is about to open.
func (s *Server) reserve(address string) (RefusalCode, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing || s.draining:
		return RefusedShutdown, false
	case s.o.MaxSessions > 0 && s.count >= s.o.MaxSessions:
		return RefusedCapacity, false
	case s.o.MaxSessionsPerAddress > 0 && s.addresses[address] >= s.o.MaxSessionsPerAddress:
		return RefusedAddress, false
	}
	s.count++
	s.addresses[address]++
	s.wg.Add(1)
	return 0, true
}

func (s *Server) unreserve(address string) {
	s.mu.Lock()
	s.unreserveLocked(address)
	s.mu.Unlock()
	s.wg.Done()
}

func (s *Server) unreserveLocked(address string) {
	s.count--
	if s.addresses[address]--; s.addresses[address] == 0 {
		delete(s.addresses, address)
	}
}

// forget ends the counting of a closed session. It is called once per session.
func (s *Server) forget(session *Session) {
	s.mu.Lock()
	delete(s.sessions, session.id)
	delete(s.relayed, session)
	s.unreserveLocked(session.facts.address)
	s.mu.Unlock()
	s.wg.Done()
}

// guard runs a call into the layer above, whose panic must not end the process.
func (s *Server) guard(f func()) (ok bool) {
	defer func() {
		if !ok {
			v := recover()
			s.o.Logger.Error("engineio: handler panicked", "panic", v, "stack", string(debug.Stack()))
			if h := s.o.Hooks.Panicked; h != nil {
				h()
			}
		}
	}()
	f()
	return true
}
