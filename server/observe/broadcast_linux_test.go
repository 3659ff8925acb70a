//go:build !race

package observe

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

// house is a node with members of one room on WebSockets, from the adapter to
// the last byte at the clients.
type house struct {
	ns       *socketio.Namespace
	received atomic.Int64
	each     int64 // bytes that a broadcast brings each client
	n        int
}

const saying = "Antchat: a hundred and twenty-eight bytes, which is about what somebody says to a room; more would be a letter, less only a yes."

// newHouse opens one with n members, watched by m, which may be nil.
func newHouse(tb testing.TB, n int, m *Metrics) *house {
	h := &house{n: n}
	var lo local.Options
	var so socketio.Options
	eo := engineio.Options{QueueBytes: 64 << 20, QueuePackets: 1 << 20}
	if m != nil {
		lo.Hooks, so.Hooks, eo.Hooks = m.Local(), m.SocketIO(nil), m.EngineIO()
	}
	a, err := local.Open(lo)
	if err != nil {
		tb.Fatal(err)
	}
	sockets := socketio.NewServer(a, so)
	h.ns = sockets.Of("/")
	var joined atomic.Int64
	h.ns.OnConnect(func(ctx context.Context, s *socketio.Socket) error {
		defer joined.Add(1)
		return s.Join(ctx, "room")
	})
	engine := engineio.NewServer(func(s *engineio.Session) engineio.Handler { return sockets.Accept(s) }, eo)
	if m != nil {
		m.Watch(Watched{Engine: engine, MaxSessions: n, Local: a})
	}
	server := httptest.NewServer(engine)
	var conns []net.Conn
	var fds []uintptr
	for range n {
		c := dial(tb, server.Listener.Addr().String())
		conns = append(conns, c)
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			tb.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) { fds = append(fds, fd) })
	}
	for limit := time.Now().Add(time.Minute); joined.Load() < int64(n); {
		if time.Sleep(time.Millisecond); time.Now().After(limit) {
			tb.Fatal("not everybody came")
		}
	}
	// One goroutine reads for all, as a load generator does.
	var quit atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 256<<10)
		for !quit.Load() {
			idle := true
			for _, fd := range fds {
				if n, _ := syscall.Read(int(fd), buf); n > 0 {
					h.received.Add(int64(n))
					idle = false
				}
			}
			if idle {
				time.Sleep(200 * time.Microsecond)
			}
		}
	})
	tb.Cleanup(func() {
		quit.Store(true)
		wg.Wait()
		for _, c := range conns {
			_ = c.Close()
		}
		ctx := context.Background()
		if err := errors.Join(engine.Close(ctx), sockets.Close(ctx), a.Close(ctx)); err != nil {
			tb.Error(err)
		}
		server.Close()
	})
	// What came with the connect is not counted: wait until nothing comes.
	for before := int64(-1); before != h.received.Load(); time.Sleep(50 * time.Millisecond) {
		before = h.received.Load()
	}
	h.each = int64(4 + len(`42["m","`) + len(saying) + len(`"]`)) // a frame of more than 125 bytes
	h.received.Store(0)
	return h
}

// dial opens a WebSocket and asks for the root namespace.
func dial(tb testing.TB, addr string) net.Conn {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		tb.Fatal(err)
	}
	_ = resp.Body.Close() // there is none
	if resp.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatal(resp.Status)
	}
	// A masked text frame "40", with a mask of zeros.
	if _, err := c.Write(append(binary.BigEndian.AppendUint32([]byte{0x81, 0x82}, 0), "40"...)); err != nil {
		tb.Fatal(err)
	}
	return c
}

// broadcast says it once, and waits until at most window broadcasts are under way.
func (h *house) broadcast(tb testing.TB, sent *int64, window int64) {
	if err := h.ns.To("room").Ephemeral().Emit(context.Background(), "m", saying); err != nil {
		tb.Fatal(err)
	}
	*sent += int64(h.n) * h.each
	for *sent-h.received.Load() > window*int64(h.n)*h.each {
		time.Sleep(50 * time.Microsecond)
	}
}

// TestBroadcastAllocatesNothingForMetrics: however many a broadcast reaches, what
// counts it allocates nothing for them.
func TestBroadcastAllocatesNothingForMetrics(t *testing.T) {
	if len(saying) != 128 {
		t.Fatal(len(saying))
	}
	allocs := func(n int, m *Metrics) float64 {
		h := newHouse(t, n, m)
		var sent int64
		return testing.AllocsPerRun(30, func() { h.broadcast(t, &sent, 0) })
	}
	few, many := allocs(5, New("")), allocs(100, New(""))
	if without := allocs(100, nil); many > without+3 || many > few+10 {
		t.Errorf("%v allocations for 5 recipients, %v for 100; %v without metrics", few, many, without)
	}
}

// BenchmarkBroadcast1000 is a broadcast to 1,000 WebSockets, from the emit to the
// last byte at the last client, with metrics off, on, and on with somebody who
// scrapes them all the time.
func BenchmarkBroadcast1000(b *testing.B) {
	for _, mode := range []string{"off", "on", "scraped"} {
		b.Run("metrics="+mode, func(b *testing.B) {
			var m *Metrics
			if mode != "off" {
				m = New("")
			}
			h := newHouse(b, 1000, m)
			stop := func() {}
			if mode == "scraped" {
				stop = scrapeAlways(m)
			}
			var sent int64
			b.ReportAllocs()
			before := cpuTime()
			for b.Loop() {
				h.broadcast(b, &sent, 8)
			}
			for h.received.Load() < sent {
				time.Sleep(50 * time.Microsecond)
			}
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N*h.n), "cpu-ns/delivery")
			stop()
			if m != nil && !strings.Contains(text(m), `antchat_engineio_packets_total{direction="out",transport="websocket"}`) {
				b.Error("nothing was counted")
			}
		})
	}
}

// scrapeAlways scrapes ten times a second, 150 times as often as usual.
func scrapeAlways(m *Metrics) (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(100 * time.Millisecond):
				text(m)
			}
		}
	})
	return func() {
		close(quit)
		wg.Wait()
	}
}

func text(m *Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// cpuTime is what this process has used, clients included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
