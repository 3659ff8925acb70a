package socketio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/antchat/antchat/adapter/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeFrame is what fakeConn prepares.
type fakeFrame struct {
	text   string
	hasTxt bool
	binary [][]byte
}

func (f *fakeFrame) String() string {
	parts := make([]string, 0, 1+len(f.binary))
	if f.hasTxt {
		parts = append(parts, f.text)
	}
	for _, b := range f.binary {
		parts = append(parts, fmt.Sprintf("<%x>", b))
	}
	return strings.Join(parts, "")
}

// fakeConn is an Engine.IO session in memory. As engineio does, it calls Closed
// on a goroutine of its own, once.
type fakeConn struct {
	id       string
	revision int
	headers  map[string]string
	secrets  map[string]string
	query    url.Values
	opened   time.Time

	mu     sync.Mutex
	cond   *sync.Cond
	sent   []*fakeFrame
	at     int // of the next frame to look at
	reason string
	busy   bool // not Idle
	client *Client
	wg     sync.WaitGroup
}

var errFakeClosed = errors.New("closed")

func newFakeConn(revision int) *fakeConn {
	c := &fakeConn{
		id: newID(), revision: revision, opened: time.Now(), query: url.Values{},
		headers: map[string]string{"user-agent": "Mozilla/5.0"},
	}
	c.cond = sync.NewCond(&c.mu)
	return c
}

func (c *fakeConn) ID() string                 { return c.id }
func (c *fakeConn) Revision() int              { return c.revision }
func (c *fakeConn) Transport() string          { return "websocket" }
func (c *fakeConn) RemoteAddr() string         { return "192.0.2.1" }
func (c *fakeConn) Header(name string) string  { return c.headers[name] }
func (c *fakeConn) Headers() map[string]string { return c.headers }
func (c *fakeConn) Query() url.Values          { return c.query }
func (c *fakeConn) URL() string                { return "/socket.io/?" + c.query.Encode() }
func (c *fakeConn) Secure() bool               { return false }
func (c *fakeConn) CrossDomain() bool          { return false }
func (c *fakeConn) Go(f func())                { go f() }
func (c *fakeConn) Secret(name string) string  { return c.secrets[name] }
func (c *fakeConn) Opened() time.Time          { return c.opened }

func (c *fakeConn) Prepare(text []byte, binary [][]byte) any {
	f := &fakeFrame{text: string(text), hasTxt: text != nil}
	for _, b := range binary {
		f.binary = append(f.binary, bytes.Clone(b))
	}
	return f
}

func (c *fakeConn) Send(frame any) error { return c.Queue(frame) }

func (c *fakeConn) Queue(frame any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != "" {
		return errFakeClosed
	}
	c.sent = append(c.sent, frame.(*fakeFrame))
	c.cond.Broadcast()
	return nil
}

func (c *fakeConn) Idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.busy && c.reason == ""
}

func (c *fakeConn) Close(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != "" {
		return
	}
	c.reason = reason
	c.cond.Broadcast()
	c.wg.Go(func() {
		c.mu.Lock()
		client := c.client
		c.mu.Unlock()
		if client != nil {
			client.Closed(reason)
		}
	})
}

func (c *fakeConn) Abort(reason string) { c.Close(reason) }

// testServer is a server over the embedded adapter.
type testServer struct {
	*Server
	t       testing.TB
	adapter *local.Adapter
	mu      sync.Mutex
	conns   []*fakeConn
}

func newTestServer(t testing.TB, o Options) *testServer {
	t.Helper()
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{Server: NewServer(a, o), t: t, adapter: a}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		s.mu.Lock()
		conns := s.conns
		s.mu.Unlock()
		for _, c := range conns {
			c.wg.Wait()
		}
		if err := a.Close(ctx); err != nil {
			t.Errorf("close adapter: %v", err)
		}
	})
	return s
}

// open takes a connection in.
func (s *testServer) open(c *fakeConn) *peer {
	client := s.Accept(c)
	c.mu.Lock()
	c.client = client
	closed := c.reason
	c.mu.Unlock()
	s.mu.Lock()
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	if closed != "" {
		client.Closed(closed)
	}
	return &peer{fakeConn: c, t: s.t}
}

func (s *testServer) v5() *peer { return s.open(newFakeConn(4)) }
func (s *testServer) v4() *peer { return s.open(newFakeConn(3)) }

// peer is the client's side of a fakeConn.
type peer struct {
	*fakeConn
	t testing.TB
}

const patience = 10 * time.Second

// say sends text messages.
func (p *peer) say(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		p.mu.Lock()
		client, gone := p.client, p.reason != ""
		p.mu.Unlock()
		if gone {
			return
		}
		if err := client.Text([]byte(text)); err != nil {
			p.Close("parse error")
		}
	}
}

func (p *peer) sayBinary(b []byte) {
	p.mu.Lock()
	client, gone := p.client, p.reason != ""
	p.mu.Unlock()
	if !gone && client.Binary(b) != nil {
		p.Close("parse error")
	}
}

// next waits for the next frame.
func (p *peer) next() string {
	p.t.Helper()
	f := p.nextFrame()
	if f == nil {
		return ""
	}
	return f.String()
}

func (p *peer) nextFrame() *fakeFrame {
	p.t.Helper()
	stop := time.AfterFunc(patience, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cond.Broadcast()
	})
	defer stop.Stop()
	deadline := time.Now().Add(patience)
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.at >= len(p.sent) {
		if p.reason != "" || !time.Now().Before(deadline) {
			p.t.Errorf("no frame came (closed: %q)", p.reason)
			return nil
		}
		p.cond.Wait()
	}
	p.at++
	return p.sent[p.at-1]
}

// want expects the next frames.
func (p *peer) want(frames ...string) {
	p.t.Helper()
	for _, w := range frames {
		if got := p.next(); got != w {
			p.t.Fatalf("got frame %s, want %s", got, w)
		}
	}
}

// wantClosed waits for the connection to be closed.
func (p *peer) wantClosed(reason string) {
	p.t.Helper()
	stop := time.AfterFunc(patience, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cond.Broadcast()
	})
	defer stop.Stop()
	deadline := time.Now().Add(patience)
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.reason == "" {
		if !time.Now().Before(deadline) {
			p.t.Fatalf("not closed, want %q", reason)
		}
		p.cond.Wait()
	}
	if p.reason != reason {
		p.t.Fatalf("closed by %q, want %q", p.reason, reason)
	}
}

// rest is what came and was not looked at.
func (p *peer) rest() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var texts []string
	for _, f := range p.sent[p.at:] {
		texts = append(texts, f.String())
	}
	p.at = len(p.sent)
	return texts
}

// connect connects to a namespace and gives the socket's id and pid.
func (p *peer) connect(namespace, auth string) (sid, pid string) {
	p.t.Helper()
	if namespace == "/" {
		p.say("0" + auth)
	} else {
		p.say("0" + namespace + "," + auth)
	}
	got := p.next()
	sid = between(got, `"sid":"`, `"`)
	pid = between(got, `"pid":"`, `"`)
	if sid == "" {
		p.t.Fatalf("not accepted: %s", got)
	}
	return sid, pid
}

func between(s, before, after string) string {
	_, s, ok := strings.Cut(s, before)
	if !ok {
		return ""
	}
	s, _, _ = strings.Cut(s, after)
	return s
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
