package main

import (
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// metric reads one series of a node's metrics.
func metric(t *testing.T, p *program, series string) float64 {
	t.Helper()
	page, err := fetch("http://" + p.admin.address() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no %s", series)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAdmin: the operator's address serves metrics that move as somebody chats,
// profiles and health; the clients' address does not.
func TestAdmin(t *testing.T) {
	p, stop := serve(t, "--admin.listen", "127.0.0.1:0")
	admin := "http://" + p.admin.address()
	for path, want := range map[string]string{
		"/": "/metrics", "/healthz": "ok\n", "/readyz": "ready\n", "/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/metrics": "go_goroutines ",
	} {
		if body, err := fetch(admin + path); err != nil || !strings.Contains(body, want) {
			t.Errorf("%s: %v: %.100s", path, err, body)
		}
	}
	for _, path := range []string{"debug/pprof/", "metrics"} {
		resp, err := http.Get(p.url() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("clients see %s: %s", path, resp.Status)
		}
	}
	if resp, err := http.Get(admin + "/debug/pprof/cmdline"); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("the command line, which may hold a password: %v %v", resp, err)
	} else {
		_ = resp.Body.Close()
	}

	endpoint := p.url() + "socket.io/?EIO=4&transport=polling&sid=" + open(t, p.url())
	say := func(body, want string) {
		t.Helper()
		resp, err := http.Post(endpoint, "text/plain;charset=UTF-8", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		for all := ""; !strings.Contains(all, want); {
			more, err := fetch(endpoint)
			if err != nil {
				t.Fatalf("waiting for %q: %v", want, err)
			}
			all += more
		}
	}
	say("40", `40{"sid":"`)
	say(`421["add user","Mina"]`, `431[`)
	say(`422["new message",{"room":"lobby","message":"hello","id":"a1"}]`, `432[`)
	say(`423["new message",{"room":"lobby","message":"hello","id":"a1"}]`, `433[`)
	say(`424["no such event"]`, `"unknown_event"`)
	for series, want := range map[string]float64{
		`antchat_engineio_sessions{revision="4",transport="polling"}`:                     1,
		`antchat_engineio_sessions_opened_total{revision="4",transport="polling"}`:        1,
		`antchat_engineio_packets_total{direction="in",transport="polling"}`:              5,
		`antchat_socketio_sockets{protocol="5"}`:                                          1,
		`antchat_socketio_connects_total{kind="new"}`:                                     1,
		`antchat_socketio_event_duration_seconds_count{event="new_message",outcome="ok"}`: 2,
		`antchat_socketio_event_duration_seconds_count{event="other",outcome="error"}`:    1,
		`antchat_socketio_broadcast_recipients_count{class="logged"}`:                     1,
		`antchat_chat_messages_total{outcome="stored"}`:                                   1,
		`antchat_chat_messages_total{outcome="duplicate"}`:                                1,
		`antchat_chat_requests_refused_total{code="unknown_event",event="other"}`:         1,
		`antchat_store_append_duration_seconds_count{outcome="ok"}`:                       2,
		`antchat_rooms`:           2, // the lobby, and the one of this user's connections
		`antchat_presence_people`: 1,
		`antchat_limit_used{limit="engine.max_sessions"}`: 1,
		`antchat_limit_used{limit="log.max_rooms"}`:       1,
		`antchat_limit_used{limit="dedupe.max_ids"}`:      1,
	} {
		if got := metric(t, p, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", p.admin.address()); err == nil {
		_ = c.Close()
		t.Error("the operator's address still listens")
	}
}

// The address is taken: one line, nothing left behind.
func TestAdminAddressTaken(t *testing.T) {
	p, stop := serve(t, "--admin.listen", "127.0.0.1:0")
	again := newAdmin(http.NotFoundHandler(), p.logger)
	if err := again.listen(p.admin.address()); err == nil {
		t.Error("it listens twice")
	}
	if err := again.close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
