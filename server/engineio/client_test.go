package engineio_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/antchat/antchat/server/engineio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(bothForms{m}) }

// bothForms runs everything twice: on polled connections, where the system has
// them, and with those hidden, on a goroutine per connection. Benchmarks and
// fuzzing run once.
type bothForms struct{ m *testing.M }

func (b bothForms) Run() int {
	code := b.m.Run()
	for _, name := range []string{"test.bench", "test.fuzz", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return code
		}
	}
	if code == 0 {
		plainForm = true
		code = b.m.Run()
	}
	return code
}

// plainForm: servers under test see connections of a type that cannot be polled.
var plainForm bool

type plainListener struct{ net.Listener }

func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return plainTCP{c.(*net.TCPConn)}, nil
}

// plainTCP is more than a net.TCPConn, as far as anybody can tell.
type plainTCP struct{ *net.TCPConn }

// patience is how long a test waits for what must come. It is generous: the
// machine may be busy.
const patience = 15 * time.Second

// harness is a server with an echoing handler, and what the handlers saw.
type harness struct {
	*engineio.Server
	t    testing.TB
	addr string
	http *http.Client
	tls  *tls.Config // not nil: dial with TLS

	mu       sync.Mutex
	sessions map[string]*engineio.Session
	opened   chan *echo
}

// echo sends back whatever it gets, and tells the end.
type echo struct {
	s      *engineio.Session
	closed chan string
	onText func(data []byte) error // instead of echoing
}

func (e *echo) Text(b []byte) error {
	if e.onText != nil {
		return e.onText(b)
	}
	return e.sent(e.s.Send(e.s.Prepare(b, nil)))
}

// sent lets a slow client be closed for being slow, and nothing else.
func (e *echo) sent(err error) error {
	if errors.Is(err, engineio.ErrClosed) || errors.Is(err, engineio.ErrSlowClient) {
		return nil
	}
	return err
}

func (e *echo) Binary(b []byte) error { return e.sent(e.s.Send(e.s.Prepare(nil, [][]byte{b}))) }

func (e *echo) Closed(reason string) { e.closed <- reason }

// reason waits for the session's end.
func (e *echo) reason(t *testing.T) string {
	t.Helper()
	select {
	case r := <-e.closed:
		return r
	case <-time.After(patience):
		t.Fatal("session was not closed")
		return ""
	}
}

func start(t testing.TB, o engineio.Options) *harness {
	return startWith(t, o, func(e *echo) engineio.Handler { return e })
}

// startWith lets setup see, and replace, the handler of each session.
func startWith(t testing.TB, o engineio.Options, setup func(*echo) engineio.Handler) *harness {
	t.Helper()
	return startOn(t, httptest.NewUnstartedServer(nil), o, setup)
}

// startTLS is start with TLS that ends in the server: no direct writes.
func startTLS(t testing.TB, o engineio.Options) *harness {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	ts.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	return startOn(t, ts, o, func(e *echo) engineio.Handler { return e })
}

func startOn(t testing.TB, ts *httptest.Server, o engineio.Options, setup func(*echo) engineio.Handler) *harness {
	t.Helper()
	h := &harness{t: t, opened: make(chan *echo, 10_000), sessions: map[string]*engineio.Session{}}
	h.Server = engineio.NewServer(func(s *engineio.Session) engineio.Handler {
		e := &echo{s: s, closed: make(chan string, 1)}
		h.mu.Lock()
		h.sessions[s.ID()] = s
		h.mu.Unlock()
		handler := setup(e)
		h.opened <- e
		return handler
	}, o)
	ts.Config.Handler = h.Server
	if strings.HasPrefix(t.Name(), "TestRelayed/") {
		ts.Config.Handler = viaOther(t, h.Server, o)
	}
	if ts.TLS != nil {
		ts.StartTLS()
		h.tls = &tls.Config{InsecureSkipVerify: true} // the test server's own certificate
	} else {
		if plainForm {
			ts.Listener = plainListener{ts.Listener}
		}
		ts.Start()
	}
	h.addr = ts.Listener.Addr().String()
	h.http = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: 2 * patience}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		// A polling client would be waited for.
		h.mu.Lock()
		for _, s := range h.sessions {
			s.Abort(engineio.ReasonForcedClose)
		}
		h.mu.Unlock()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		h.http.CloseIdleConnections()
		ts.Close()
	})
	return h
}

// session waits for the next session to be accepted.
func (h *harness) session() *echo {
	h.t.Helper()
	select {
	case e := <-h.opened:
		return e
	case <-time.After(patience):
		h.t.Fatal("no session was accepted")
		return nil
	}
}

// byID returns the session with that id, ended or not.
func (h *harness) byID(sid string) *engineio.Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[sid]
}

// eventually waits for what must become true.
func (h *harness) eventually(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// wsClient is a WebSocket client that does as it is told, right or wrong.
type wsClient struct {
	t  testing.TB
	nc net.Conn
	br *bufio.Reader
}

const (
	opCont   = 0x0
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa
)

// dial opens a WebSocket; query is what follows transport=websocket.
func (h *harness) dial(query string, header ...string) *wsClient {
	h.t.Helper()
	c, resp := h.tryDial(query, header...)
	if c == nil {
		h.t.Fatalf("websocket refused: %s", resp.Status)
	}
	return c
}

// tryDial returns a nil client when the handshake is refused.
func (h *harness) tryDial(query string, header ...string) (*wsClient, *http.Response) {
	h.t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	if h.tls != nil {
		nc = tls.Client(nc, h.tls)
	}
	h.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * patience))
	req := "GET /engine.io/?transport=websocket" + query + " HTTP/1.1\r\nHost: " + h.addr +
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, l := range header {
		req += l + "\r\n"
	}
	if _, err := io.WriteString(nc, req+"\r\n"); err != nil {
		h.t.Fatal(err)
	}
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		nc.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return nil, resp
	}
	resp.Body.Close()
	return &wsClient{t: h.t, nc: nc, br: br}, resp
}

// frame makes a masked frame.
func frame(b0 byte, payload []byte) []byte { return rawFrame(b0, true, uint64(len(payload)), payload) }

// rawFrame makes a frame with any first byte, mask bit and announced length.
func rawFrame(b0 byte, masked bool, length uint64, payload []byte) []byte {
	out := []byte{b0}
	var m byte
	if masked {
		m = 0x80
	}
	switch {
	case length <= 125:
		out = append(out, m|byte(length))
	case length <= 0xffff:
		out = binary.BigEndian.AppendUint16(append(out, m|126), uint16(length))
	default:
		out = binary.BigEndian.AppendUint64(append(out, m|127), length)
	}
	if masked {
		mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
		out = append(out, mask[:]...)
		for i, c := range payload {
			out = append(out, c^mask[i%4])
		}
		return out
	}
	return append(out, payload...)
}

func (c *wsClient) raw(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

func (c *wsClient) send(text string) { c.t.Helper(); c.raw(frame(0x80|opText, []byte(text))) }

func (c *wsClient) sendBinary(b []byte) { c.t.Helper(); c.raw(frame(0x80|opBinary, b)) }

// next reads one frame of the server, which must be final and unmasked.
func (c *wsClient) next() (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.br, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0xf0 != 0x80 || head[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("bad header %x from the server", head)
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var l [2]byte
		_, _ = io.ReadFull(c.br, l[:])
		n = uint64(binary.BigEndian.Uint16(l[:]))
	case 127:
		var l [8]byte
		_, _ = io.ReadFull(c.br, l[:])
		n = binary.BigEndian.Uint64(l[:])
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.br, payload)
	return head[0] & 0xf, payload, err
}

// expect reads a frame that must be as given.
func (c *wsClient) expect(op byte, want string) {
	c.t.Helper()
	got, payload, err := c.next()
	if err != nil || got != op || string(payload) != want {
		c.t.Fatalf("got op %d %.100q, %v; want op %d %.100q", got, payload, err, op, want)
	}
}

func (c *wsClient) expectText(want string) { c.t.Helper(); c.expect(opText, want) }

// expectClose reads until the close frame and checks its code, 0 for none, then
// that the connection ends.
func (c *wsClient) expectClose(code int) {
	c.t.Helper()
	for {
		op, payload, err := c.next()
		if err != nil {
			c.t.Fatalf("no close frame: %v", err)
		}
		if op != opClose {
			continue
		}
		got := 0
		if len(payload) >= 2 {
			got = int(binary.BigEndian.Uint16(payload))
		}
		if got != code {
			c.t.Fatalf("close code %d, want %d", got, code)
		}
		break
	}
	c.expectEnd()
}

// expectEnd reads until the connection ends.
func (c *wsClient) expectEnd() {
	c.t.Helper()
	for {
		_, _, err := c.next()
		if err == nil {
			continue
		}
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			c.t.Fatal("connection was not closed")
		}
		return
	}
}

type opening struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func parseOpen(t testing.TB, packet string) opening {
	t.Helper()
	var o opening
	body, ok := strings.CutPrefix(packet, "0")
	if !ok || json.Unmarshal([]byte(body), &o) != nil {
		t.Fatalf("not an open packet: %.200q", packet)
	}
	return o
}

// open reads the open packet.
func (c *wsClient) open() opening {
	c.t.Helper()
	op, payload, err := c.next()
	if err != nil || op != opText {
		c.t.Fatalf("no open packet: op %d, %v", op, err)
	}
	return parseOpen(c.t, string(payload))
}
