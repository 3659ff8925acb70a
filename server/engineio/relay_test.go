package engineio_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// wires join servers, by the node's name, as an adapter does, and can go wrong.
type wires struct {
	mu      sync.Mutex
	nodes   map[string]*engineio.Server
	serving sync.WaitGroup

	// Each is asked with the kind of request: g, p, r, u or b.
	loseRequest func(kind byte) bool  // it does not arrive
	loseReply   func(kind byte) bool  // it is on its way, and does not arrive
	failReply   func(kind byte) error // and the one who replies sees that
	twice       func(kind byte) bool  // it arrives again, as soon as it is answered

	// cut, when received from, breaks the way back of whoever waits.
	cut  chan struct{}
	seen func(request []byte)

	requests atomic.Int64
}

func (w *wires) join(name string, s *engineio.Server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.nodes == nil {
		w.nodes = map[string]*engineio.Server{}
	}
	w.nodes[name] = s
}

// leave is a node that dies.
func (w *wires) leave(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.nodes, name)
}

// no is a fault that never happens.
func no[T any](f func(byte) T, kind byte) (v T) {
	if f != nil {
		v = f(kind)
	}
	return v
}

func (w *wires) Ask(ctx context.Context, node string, request []byte) ([]byte, error) {
	w.mu.Lock()
	s := w.nodes[node]
	w.mu.Unlock()
	if s == nil {
		return nil, engineio.ErrUnknownNode
	}
	kind := request[1]
	w.requests.Add(1)
	if w.seen != nil {
		w.seen(request)
	}
	reply := make(chan []byte, 2)
	serve := func() {
		s.ServeRelayed(ctx, append([]byte(nil), request...), func(b []byte) error {
			if err := no(w.failReply, kind); err != nil {
				return err
			}
			if !no(w.loseReply, kind) {
				reply <- b
			}
			return nil
		})
	}
	if !no(w.loseRequest, kind) {
		w.serving.Go(func() {
			serve()
			if no(w.twice, kind) {
				serve()
			}
		})
	}
	select {
	case b := <-reply:
		return b, nil
	case <-w.cut:
		return nil, engineio.ErrNoReply
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", engineio.ErrNoReply, ctx.Err())
	}
}

// viaOther serves what can be relayed by another node than the owner.
func viaOther(t testing.TB, owner *engineio.Server, o engineio.Options) http.Handler {
	w := &wires{}
	o.NodeID, o.Relay = "othern", w
	o.Hooks = engineio.Hooks{Polled: o.Hooks.Polled}
	other := engineio.NewServer(func(*engineio.Session) engineio.Handler { return nil }, o)
	t.Cleanup(func() {
		if err := other.Close(context.Background()); err != nil {
			t.Error(err)
		}
		w.serving.Wait()
	})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		sid := r.URL.Query().Get("sid")
		if len(sid) != 20 || r.Header.Get("Upgrade") != "" {
			owner.ServeHTTP(rw, r)
			return
		}
		w.join(sid[:6], owner) // its name is random
		other.ServeHTTP(rw, r)
	})
}

// TestRelayed runs the tests of polling with every request of a session given to
// another node than its own: nothing may look different.
func TestRelayed(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"echo": TestPollingEcho, "held": TestPollIsHeldUntilThereIsSomething, "hold": TestPollHold,
		"timeouts": TestPollOutlivesServerTimeouts, "gzip": TestPollGzip, "maxPayload": TestPollRespectsMaxPayload,
		"polls at once": TestConcurrentPolls, "cancelled": TestCancelledPoll,
		"closed by the client": TestPollingCloseByClient, "closed by the server": TestPollingCloseByServer,
		"malformed": TestMalformedPayloads, "too big": TestPostTooBig, "while closing": TestPostWhileClosing,
		"close among packets": TestCloseAmongPackets, "upgrade": TestUpgrade, "pending poll": TestUpgradeWithPendingPoll,
		"failed upgrades": TestFailedUpgrades, "given up after upgrade": TestPollGivenUpAfterUpgrade,
		"during a post": TestUpgradeDuringPost, "order through upgrade": TestOrderThroughUpgrade,
		"queue": TestQueueBoundsWhilePolling, "slow body": TestSlowBody, "heartbeat": TestHeartbeatPolling,
		"heartbeat of revision 3": TestHeartbeatRevision3, "after the ping timeout": TestPollAfterPingTimeout,
		"refusals": TestRefusals, "posts at once": TestConcurrentPosts,
	} {
		t.Run(name, test)
	}
}

// pair is an owner and another node, where requests are given to.
type pair struct {
	*harness // of the owner
	wires    *wires
	other    *httptest.Server
	sid      string
	echo     *echo

	lost     atomic.Int64
	mu       sync.Mutex
	served   map[string]int // by kind and outcome
	outcomes map[string]int
}

func newPair(t *testing.T, o engineio.Options, setup func(*echo)) *pair {
	t.Helper()
	p := &pair{wires: &wires{}, served: map[string]int{}, outcomes: map[string]int{}}
	count := func(m map[string]int) func(kind, outcome string, bytes int, took time.Duration) {
		return func(kind, outcome string, _ int, _ time.Duration) {
			p.mu.Lock()
			defer p.mu.Unlock()
			m[kind+" "+outcome]++
		}
	}
	o.NodeID, o.Relay = "owner0", p.wires
	o.Hooks.RelayLost = func() { p.lost.Add(1) }
	o.Hooks.RelayServed = count(p.served)
	p.harness = startWith(t, o, func(e *echo) engineio.Handler {
		if setup != nil {
			setup(e)
		}
		return e
	})
	p.wires.join("owner0", p.Server)
	o.NodeID = "other0"
	o.Hooks = engineio.Hooks{Relayed: count(p.outcomes)}
	other := engineio.NewServer(func(*engineio.Session) engineio.Handler { return nil }, o)
	p.other = httptest.NewServer(other)
	t.Cleanup(func() {
		p.other.Close()
		if err := other.Close(context.Background()); err != nil {
			t.Error(err)
		}
		p.wires.serving.Wait()
	})
	p.sid = parseOpen(t, p.do("GET", "EIO=4&transport=polling", "").body).SID
	p.echo = p.session()
	return p
}

// ask gives a request to the other node.
func (p *pair) ask(method, body string) answer {
	p.t.Helper()
	return p.askFor(method, p.sid, body)
}

func (p *pair) askFor(method, sid, body string) answer {
	p.t.Helper()
	home := p.addr
	defer func() { p.addr = home }()
	p.addr = p.other.Listener.Addr().String()
	return p.do(method, "EIO=4&transport=polling&sid="+sid, body)
}

func (p *pair) count(m map[string]int, key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m[key]
}

func (p *pair) wantEnded(reason string) {
	p.t.Helper()
	select {
	case got := <-p.echo.closed:
		if got != reason {
			p.t.Errorf("closed as %q, want %q", got, reason)
		}
	case <-time.After(patience):
		p.t.Fatal("the session was not closed")
	}
}

// times makes a fault that happens n times to one kind.
func times(n int, kind byte) func(byte) bool {
	var left atomic.Int64
	left.Store(int64(n))
	return func(k byte) bool { return k == kind && left.Add(-1) >= 0 }
}

func TestRelayUnknownOwner(t *testing.T) {
	p := newPair(t, engineio.Options{}, nil)
	for _, sid := range []string{"nobody" + strings.Repeat("x", 14), "owner0" + strings.Repeat("x", 14)} {
		for _, method := range []string{"GET", "POST", "PUT"} {
			a := p.askFor(method, sid, "")
			if a.status != 400 || a.body != `{"code":1,"message":"Session ID unknown"}` {
				t.Errorf("%s %s: %d %q", method, sid, a.status, a.body)
			}
		}
	}
	// What cannot be a session id is nobody's business.
	before := p.wires.requests.Load()
	for _, sid := range []string{"x", "owner0" + strings.Repeat("x", 13) + "*", strings.Repeat("y", 300)} {
		if a := p.askFor("GET", sid, ""); a.status != 400 || !strings.Contains(a.body, `"code":1`) {
			t.Errorf("%q: %d %q", sid, a.status, a.body)
		}
	}
	if n := p.wires.requests.Load() - before; n != 0 {
		t.Errorf("%d requests to other nodes", n)
	}
}

// A POST whose answer is lost is sent again, and handled once.
func TestRelayedPostOnce(t *testing.T) {
	var handled atomic.Int64
	p := newPair(t, engineio.Options{}, func(e *echo) {
		e.onText = func([]byte) error { handled.Add(1); return nil }
	})
	p.wires.loseReply = times(1, 'p')
	p.wires.twice = func(byte) bool { return true }
	for i := range 20 {
		if a := p.ask("POST", fmt.Sprintf("4%d", i)); a.status != 200 || a.body != "ok" {
			t.Fatalf("%d %q", a.status, a.body)
		}
		p.wires.serving.Wait()
	}
	if n := handled.Load(); n != 20 {
		t.Errorf("%d messages handled, 20 were sent", n)
	}
	if n := p.count(p.served, "post repeat"); n < 20 {
		t.Errorf("%d repeats seen", n)
	}
}

// A repeat that comes while the first copy is being handled waits for it.
func TestRelayedPostRepeatedWhileHandled(t *testing.T) {
	t.Parallel() // it takes as long as a POST waits for its answer
	var handled atomic.Int64
	release := make(chan struct{})
	p := newPair(t, engineio.Options{}, func(e *echo) {
		e.onText = func([]byte) error { handled.Add(1); <-release; return nil }
	})
	go func() {
		for p.wires.requests.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		close(release)
	}()
	if a := p.ask("POST", "4x"); a.status != 200 {
		t.Errorf("%d %q", a.status, a.body)
	}
	if n := handled.Load(); n != 1 {
		t.Errorf("handled %d times", n)
	}
}

// A late repeat that may or may not have been handled ends its session.
func TestRelayedPostUnclear(t *testing.T) {
	p := newPair(t, engineio.Options{}, nil)
	var first []byte
	p.wires.seen = func(request []byte) {
		if first == nil {
			first = append(first, request...)
		}
	}
	post := func() {
		if a := p.ask("POST", "4x"); a.status != 200 {
			t.Fatalf("%d %q", a.status, a.body)
		}
	}
	repeat := func() {
		first[10] = 1
		p.ServeRelayed(t.Context(), first, func([]byte) error { return nil })
	}
	for range 8 {
		post()
	}
	repeat()
	if n := p.count(p.served, "post repeat"); n != 1 || p.Sessions() != 1 {
		t.Errorf("%d repeats, %d sessions", n, p.Sessions())
	}
	post()
	repeat()
	p.wantEnded(engineio.ReasonTransportError)
	if n := p.count(p.served, "post unclear"); n != 1 {
		t.Errorf("%d unclear", n)
	}
}

// What was taken for a client and did not reach it ends the session, and is
// counted; the client is not told that all is well.
func TestRelayedBatchLost(t *testing.T) {
	for name, fault := range map[string]func(*wires){
		"and the owner sees it":   func(w *wires) { w.failReply = failing('g', errors.New("gone")) },
		"the asking node is gone": func(w *wires) { w.failReply = failing('g', engineio.ErrUnknownNode) },
		"and nobody sees it":      func(w *wires) { w.loseReply = func(k byte) bool { return k == 'g' } },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, engineio.Options{RelayTimeout: time.Nanosecond, PollHold: time.Minute}, nil)
			fault(p.wires)
			_ = p.echo.s.Send(p.echo.s.Prepare([]byte("for you"), nil))
			// Not the whole time that a poll may take.
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, "GET", p.other.URL+"/?EIO=4&transport=polling&sid="+p.sid, nil)
			resp, err := http.DefaultClient.Do(r)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode == 200 {
					t.Errorf("the client was told that all is well")
				}
			}
			p.wantEnded(engineio.ReasonTransportError)
			p.eventually("counted", func() bool { return p.lost.Load() == 1 })
		})
	}
}

func failing(kind byte, err error) func(byte) error {
	return func(k byte) error {
		if k == kind {
			return err
		}
		return nil
	}
}

// The way back of a pending poll breaks: nothing was taken, so the session goes on.
func TestRelayedPollRecalled(t *testing.T) {
	p := newPair(t, engineio.Options{}, nil)
	p.wires.cut = make(chan struct{})
	for range 3 {
		got := make(chan answer, 1)
		go func() { got <- p.ask("GET", "") }()
		p.eventually("a poll is pending", func() bool { return p.echo.s.Idle() })
		p.wires.cut <- struct{}{}
		if a := <-got; a.status != 200 || a.body != "6" {
			t.Fatalf("%d %q", a.status, a.body)
		}
	}
	_ = p.echo.s.Send(p.echo.s.Prepare([]byte("for you"), nil))
	if a := p.ask("GET", ""); a.status != 200 || a.body != "4for you" {
		t.Errorf("%d %q", a.status, a.body)
	}
	p.wires.serving.Wait()
	if n := p.count(p.outcomes, "get spared"); n != 3 || p.Sessions() != 1 || p.lost.Load() != 0 {
		t.Errorf("%d spared, %d sessions, %d lost: %v", n, p.Sessions(), p.lost.Load(), p.served)
	}
}

// A poll that arrives after it was recalled takes nothing.
func TestRelayedPollRecalledBefore(t *testing.T) {
	p := newPair(t, engineio.Options{}, nil)
	var late []byte
	p.wires.seen = func(request []byte) {
		if request[1] == 'g' && late == nil {
			late = append(late, request...)
		}
	}
	p.wires.cut = make(chan struct{})
	p.wires.loseRequest = times(1, 'g')
	go func() { p.wires.cut <- struct{}{} }()
	if a := p.ask("GET", ""); a.status != 200 || a.body != "6" {
		t.Fatalf("%d %q", a.status, a.body)
	}
	_ = p.echo.s.Send(p.echo.s.Prepare([]byte("for you"), nil))
	p.ServeRelayed(t.Context(), late, func([]byte) error { return nil })
	p.wires.cut = nil
	if a := p.ask("GET", ""); a.status != 200 || a.body != "4for you" {
		t.Errorf("%d %q", a.status, a.body)
	}
}

// A node that asks for more than its share is told so, and nobody waits.
// A body that does not arrive waits for its client, not for another node.
func TestSlowBodyIsNotRelayed(t *testing.T) {
	p := newPair(t, engineio.Options{MaxRelayed: 1}, nil)
	slow, err := net.Dial("tcp", p.other.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	_ = slow.SetDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprintf(slow, "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", p.sid)
	lines := bufio.NewReader(slow)
	if line, err := lines.ReadString('\n'); !strings.Contains(line, " 100 ") {
		t.Fatalf("%q, %v", line, err) // it is being read
	}
	if a := p.ask("POST", "4other"); a.status != 200 {
		t.Errorf("another: %d %q", a.status, a.body)
	}
	_, _ = io.WriteString(slow, "4x")
	_, _ = lines.ReadString('\n')
	if line, err := lines.ReadString('\n'); !strings.Contains(line, " 200 ") {
		t.Errorf("%q, %v", line, err)
	}
}

func TestMaxRelayed(t *testing.T) {
	p := newPair(t, engineio.Options{MaxRelayed: 1}, nil)
	got := make(chan answer, 1)
	go func() { got <- p.ask("GET", "") }()
	p.eventually("a poll is pending", func() bool { return p.echo.s.Idle() })
	if a := p.ask("POST", "4x"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %q", a.status, a.body)
	}
	p.echo.s.Close(engineio.ReasonForcedServerClose)
	if a := <-got; a.body != "1" {
		t.Errorf("%d %q", a.status, a.body)
	}
}

func FuzzServeRelayed(f *testing.F) {
	p := &wires{}
	s := engineio.NewServer(func(*engineio.Session) engineio.Handler { return nil }, engineio.Options{NodeID: "owner0"})
	f.Cleanup(func() { _ = s.Close(context.Background()) })
	p.join("owner0", s)
	other := engineio.NewServer(func(*engineio.Session) engineio.Handler { return nil }, engineio.Options{NodeID: "other0", Relay: p})
	f.Cleanup(func() { _ = other.Close(context.Background()) })
	p.seen = func(request []byte) { f.Add(request) }
	for _, method := range []string{"GET", "POST", "PUT"} {
		r := httptest.NewRequest(method, "/?EIO=4&transport=polling&sid=owner0"+strings.Repeat("x", 14), strings.NewReader("4x"))
		other.ServeHTTP(httptest.NewRecorder(), r)
	}
	p.serving.Wait()
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, request []byte) {
		n := 0
		s.ServeRelayed(t.Context(), request, func(b []byte) error { n++; return nil })
		if n != 1 {
			t.Errorf("%d replies", n)
		}
	})
}
