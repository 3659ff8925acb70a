package engineio_test

import (
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// Where TLS ends in the server, writes go through goroutines; nothing else
// differs.
func TestTLS(t *testing.T) {
	h := startTLS(t, engineio.Options{})
	stop := h.chatting()
	defer stop()
	h.session()
	c := h.dial("&EIO=4")
	c.open()
	e := h.session()
	if !e.s.Secure() {
		t.Error("not secure")
	}
	big := strings.Repeat("한국어 😀 ", 30_000)
	c.send("4" + big)
	c.expectText("4" + big)
	for range 100 {
		_ = e.s.Queue(e.s.Prepare([]byte("queued"), nil))
		_ = e.s.Send(e.s.Prepare([]byte("sent"), [][]byte{{1, 2}}))
	}
	for range 100 {
		c.expectText("4queued")
		c.expectText("4sent")
		c.expect(opBinary, "\x01\x02")
	}
	e.s.Close(engineio.ReasonForcedServerClose)
	c.expectCloseAndAnswer()
	if r := e.reason(t); r != "forced server close" {
		t.Error(r)
	}
}

// expectCloseAndAnswer expects a close frame without code and answers it, as TLS clients
// do.
func (c *wsClient) expectCloseAndAnswer() {
	c.t.Helper()
	c.expect(opClose, "")
	c.raw(frame(0x80|opClose, nil))
	c.expectEnd()
}

func TestTLSClientThatNeverReads(t *testing.T) {
	for name, o := range map[string]engineio.Options{
		"overflow": {QueueBytes: 256 << 10},
		"deadline": {QueueBytes: 1 << 30, WriteTimeout: 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			h := startTLS(t, o)
			c := h.dial("&EIO=4")
			c.open()
			e := h.session()
			stop := h.chatting()
			defer stop()
			p := e.s.Prepare([]byte(strings.Repeat("x", 100_000)), nil)
			for range 200 {
				if e.s.Queue(p) != nil {
					break
				}
			}
			if r := e.reason(t); r != "slow client" {
				t.Error(r)
			}
		})
	}
}
