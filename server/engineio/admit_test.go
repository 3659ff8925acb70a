package engineio_test

import (
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// TestAdmit: a node that has too much to do turns new sessions away before
// anything else, and serves those that it has.
func TestAdmit(t *testing.T) {
	var busy atomic.Bool
	var asked, refused atomic.Int32
	h := start(t, engineio.Options{
		Admit: func() (time.Duration, bool) { return 6500 * time.Millisecond, !busy.Load() },
		AllowRequest: func(*http.Request) error {
			asked.Add(1)
			return nil
		},
		Hooks: engineio.Hooks{Refused: func(code engineio.RefusalCode) {
			if code == engineio.RefusedOverload {
				refused.Add(1)
			}
		}},
	})
	p := h.poller("4", "")
	w := h.dial("&EIO=4")
	w.open()
	before := asked.Load()
	busy.Store(true)
	a := h.do("GET", "EIO=4&transport=polling", "")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "7" {
		t.Errorf("polling: %+v", a)
	}
	c, resp := h.tryDial("&EIO=3")
	if c != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "7" {
		t.Errorf("websocket: %+v", resp)
	}
	if got := asked.Load(); got != before || refused.Load() != 2 {
		t.Errorf("AllowRequest was asked %d times, %d refusals were told", got-before, refused.Load())
	}
	p.expectPost("4x")
	p.expect("4x")
	w.send("4y")
	w.expectText("4y")
	busy.Store(false)
	h.dial("&EIO=4").open()
}

// TestReady: a node that could not serve a new session says so, and serves those that
// it has.
func TestReady(t *testing.T) {
	var away atomic.Bool
	var refused atomic.Int32
	h := start(t, engineio.Options{
		Ready: func() bool { return !away.Load() },
		Hooks: engineio.Hooks{Refused: func(code engineio.RefusalCode) {
			if code == engineio.RefusedUnready {
				refused.Add(1)
			}
		}},
	})
	p := h.poller("4", "")
	away.Store(true)
	a := h.do("GET", "EIO=4&transport=polling", "")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("polling: %+v", a)
	}
	if c, resp := h.tryDial("&EIO=4"); c != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("websocket: %+v", resp)
	}
	if refused.Load() != 2 {
		t.Errorf("%d refusals were told", refused.Load())
	}
	w := h.dial("&EIO=4&sid=" + p.sid) // an upgrade
	w.send("2probe")
	w.expectText("3probe")
	away.Store(false)
	h.dial("&EIO=4").open()
}

// TestFullBeforeAllowed: where there is no room nobody is asked whether the
// client may come in, and whoever may not takes no room.
func TestFullBeforeAllowed(t *testing.T) {
	var asked atomic.Int32
	var why atomic.Pointer[error]
	h := start(t, engineio.Options{MaxSessions: 1, AllowRequest: func(*http.Request) error {
		asked.Add(1)
		if err := why.Load(); err != nil {
			if *err == nil {
				panic("a fault in the check")
			}
			return *err
		}
		return nil
	}})
	no, fault := errors.New("no"), error(nil)
	for _, reason := range []*error{&no, &fault} {
		why.Store(reason)
		if a := h.do("GET", "EIO=4&transport=polling", ""); a.status != http.StatusForbidden {
			t.Errorf("%+v", a)
		}
	}
	why.Store(nil)
	h.poller("4", "")
	before := asked.Load()
	a := h.do("GET", "EIO=4&transport=polling", "")
	if wait, err := strconv.Atoi(a.header.Get("Retry-After")); a.status != http.StatusServiceUnavailable || err != nil || wait < 5 || wait > 10 {
		t.Errorf("%+v", a)
	}
	if asked.Load() != before {
		t.Error("AllowRequest was asked although there is no room")
	}
}
