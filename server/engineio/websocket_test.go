package engineio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

func TestWebSocketHandshake(t *testing.T) {
	for _, eio := range []string{"3", "4"} {
		t.Run("revision "+eio, func(t *testing.T) {
			h := start(t, engineio.Options{NodeID: "node_1"})
			c := h.dial("&EIO=" + eio)
			o := c.open()
			if len(o.SID) != 20 || !strings.HasPrefix(o.SID, "node_1") {
				t.Errorf("sid %q", o.SID)
			}
			if o.Upgrades == nil || len(o.Upgrades) != 0 || o.PingInterval != 25000 || o.PingTimeout != 20000 || o.MaxPayload != 1_000_000 {
				t.Errorf("open packet %+v", o)
			}
			s := h.session().s
			if s.ID() != o.SID || s.Transport() != "websocket" || s.Revision() != int(eio[0]-'0') {
				t.Errorf("session %q, %s, revision %d", s.ID(), s.Transport(), s.Revision())
			}
			if s.RemoteAddr() != "127.0.0.1" || s.Query().Get("EIO") != eio || !strings.HasPrefix(s.URL(), "/engine.io/?") ||
				s.Secure() || s.CrossDomain() || s.Header("Host") != h.addr {
				t.Errorf("facts: %q %q %v %v %q", s.RemoteAddr(), s.URL(), s.Secure(), s.CrossDomain(), s.Headers())
			}
		})
	}
}

func TestWebSocketCookie(t *testing.T) {
	h := start(t, engineio.Options{Cookie: &http.Cookie{Name: "sess", Path: "/chat", SameSite: http.SameSiteNoneMode, Secure: true}})
	c, resp := h.tryDial("&EIO=4", "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: chat")
	want := "sess=" + c.open().SID + "; Path=/chat; HttpOnly; Secure; SameSite=None"
	if got := resp.Header.Get("Set-Cookie"); got != want {
		t.Errorf("cookie %q, want %q", got, want)
	}
	if resp.Header.Get("Sec-WebSocket-Extensions") != "" || resp.Header.Get("Sec-WebSocket-Protocol") != "" {
		t.Errorf("negotiated: %v", resp.Header)
	}
}

func TestWebSocketEcho(t *testing.T) {
	big := strings.Repeat("한국어 😀 ", 20_000)
	h := start(t, engineio.Options{})

	c4 := h.dial("&EIO=4")
	c4.open()
	for _, s := range []string{"", "hello", "€", big} {
		c4.send("4" + s)
		c4.expectText("4" + s)
	}
	for _, b := range []string{"", "\x01\x02\x03", strings.Repeat("\xff", 70_000)} {
		c4.sendBinary([]byte(b))
		c4.expect(opBinary, b)
	}
	c4.send("bAQID") // base64 is understood on a WebSocket too
	c4.expect(opBinary, "\x01\x02\x03")

	c3 := h.dial("&EIO=3")
	c3.open()
	c3.send("4" + big)
	c3.expectText("4" + big)
	c3.sendBinary([]byte{4, 1, 2})
	c3.expect(opBinary, "\x04\x01\x02")
	c3.send("b4AQI=")
	c3.expect(opBinary, "\x04\x01\x02")

	b64 := h.dial("&EIO=3&b64=1")
	b64.open()
	b64.send("b4AQI=")
	b64.expectText("b4AQI=")
}

// What accept sends comes after the open packet, attachments right behind their
// text.
func TestOpenPacketFirst(t *testing.T) {
	h := startWith(t, engineio.Options{}, func(e *echo) engineio.Handler {
		_ = e.s.Send(e.s.Prepare([]byte("first"), nil))
		_ = e.s.Queue(e.s.Prepare([]byte("second"), [][]byte{{1}, {2, 3}}))
		_ = e.s.Send(e.s.Prepare([]byte("third"), nil))
		return e
	})
	c := h.dial("&EIO=4")
	c.open()
	c.expectText("4first")
	c.expectText("4second")
	c.expect(opBinary, "\x01")
	c.expect(opBinary, "\x02\x03")
	c.expectText("4third")
}

func TestWebSocketClosings(t *testing.T) {
	tests := []struct {
		name   string
		eio    string
		do     func(c *wsClient, e *echo)
		reason string
		code   int // of the server's close frame; -1: none
	}{
		{"client close packet", "4", func(c *wsClient, _ *echo) { c.send("1") }, "transport close", 0},
		{"client close frame", "4", func(c *wsClient, _ *echo) { c.raw(frame(0x80|opClose, []byte{0x03, 0xe8})) }, "transport close", 1000},
		{"client close frame without code", "4", func(c *wsClient, _ *echo) { c.raw(frame(0x80|opClose, nil)) }, "transport close", 0},
		{"connection lost", "4", func(c *wsClient, _ *echo) { c.nc.Close() }, "transport close", -1},
		{"unknown packet", "4", func(c *wsClient, _ *echo) { c.send("abc") }, "parse error", 0},
		{"empty packet", "4", func(c *wsClient, _ *echo) { c.send("") }, "parse error", 0},
		{"bad base64", "4", func(c *wsClient, _ *echo) { c.send("b!!") }, "parse error", 0},
		{"bad base64, revision 3", "3", func(c *wsClient, _ *echo) { c.send("b4!!") }, "parse error", 0},
		{"base64 without type, revision 3", "3", func(c *wsClient, _ *echo) { c.send("b") }, "parse error", 0},
		{"binary without type, revision 3", "3", func(c *wsClient, _ *echo) { c.sendBinary(nil) }, "parse error", 0},
		{"binary with unknown type, revision 3", "3", func(c *wsClient, _ *echo) { c.sendBinary([]byte{7, 1}) }, "parse error", 0},
		{"ping by a revision 4 client", "4", func(c *wsClient, _ *echo) { c.send("2") }, "transport error", 0},
		{"pong by a revision 3 client", "3", func(c *wsClient, _ *echo) { c.send("3") }, "transport error", 0},
		{"server Close", "4", func(_ *wsClient, e *echo) { e.s.Close("forced server close") }, "forced server close", 0},
		{"server Abort", "4", func(_ *wsClient, e *echo) { e.s.Abort("forced close") }, "forced close", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, engineio.Options{})
			c := h.dial("&EIO=" + tt.eio)
			c.open()
			e := h.session()
			tt.do(c, e)
			if got := e.reason(t); got != tt.reason {
				t.Errorf("reason %q, want %q", got, tt.reason)
			}
			if tt.code >= 0 {
				c.expectClose(tt.code)
			} else if tt.name == "server Abort" {
				c.expectEnd()
			}
			if err := e.s.Send(e.s.Prepare([]byte("x"), nil)); !errors.Is(err, engineio.ErrClosed) {
				t.Errorf("Send after the end: %v", err)
			}
		})
	}
}

// A closing server delivers what was queued, then says goodbye.
func TestCloseFlushes(t *testing.T) {
	h := start(t, engineio.Options{})
	c := h.dial("&EIO=4")
	c.open()
	e := h.session()
	text := bytes.Repeat([]byte("x"), 100_000)
	for range 5 {
		_ = e.s.Queue(e.s.Prepare(text, nil))
	}
	e.s.Close(engineio.ReasonForcedServerClose)
	for range 5 {
		c.expectText("4" + string(text))
	}
	c.expectClose(0)
	if r := e.reason(t); r != "forced server close" {
		t.Error(r)
	}
}

func TestHandlerFailure(t *testing.T) {
	panicked := make(chan struct{}, 1)
	h := startWith(t, engineio.Options{Hooks: engineio.Hooks{Panicked: func() { panicked <- struct{}{} }}},
		func(e *echo) engineio.Handler {
			e.onText = func(b []byte) error {
				if string(b) == "panic" {
					panic("on purpose")
				}
				return bytes.ErrTooLarge
			}
			return e
		})
	for _, text := range []string{"error", "panic"} {
		c := h.dial("&EIO=4")
		c.open()
		c.send("4" + text)
		if r := h.session().reason(t); r != "parse error" {
			t.Errorf("%s: reason %q", text, r)
		}
		c.expectClose(0)
	}
	select {
	case <-panicked:
	case <-time.After(patience):
		t.Error("the panic was not counted")
	}
}

// A handler that blocks holds up its own client only, and can be closed.
func TestBlockedHandler(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := startWith(t, engineio.Options{}, func(e *echo) engineio.Handler {
		e.onText = func(b []byte) error {
			if string(b) == "block" {
				<-release
				return nil
			}
			return e.s.Send(e.s.Prepare(b, nil))
		}
		return e
	})
	blocked := h.dial("&EIO=4")
	blocked.open()
	e := h.session()
	blocked.send("4block")
	blocked.send("4behind")

	other := h.dial("&EIO=4")
	other.open()
	other.send("4hello")
	other.expectText("4hello")

	e.s.Abort(engineio.ReasonForcedServerClose)
	if r := e.reason(t); r != "forced server close" {
		t.Error(r)
	}
	blocked.expectEnd()
	close(release)
}

func TestNilHandlerRefuses(t *testing.T) {
	h := startWith(t, engineio.Options{}, func(e *echo) engineio.Handler { return nil })
	h.dial("&EIO=3").expectEnd()
	// In revision 4 the handshake's answer goes with the open packet: neither comes.
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(nc, "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(nc); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v", b, err)
	}
	h.eventually("it is forgotten", func() bool { return h.Sessions() == 0 })
}

func TestServerCloseTellsEveryone(t *testing.T) {
	h := start(t, engineio.Options{})
	c := h.dial("&EIO=4")
	c.open()
	e := h.session()
	done := make(chan error, 1)
	go func() { done <- h.Close(t.Context()) }()
	c.expectClose(0)
	c.nc.Close()
	if r := e.reason(t); r != "server shutting down" {
		t.Error(r)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, resp := h.tryDial("&EIO=4"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("status %d after Close", resp.StatusCode)
	}
}
