package engineio_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// What a client sends while its session closes is ignored, not refused: it would
// take the refusal for a failure and miss what it is being told.
func TestPostWhileClosing(t *testing.T) {
	h := start(t, engineio.Options{})
	c := h.poller("4", "")
	e := h.session()
	_ = e.s.Send(e.s.Prepare([]byte("last words"), nil))
	e.s.Close(engineio.ReasonForcedServerClose)
	e.reason(t)
	c.expectPost("4x")
	c.expect("4last words\x1e1")
	c.expectGone()
}

// The same for the rest of the payload whose first packet made the server close.
func TestCloseAmongPackets(t *testing.T) {
	h := startWith(t, engineio.Options{}, func(e *echo) engineio.Handler {
		e.onText = func(b []byte) error {
			_ = e.s.Send(e.s.Prepare(b, nil))
			e.s.Close(engineio.ReasonForcedServerClose)
			return nil
		}
		return e
	})
	c := h.poller("4", "")
	c.expectPost("4a\x1e4b\x1e4c")
	c.expect("4a\x1e1")
	c.expectGone()
}

// A poll that was given up when the session had moved to its WebSocket is
// nothing to it.
func TestPollGivenUpAfterUpgrade(t *testing.T) {
	h := start(t, engineio.Options{})
	for i := range 100 {
		c := h.poller("4", "")
		w := c.upgrading()
		w.send("2probe")
		w.expectText("3probe")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { h.doContext(ctx, "GET", c.query, "") })
		time.Sleep(time.Duration(i%4) * time.Millisecond)
		w.send("5")
		time.Sleep(time.Duration(i%5) * 100 * time.Microsecond)
		cancel()
		w.send("4x")
		w.expectText("4x")
		wg.Wait()
		time.Sleep(5 * time.Millisecond)
		w.send("4y")
		w.expectText("4y")
	}
}

// A message that has begun must come to its end, whatever control frames its
// client sends meanwhile: its bytes are held.
func TestMessageThatNeverEnds(t *testing.T) {
	t.Parallel()
	part := bytes.Repeat([]byte("x"), 20_000)
	for name, begin := range map[string][]byte{
		"fragments": frame(opText, append([]byte("4"), part...)), // not final
		"one frame": rawFrame(0x80|opText, true, 900_000, append([]byte("4"), part...)),
		"header":    {0x81},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, engineio.Options{BodyTimeout: 300 * time.Millisecond})
			stop := h.chatting()
			defer stop()
			c := h.dial("&EIO=4")
			c.open()
			c.raw(begin)
			var pings sync.WaitGroup
			if name == "fragments" {
				pings.Go(func() {
					for range 20 {
						if _, err := c.nc.Write(frame(0x80|opPing, nil)); err != nil {
							return // ended, as it should
						}
						time.Sleep(50 * time.Millisecond)
					}
				})
			}
			c.expectEnd()
			pings.Wait()
		})
	}
	// Those that come in time, in two pieces, are taken, however long they take
	// together.
	h := start(t, engineio.Options{BodyTimeout: 2 * time.Second})
	c := h.dial("&EIO=4")
	c.open()
	for range 4 {
		whole := frame(0x80|opText, []byte("4in two pieces"))
		c.raw(whole[:5])
		time.Sleep(600 * time.Millisecond)
		c.raw(whole[5:])
		c.expectText("4in two pieces")
	}
}
