package engineio_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// chatting keeps a well-behaved client talking until stop is called, and fails the
// test if it is ever disturbed.
func (h *harness) chatting() (stop func()) {
	c := h.dial("&EIO=4")
	c.open()
	quit, done := make(chan struct{}), make(chan struct{})
	var slowest time.Duration
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			default:
			}
			begin := time.Now()
			want := fmt.Sprint("4control ", i)
			if _, err := c.nc.Write(frame(0x81, []byte(want))); err != nil {
				h.t.Errorf("control client: %v", err)
				return
			}
			if _, b, err := c.next(); err != nil || string(b) != want {
				h.t.Errorf("control client got %.50q, %v", b, err)
				return
			}
			slowest = max(slowest, time.Since(begin))
			time.Sleep(time.Millisecond)
		}
	}()
	return func() {
		close(quit)
		<-done
		// Far beyond any pause of a busy machine, and far below the write timeout
		// that a lock held over a write would have to wait for.
		if slowest > 10*time.Second {
			h.t.Errorf("control client waited %v", slowest)
		}
	}
}

// A client that never reads is closed at the bounds of its queue, by the one who
// publishes, and everybody else goes on.
func TestClientThatNeverReads(t *testing.T) {
	for _, way := range []string{"Queue", "Send"} {
		t.Run(way, func(t *testing.T) {
			var slow, blocked atomic.Int32
			h := start(t, engineio.Options{QueueBytes: 256 << 10, Hooks: engineio.Hooks{
				Blocked: func() { blocked.Add(1) },
				SlowClient: func(bytes, messages int, overflow bool) {
					slow.Add(1)
					if !overflow || messages == 0 || bytes > 256<<10 {
						t.Errorf("%d bytes, %d messages, overflow %v", bytes, messages, overflow)
					}
				}}})
			c := h.dial("&EIO=4")
			c.open()
			e := h.session()
			h.eventually("its beginning is written", e.s.Idle)
			stop := h.chatting()
			defer stop()

			send := e.s.Queue
			if way == "Send" {
				send = e.s.Send
			}
			p := e.s.Prepare([]byte(strings.Repeat("x", 10_000)), nil)
			var err error
			for range 1_000_000 {
				if err = send(p); err != nil {
					break
				}
				if way == "Queue" {
					time.Sleep(20 * time.Microsecond) // let the flushers fill the kernel's buffers
				}
			}
			if !errors.Is(err, engineio.ErrSlowClient) {
				t.Fatalf("error %v", err)
			}
			if r := e.reason(t); r != "slow client" {
				t.Error(r)
			}
			h.eventually("it is counted", func() bool { return slow.Load() == 1 })
			if way == "Send" {
				h.eventually("it has blocked", func() bool { return blocked.Load() > 0 })
			}
		})
	}
}

func TestWriteDeadline(t *testing.T) {
	t.Parallel()
	var overflowed atomic.Bool
	h := start(t, engineio.Options{QueueBytes: 64 << 20, WriteTimeout: 300 * time.Millisecond, Hooks: engineio.Hooks{
		SlowClient: func(_, _ int, overflow bool) { overflowed.Store(overflow) }}})
	c := h.dial("&EIO=4")
	c.open()
	e := h.session()
	stop := h.chatting()
	defer stop()
	p := e.s.Prepare([]byte(strings.Repeat("x", 1<<20)), nil)
	for range 40 {
		_ = e.s.Queue(p)
	}
	if r := e.reason(t); r != "slow client" || overflowed.Load() {
		t.Errorf("reason %q, overflow %v", r, overflowed.Load())
	}
}

// A message larger than the whole queue goes to an empty one, and to a client that
// is slow but reads.
func TestBlockedWritesArriveWhole(t *testing.T) {
	t.Parallel()
	h := start(t, engineio.Options{QueueBytes: 1000})
	c := h.dial("&EIO=4")
	c.open()
	e := h.session()
	big := strings.Repeat("0123456789abcdef", 1<<20)
	if err := e.s.Send(e.s.Prepare([]byte(big), nil)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	c.expectText("4" + big)
	h.eventually("the queue is empty", e.s.Idle)
	if err := e.s.Send(e.s.Prepare([]byte("after"), nil)); err != nil {
		t.Fatal(err)
	}
	c.expectText("4after")
}

func TestQueueBoundsWhilePolling(t *testing.T) {
	h := start(t, engineio.Options{QueuePackets: 3})
	h.poller("4", "")
	e := h.session()
	p := e.s.Prepare([]byte("x"), nil)
	for i := range 3 {
		if err := e.s.Queue(p); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if err := e.s.Queue(p); !errors.Is(err, engineio.ErrSlowClient) {
		t.Fatal(err)
	}
	if r := e.reason(t); r != "slow client" {
		t.Error(r)
	}
	if err := e.s.Queue("something else"); !errors.Is(err, engineio.ErrFrame) {
		t.Error(err)
	}
}

// Bodies that trickle or stop end their own session only.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	h := start(t, engineio.Options{BodyTimeout: 300 * time.Millisecond})
	stop := h.chatting()
	defer stop()
	c := h.poller("4", "")
	var e *echo
	for e = h.session(); e.s.ID() != c.sid; e = h.session() {
	}
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_, _ = fmt.Fprintf(nc, "POST /?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4abc", c.query)
	if r := e.reason(t); r != "transport error" {
		t.Error(r)
	}
	nc.SetDeadline(time.Now().Add(patience))
	if b, _ := io.ReadAll(nc); !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
		t.Errorf("got %q", b)
	}
	// Given up by the client.
	c = h.poller("4", "")
	e = h.session()
	nc, _ = net.Dial("tcp", h.addr)
	_, _ = fmt.Fprintf(nc, "POST /?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4abc", c.query)
	nc.Close()
	if r := e.reason(t); r != "transport error" {
		t.Error(r)
	}
}

// A frame whose rest never comes is no sign of life.
func TestFrameThatNeverEnds(t *testing.T) {
	t.Parallel()
	h := start(t, quick)
	c := h.dial("&EIO=4")
	c.open()
	c.raw(rawFrame(0x81, true, 1_000_000, []byte("4only this")))
	if r := h.session().reason(t); r != "ping timeout" {
		t.Error(r)
	}
}

// Many messages that begin and do not end are bounded together, and those of others
// pass meanwhile.
func TestMuchArriving(t *testing.T) {
	refused := make(chan engineio.RefusalCode, 1)
	h := start(t, engineio.Options{MaxArriving: 300_000, Hooks: engineio.Hooks{
		Refused: func(code engineio.RefusalCode) { refused <- code }}})
	const most = 180_000
	text := strings.Repeat("x", 2*most)
	message := frame(0x80|opText, []byte("4"+text))
	free := h.dial("&EIO=4")
	free.open()
	h.session()
	for range 3 { // what is over is not counted any more
		one, other := h.dial("&EIO=4"), h.dial("&EIO=4")
		one.open()
		echo := h.session()
		other.open()
		h.session()
		one.raw(message[:most])
		h.eventually("much is arriving", func() bool { return h.Arriving() >= most-16 })
		other.raw(message[:most])
		other.expectClose(1013)
		free.send("4free")
		free.expectText("4free")
		one.nc.Close()
		echo.reason(t)
		h.eventually("nothing is arriving", func() bool { return h.Arriving() == 0 })
	}
	one := h.dial("&EIO=4")
	one.open()
	h.session()
	one.raw(message[:most])
	h.eventually("much is arriving", func() bool { return h.Arriving() >= most-16 })
	c := h.poller("4", "")
	if a := c.post("4" + text); a.status != 503 {
		t.Errorf("POST: %d %q", a.status, a.body)
	}
	if code := <-refused; code != engineio.RefusedCrowded {
		t.Errorf("code %v", code)
	}
	c.expectPost("4small")
	c.expect("4small")
}

func TestFloodOfHandshakes(t *testing.T) {
	t.Parallel()
	h := start(t, engineio.Options{MaxSessions: 200})
	stop := h.chatting()
	defer stop()
	var opened, refused atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				switch a := h.do("GET", "EIO=4&transport=polling", ""); a.status {
				case http.StatusOK:
					opened.Add(1)
				case http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("got %d %v", a.status, a.err)
				}
			}
		})
	}
	wg.Wait()
	if opened.Load() != 199 || refused.Load() != 601 {
		t.Errorf("%d opened, %d refused", opened.Load(), refused.Load())
	}
}

// Abandoned polling handshakes do not stay.
func TestAbandonedHandshakes(t *testing.T) {
	t.Parallel()
	h := start(t, quick)
	for range 20 {
		h.poller("4", "")
		h.poller("3", "")
	}
	h.eventually("all are gone", func() bool { return h.Sessions() == 0 })
}

func TestFloodOfPings(t *testing.T) {
	h := start(t, engineio.Options{QueuePackets: 1000})
	stop := h.chatting()
	defer stop()
	c := h.dial("&EIO=4")
	c.open()
	flood := strings.Repeat(string(frame(0x80|opPing, []byte(strings.Repeat("p", 125)))), 1000)
	c.nc.SetDeadline(time.Now().Add(patience))
	for range 10_000 { // never reads the pongs
		if _, err := c.nc.Write([]byte(flood)); err != nil {
			return // closed, as it should be
		}
	}
	t.Error("pongs without end are kept for a client that does not read")
}

// What a ping costs is bounded by the bytes that it came in, not by their number:
// of those that come at once, the first few are answered, and the last.
func TestPingsAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name, query string
		ping, pong  func(i int) string // as frames from the client and to it
	}{
		{"frames", "&EIO=4",
			func(i int) string { return string(frame(0x80|opPing, []byte(fmt.Sprint(i)))) },
			func(i int) string { return serverFrame(opPong, fmt.Sprint(i)) }},
		{"packets of revision 3", "&EIO=3",
			func(int) string { return string(frame(0x80|opText, []byte("2"))) },
			func(int) string { return serverFrame(opText, "3") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var writes, pongs atomic.Int64
			h := start(t, engineio.Options{Hooks: engineio.Hooks{Sent: func(_ string, messages, _ int) {
				writes.Add(1)
				pongs.Add(int64(messages))
			}}})
			c := h.dial(tt.query)
			c.open()
			h.eventually("its beginning is written", h.session().s.Idle)
			before, said := writes.Load(), pongs.Load()
			const rounds, each = 20, 1000
			var last string
			go func() {
				for i := range rounds {
					var b strings.Builder
					for k := range each {
						b.WriteString(tt.ping(i*each + k))
					}
					if _, err := io.WriteString(c.nc, b.String()); err != nil {
						return
					}
				}
				c.send("4end")
			}()
			// The last pong may come after what was said after its ping.
			for ended, want := false, tt.pong(rounds*each-1); !ended || last != want; {
				op, payload, err := c.next()
				if err != nil {
					t.Fatalf("%v; the last pong is %q, want %q", err, last, want)
				}
				if f := serverFrame(op, string(payload)); f == serverFrame(opText, "4end") {
					ended = true
				} else {
					last = f
				}
			}
			// A read takes 4 KiB at least, when that much is there; a write of the
			// client may arrive in several pieces.
			if n, w := pongs.Load()-said, writes.Load()-before; n > rounds*each/10 || w > n {
				t.Errorf("%d pongs in %d writes for %d pings", n, w, rounds*each)
			}
		})
	}
}

// serverFrame is a short frame as the server writes it.
func serverFrame(op byte, payload string) string {
	return string([]byte{0x80 | op, byte(len(payload))}) + payload
}

// Many goroutines send to one session, each keeping its own order, while it
// upgrades and then goes on.
func TestOrderThroughUpgrade(t *testing.T) {
	h := start(t, engineio.Options{})
	c := h.poller("4", "")
	s := h.session().s
	const senders, each = 4, 300
	for i := range senders {
		go func() {
			for n := range each {
				p := s.Prepare([]byte(fmt.Sprintf("%d %d", i, n)), nil)
				if n%2 == 0 {
					_ = s.Send(p)
				} else {
					_ = s.Queue(p)
				}
				if n%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
	}
	var last [senders]int
	got := 0
	take := func(packet string) {
		if packet == "6" {
			return
		}
		var i, n int
		if _, err := fmt.Sscanf(packet, "4%d %d", &i, &n); err != nil {
			t.Fatalf("got %.50q", packet)
		}
		if n != last[i] {
			t.Fatalf("sender %d: message %d, want %d", i, n, last[i])
		}
		last[i]++
		got++
	}
	poll := func() {
		for p := range strings.SplitSeq(c.get().body, "\x1e") {
			take(p)
		}
	}
	for range 5 {
		poll()
	}
	w := c.upgrading()
	w.send("2probe")
	w.expectText("3probe")
	poll()
	w.send("5")
	for got < senders*each {
		_, b, err := w.next()
		if err != nil {
			t.Fatal(err)
		}
		take(string(b))
	}
}
