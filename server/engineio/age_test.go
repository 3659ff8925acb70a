package engineio_test

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// lives collects how long sessions lived, by the reason of their end.
type lives struct {
	mu sync.Mutex
	by map[string][]time.Duration
}

func (l *lives) closed(_ string, _ int, reason string, lived time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = make(map[string][]time.Duration)
	}
	l.by[reason] = append(l.by[reason], lived)
}

func (l *lives) of(reason string) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.by[reason])
}

// TestMaxAge: every WebSocket ends at its age, with what is queued and a close
// frame; a session that polls goes on.
func TestMaxAge(t *testing.T) {
	for name, open := range map[string]func(h *harness) *wsClient{
		"revision 4":           func(h *harness) *wsClient { c := h.dial("&EIO=4"); c.open(); return c },
		"revision 3":           func(h *harness) *wsClient { c := h.dial("&EIO=3"); c.open(); return c },
		"upgraded, revision 4": func(h *harness) *wsClient { return upgrade(h, "4") },
		"upgraded, revision 3": func(h *harness) *wsClient { return upgrade(h, "3") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Heartbeats are far off: the age must not wait for one.
			h := start(t, engineio.Options{MaxAge: 2 * time.Second})
			began := time.Now()
			c := open(h)
			e := h.session()
			c.send("4x")
			c.expectText("4x")
			c.expectClose(0)
			if reason := e.reason(t); reason != engineio.ReasonMaxAge {
				t.Errorf("closed as %q", reason)
			}
			if lived := time.Since(began); lived < 1700*time.Millisecond {
				t.Errorf("closed after %v", lived)
			}
		})
	}
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		h := startTLS(t, engineio.Options{MaxAge: time.Second})
		c := h.dial("&EIO=4")
		c.open()
		c.expectClose(0)
	})
	t.Run("heartbeats in between", func(t *testing.T) {
		t.Parallel()
		o := gentle
		o.MaxAge = 700 * time.Millisecond
		h := start(t, o)
		c := h.dial("&EIO=4")
		c.open()
		c.expectText("2")
		c.send("3")
		c.expectText("2")
		c.expectClose(0) // with a ping unanswered
	})
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		h := start(t, engineio.Options{MaxAge: 300 * time.Millisecond})
		c := h.poller("4", "")
		time.Sleep(time.Second)
		c.expectPost("4x")
		c.expect("4x")
	})
}

// TestMaxAgeJitter: what was opened together is not closed together.
func TestMaxAgeJitter(t *testing.T) {
	t.Parallel()
	var l lives
	h := start(t, engineio.Options{MaxAge: 2 * time.Second, MaxAgeJitter: 1500 * time.Millisecond, Hooks: engineio.Hooks{Closed: l.closed}})
	const n = 100
	for range n {
		c := h.dial("&EIO=4")
		c.open()
		go func() { // the server closes when the client has
			for {
				if _, _, err := c.next(); err != nil {
					return
				}
			}
		}()
	}
	h.eventually("all are closed", func() bool { return len(l.of(engineio.ReasonMaxAge)) == n })
	all := l.of(engineio.ReasonMaxAge)
	if spread := slices.Max(all) - slices.Min(all); spread < 750*time.Millisecond {
		t.Errorf("%d sessions ended within %v of their lives", n, spread)
	}
}

// finishing is a handler that is asked before its session ends.
type finishing struct {
	*echo
	asked chan func()
}

func (f *finishing) Finish(_ time.Duration, done func()) { f.asked <- done }

// TestFinish: the handler says when.
func TestFinish(t *testing.T) {
	t.Parallel()
	asked := make(chan func(), 1)
	h := startWith(t, engineio.Options{MaxAge: 300 * time.Millisecond}, func(e *echo) engineio.Handler { return &finishing{e, asked} })
	c := h.dial("&EIO=4")
	c.open()
	e := h.session()
	done := <-asked
	time.Sleep(300 * time.Millisecond) // not asked again meanwhile
	c.send("4still here")
	c.expectText("4still here")
	_ = e.s.Send(e.s.Prepare([]byte("answer"), nil))
	done()
	c.expectText("4answer")
	c.expectClose(0)
	if len(asked) > 0 {
		t.Error("asked twice")
	}
}

// TestDrain: new sessions are refused, those that there are end one after the
// other, whatever they use.
func TestDrain(t *testing.T) {
	t.Parallel()
	var l lives
	h := start(t, engineio.Options{Hooks: engineio.Hooks{Closed: l.closed}})
	const n = 40
	var wg sync.WaitGroup
	ends := make([]time.Time, n)
	for i := range n {
		c := h.dial("&EIO=4")
		c.open()
		wg.Go(func() {
			for {
				if _, _, err := c.next(); err != nil {
					ends[i] = time.Now()
					return
				}
				_, _ = c.nc.Write(frame(0x80|opClose, nil)) // it can only be that
			}
		})
	}
	p := h.poller("4", "")
	poll := p.getting()
	drained := make(chan struct{})
	go func() {
		h.Drain(t.Context(), 600*time.Millisecond)
		close(drained)
	}()
	h.eventually("new sessions are refused", func() bool {
		a := h.do("GET", "EIO=4&transport=polling", "")
		if a.status != http.StatusServiceUnavailable {
			return false
		}
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return true
	})
	if a := <-poll; a.status != http.StatusOK || a.body != "1" {
		t.Errorf("the pending poll: %+v", a)
	}
	wg.Wait()
	<-drained
	h.eventually("all are gone", func() bool { return h.Sessions() == 0 })
	slices.SortFunc(ends, time.Time.Compare)
	if spread := ends[n-1].Sub(ends[0]); spread < 300*time.Millisecond {
		t.Errorf("all ended within %v", spread)
	}
	if got := len(l.of(engineio.ReasonShutdown)); got < n {
		t.Errorf("%d were closed as shutting down", got)
	}
}

// TestDrainWaits: for the answers that clients wait for, also without a window.
func TestDrainWaits(t *testing.T) {
	t.Parallel()
	asked := make(chan func(), 2)
	h := startWith(t, engineio.Options{}, func(e *echo) engineio.Handler { return &finishing{e, asked} })
	busy, idle := h.dial("&EIO=4"), h.dial("&EIO=4")
	busy.open()
	e := h.session()
	idle.open()
	drained := make(chan struct{})
	go func() {
		h.Drain(t.Context(), 0)
		close(drained)
	}()
	first, second := <-asked, <-asked
	select {
	case <-drained:
		t.Fatal("it did not wait")
	case <-time.After(100 * time.Millisecond):
	}
	_ = e.s.Send(e.s.Prepare([]byte("answer"), nil))
	first()
	second()
	<-drained
	busy.expectText("4answer")
	busy.expectClose(0)
	idle.expectClose(0)
}

// TestDrainEnds: with its context.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	h := start(t, engineio.Options{})
	for range 10 {
		h.dial("&EIO=4").open()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.Drain(ctx, time.Hour)
	if n := h.Sessions(); n == 0 {
		t.Error("it did not stop")
	}
}
