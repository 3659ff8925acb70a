//go:build !race

// The race detector makes sync.Pool drop what it is given, so that allocations can
// only be counted without it.

package engineio_test

import (
	"testing"

	"github.com/antchat/antchat/server/engineio"
)

// Queueing a prepared message for a recipient, and writing it, allocates nothing.
func TestQueueAllocatesNothing(t *testing.T) {
	if plainForm {
		return // every write waits on a goroutine there
	}
	h := start(t, engineio.Options{QueueBytes: 64 << 20, QueuePackets: 1 << 20})
	c := h.dial("&EIO=4")
	c.open()
	s := h.session().s
	p := s.Prepare([]byte(`2["new message",{"username":"an","message":"hello"}]`), nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			if _, err := c.nc.Read(buf); err != nil {
				return
			}
		}
	}()
	for _, tt := range []struct {
		name string
		send func(any) error
	}{{"Queue", s.Queue}, {"Send", s.Send}} {
		n := testing.AllocsPerRun(20_000, func() {
			if err := tt.send(p); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations per message", tt.name, n)
		}
	}
	s.Abort("forced close")
	<-done
}

// A broadcast costs what preparing it costs, however many receive it.
func TestBroadcastAllocations(t *testing.T) {
	if plainForm {
		return // every write waits on a goroutine there
	}
	h := start(t, engineio.Options{})
	var sessions []*engineio.Session
	for range 50 {
		c := h.dial("&EIO=4")
		c.open()
		sessions = append(sessions, h.session().s)
		go func() {
			buf := make([]byte, 64<<10)
			for {
				if _, err := c.nc.Read(buf); err != nil {
					return
				}
			}
		}()
	}
	text := []byte(`2["new message",{"username":"an","message":"hello"}]`)
	n := testing.AllocsPerRun(500, func() {
		p := sessions[0].Prepare(text, nil)
		for _, s := range sessions {
			_ = s.Queue(p)
		}
	})
	// The message and its bytes, and now and then a buffer that the pool had given
	// back to the collector.
	if n > 5 {
		t.Errorf("%v allocations for 50 recipients", n)
	}
}
