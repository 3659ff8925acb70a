package engineio_test

import (
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// quick are the heartbeats of the published suites.
var quick = engineio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}

// gentle gives a client on a busy machine time to answer.
var gentle = engineio.Options{PingInterval: 200 * time.Millisecond, PingTimeout: 5 * time.Second}

func TestHeartbeatWebSocket(t *testing.T) {
	t.Parallel()
	h := start(t, gentle)
	c := h.dial("&EIO=4")
	c.open()
	for i := range 3 {
		c.expectText("2")
		if i == 1 {
			// Any packet proves life, and pings keep coming.
			c.send("4x")
			c.expectText("4x")
		} else {
			c.send("3")
		}
	}
}

func TestHeartbeatPolling(t *testing.T) {
	t.Parallel()
	h := start(t, gentle)
	c := h.poller("4", "")
	for range 3 {
		c.expect("2")
		c.expectPost("3")
	}
	c3 := h.poller("3", "")
	for range 3 {
		c3.expectPost("1:2")
		c3.expect("1:3")
	}
}

func TestHeartbeatRevision3(t *testing.T) {
	t.Parallel()
	o := quick
	o.PingTimeout = time.Second
	h := start(t, o)
	c := h.dial("&EIO=3")
	c.open()
	begin := time.Now()
	c.send("2probe") // data is not echoed
	c.expectText("3")
	for range 8 {
		time.Sleep(200 * time.Millisecond)
		c.send("2")
		c.expectText("3")
	}
	if time.Since(begin) < 1300*time.Millisecond {
		t.Error("did not outlive the first round")
	}
}

func TestPingTimeout(t *testing.T) {
	tests := []struct {
		name string
		open func(h *harness)
	}{
		{"websocket, revision 4", func(h *harness) { h.dial("&EIO=4").open() }},
		{"websocket, revision 3", func(h *harness) { h.dial("&EIO=3").open() }},
		{"polling, revision 4", func(h *harness) { h.poller("4", "") }},
		{"polling, revision 3", func(h *harness) { h.poller("3", "") }},
		{"upgraded, revision 4", func(h *harness) { upgrade(h, "4") }},
		{"upgraded, revision 3", func(h *harness) { upgrade(h, "3") }},
		// Frames below Engine.IO are no packets.
		{"only WebSocket pings", func(h *harness) {
			c := h.dial("&EIO=4")
			c.open()
			c.raw(frame(0x80|opPing, nil))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, quick)
			begin := time.Now()
			tt.open(h)
			e := h.session()
			if r := e.reason(t); r != "ping timeout" {
				t.Error(r)
			}
			if d := time.Since(begin); d < 400*time.Millisecond {
				t.Errorf("closed after %v", d)
			}
			h.eventually("the session is forgotten", func() bool { return h.Sessions() == 0 })
		})
	}
}

func upgrade(h *harness, eio string) *wsClient {
	c := h.poller(eio, "")
	w := c.upgrading()
	w.send("2probe")
	w.expectText("3probe")
	w.send("5")
	w.send("4x")
	for {
		_, b, err := w.next()
		if err != nil {
			h.t.Error(err)
			return w
		}
		if string(b) == "4x" {
			return w
		}
	}
}

// A request that comes when the time is up finds the session gone, even if
// nothing else has noticed yet.
func TestPollAfterPingTimeout(t *testing.T) {
	t.Parallel()
	h := start(t, quick)
	c := h.poller("4", "")
	c3 := h.poller("3", "")
	time.Sleep(2 * time.Second) // the wheel may be late on a busy machine
	c.expectGone()
	if a := c3.post("1:2"); a.status != 400 {
		t.Errorf("status %d", a.status)
	}
}
