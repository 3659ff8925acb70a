package engineio_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// upgrading opens a WebSocket for a polling session.
func (c *pollClient) upgrading() *wsClient {
	c.t.Helper()
	eio := c.query[4:5]
	return c.h.dial("&EIO=" + eio + "&sid=" + c.sid)
}

func TestUpgrade(t *testing.T) {
	for _, eio := range []string{"3", "4"} {
		t.Run("revision "+eio, func(t *testing.T) {
			noop := map[string]string{"3": "1:6", "4": "6"}[eio]
			upgraded := make(chan int, 1)
			h := start(t, engineio.Options{Hooks: engineio.Hooks{Upgraded: func(r int) { upgraded <- r }}})
			c := h.poller(eio, "")
			s := h.session().s
			pending := c.getting()

			w := c.upgrading()
			w.send("2probe")
			w.expectText("3probe")
			// The pending poll is released, and the ones that follow are not held.
			if a := <-pending; a.body != noop {
				t.Errorf("the pending poll got %q", a.body)
			}
			c.expect(noop)
			// Until the upgrade is complete, polling carries everything.
			if s.Transport() != "polling" {
				t.Error("upgraded too early")
			}
			_ = s.Send(s.Prepare([]byte("by poll"), nil))
			if a := c.get(); !strings.HasSuffix(a.body, "4by poll") {
				t.Errorf("got %q", a.body)
			}
			_ = s.Queue(s.Prepare([]byte("left in the queue"), nil))

			w.send("5")
			w.expectText("4left in the queue")
			w.send("4hello")
			w.expectText("4hello")
			if s.Transport() != "websocket" {
				t.Errorf("transport %q", s.Transport())
			}
			if r := <-upgraded; r != s.Revision() {
				t.Errorf("hook told revision %d", r)
			}
			for _, a := range []answer{c.get(), c.post("4x")} {
				if a.status != 400 || a.body != `{"code":3,"message":"Bad request"}` {
					t.Errorf("request after the upgrade got %d %q", a.status, a.body)
				}
			}
			// Another one for the same session is closed, and changes nothing.
			c.upgrading().expectClose0()
			w.send("4still here")
			w.expectText("4still here")
		})
	}
}

// expectClose0 expects a close frame without a code, then the end, which may be a
// reset.
func (c *wsClient) expectClose0() {
	c.t.Helper()
	c.expect(opClose, "")
	c.expectEnd()
}

// A poll that waits while the upgrade completes is answered.
func TestUpgradeWithPendingPoll(t *testing.T) {
	h := start(t, engineio.Options{})
	c := h.poller("4", "")
	w := c.upgrading()
	w.send("2probe")
	w.expectText("3probe")
	got := make(chan answer, 1)
	go func() { got <- c.get() }()
	w.send("5")
	w.send("4x")
	w.expectText("4x")
	if a := <-got; a.err != nil || a.status != 200 && a.status != 400 {
		t.Errorf("got %+v", a)
	}
}

func TestFailedUpgrades(t *testing.T) {
	tests := []struct {
		name string
		do   func(c *pollClient, w *wsClient)
	}{
		{"message first", func(_ *pollClient, w *wsClient) { w.send("4hello") }},
		{"upgrade without a probe", func(_ *pollClient, w *wsClient) { w.send("5") }},
		{"probe with other data", func(_ *pollClient, w *wsClient) { w.send("2other") }},
		{"probe twice", func(_ *pollClient, w *wsClient) { w.send("2probe"); w.send("2probe") }},
		{"message after the probe", func(_ *pollClient, w *wsClient) { w.send("2probe"); w.send("4hello") }},
		{"no packet", func(_ *pollClient, w *wsClient) { w.send("") }},
		{"binary", func(_ *pollClient, w *wsClient) { w.sendBinary([]byte{9}) }},
		{"unmasked frame", func(_ *pollClient, w *wsClient) { w.raw([]byte{0x81, 1, '5'}) }},
		{"silence", func(*pollClient, *wsClient) {}},
		{"silence after the probe", func(_ *pollClient, w *wsClient) { w.send("2probe") }},
		{"closed by the client", func(_ *pollClient, w *wsClient) { w.raw(frame(0x80|opClose, nil)) }},
		{"lost", func(_ *pollClient, w *wsClient) { _ = w.nc.(*net.TCPConn).CloseWrite() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			failed := make(chan string, 10)
			h := start(t, engineio.Options{UpgradeTimeout: 200 * time.Millisecond,
				Hooks: engineio.Hooks{UpgradeFailed: func(why string) { failed <- why }}})
			c := h.poller("4", "")
			w := c.upgrading()
			tt.do(c, w)
			w.expectEnd()
			<-failed
			// Only the WebSocket is gone.
			c.expectPost("4still here")
			c.expect("4still here")
			// And another attempt succeeds.
			w = c.upgrading()
			w.send("2probe")
			w.expectText("3probe")
			w.send("5")
			w.send("4hello")
			w.expectText("4hello")
		})
	}
}

// A session that the server closes while its client completes the upgrade: the
// client has paused polling, so it is told on the WebSocket.
func TestCloseDuringUpgrade(t *testing.T) {
	for _, eio := range []string{"3", "4"} {
		h := start(t, engineio.Options{})
		c := h.poller(eio, "")
		e := h.session()
		w := c.upgrading()
		w.send("2probe")
		w.expectText("3probe")
		e.s.Close(engineio.ReasonForcedServerClose)
		if r := e.reason(t); r != engineio.ReasonForcedServerClose {
			t.Errorf("reason %q", r)
		}
		w.send("5")
		w.expectClose0()
		h.eventually("the session is gone", func() bool { return h.Sessions() == 0 })
	}
}

// One that still polls is told there, and its WebSocket is closed.
func TestCloseDuringUpgradeWhilePolling(t *testing.T) {
	h := start(t, engineio.Options{})
	c := h.poller("4", "")
	e := h.session()
	w := c.upgrading()
	w.send("2probe")
	w.expectText("3probe")
	e.s.Close(engineio.ReasonForcedServerClose)
	c.expect("1")
	w.expectEnd()
	h.eventually("the session is gone", func() bool { return h.Sessions() == 0 })
}

func TestSecondUpgradeWhileUpgrading(t *testing.T) {
	h := start(t, engineio.Options{})
	c := h.poller("4", "")
	w := c.upgrading()
	w.send("2probe")
	w.expectText("3probe")
	c.upgrading().expectClose0()
	w.send("5")
	w.send("4hello")
	w.expectText("4hello")
}

func TestUpgradeEndsWithItsSession(t *testing.T) {
	h := start(t, engineio.Options{})
	for _, end := range []func(*engineio.Session){
		func(s *engineio.Session) { s.Close("forced server close") },
		func(s *engineio.Session) { s.Abort("forced server close") },
	} {
		c := h.poller("4", "")
		e := h.session()
		w := c.upgrading()
		w.send("2probe")
		w.expectText("3probe")
		end(e.s)
		w.expectEnd()
		e.reason(t)
	}
	c := h.poller("4", "")
	sid := c.sid
	c.expectPost("1")
	c.get()
	if w, resp := h.tryDial("&EIO=4&sid=" + sid); w != nil || resp.StatusCode != 400 {
		t.Error("upgrade of an ended session")
	}
}

// A client that upgrades while its own POST is handled breaks the protocol: what
// it sent there would be overtaken.
func TestUpgradeDuringPost(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := startWith(t, engineio.Options{}, func(e *echo) engineio.Handler {
		e.onText = func([]byte) error {
			close(entered)
			<-release
			return nil
		}
		return e
	})
	c := h.poller("4", "")
	w := c.upgrading()
	w.send("2probe")
	w.expectText("3probe")
	done := make(chan answer, 1)
	go func() { done <- c.post("4slow") }()
	<-entered
	w.send("5")
	w.expectClose(1008)
	close(release)
	if a := <-done; a.body != "ok" {
		t.Errorf("the POST got %+v", a)
	}
}

// Frames that arrive together with the handshake are not lost in net/http's
// buffer.
func TestEarlyFrames(t *testing.T) {
	h := start(t, engineio.Options{})
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	early := "GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
		string(frame(0x80|opText, []byte("4early"))) + string(frame(0x80|opText, []byte("4bird")))
	_, _ = io.WriteString(nc, early)
	var got strings.Builder
	buf := make([]byte, 1000)
	for !strings.Contains(got.String(), "4bird") {
		n, err := nc.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			t.Fatalf("got %q, %v", got.String(), err)
		}
	}
	if !strings.Contains(got.String(), "4early") || !strings.Contains(got.String(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
		t.Errorf("got %q", got.String())
	}
}

func TestBadWebSocketHandshakes(t *testing.T) {
	h := start(t, engineio.Options{})
	good := map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
	for name, value := range map[string]string{
		"Connection": "close", "Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "short",
	} {
		nc, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		req := "GET /?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
		for n, v := range good {
			if n == name {
				v = value
			}
			req += n + ": " + v + "\r\n"
		}
		_, _ = io.WriteString(nc, req+"\r\n")
		b, _ := io.ReadAll(nc)
		nc.Close()
		if !strings.HasPrefix(string(b), "HTTP/1.1 400 ") || !strings.HasSuffix(string(b), "Bad request") {
			t.Errorf("%s: %s: got %q", name, value, b)
		}
	}
	if n := h.Sessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// An offer of another protocol is passed over, with ordinary requests and with those
// that need a WebSocket.
func TestOtherProtocolOffered(t *testing.T) {
	h := start(t, engineio.Options{})
	offer := []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"}
	if a := h.do("GET", "EIO=4&transport=polling", "", offer...); a.status != 200 || !strings.HasPrefix(a.body, "0{") {
		t.Errorf("a handshake: %d %q", a.status, a.body)
	}
	c := h.poller("4", "")
	c.expectPost("4hello", offer...)
	if a := c.get(); a.body != "4hello" {
		t.Errorf("%d %q", a.status, a.body)
	}
	if a := h.do("GET", "EIO=4&transport=websocket", "", offer...); a.status != 400 || !strings.Contains(a.body, `"code":3`) {
		t.Errorf("no WebSocket: %d %q", a.status, a.body)
	}
	ws := h.dial("&EIO=4", "Upgrade: h2c") // besides
	ws.nc.Close()
}
