package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/redis"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/config"
)

// serve starts the real wiring in this process. The returned function stops it
// and gives run's error.
func serve(t *testing.T, args ...string) (p *program, stop func() error) {
	t.Helper()
	return serveLogging(t, slog.New(slog.DiscardHandler), args...)
}

func serveLogging(t *testing.T, logger *slog.Logger, args ...string) (p *program, stop func() error) {
	t.Helper()
	c, _, err := config.Load(append([]string{"--http.addr", "127.0.0.1", "--http.port", "0", "--data.dir", ""}, args...))
	if err != nil {
		t.Fatal(err)
	}
	p, err = newProgram(c, logger)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	stop = func() error {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		return <-ended
	}
	return p, stop
}

func TestServes(t *testing.T) {
	p, stop := serve(t)
	for path, want := range map[string]string{
		"":                                   "<!doctype html",
		"socket.io/socket.io.js":             "/*!",
		"healthz":                            "ok\n",
		"readyz":                             "ready\n",
		"socket.io/?EIO=4&transport=polling": `0{"sid":"` + p.adapter.NodeID(),
		"socket.io?EIO=4&transport=polling":  `0{"sid":"` + p.adapter.NodeID(),
		"socket.io/?EIO=3&transport=polling": `:0{"sid":"` + p.adapter.NodeID(),
	} {
		body, err := fetch(p.url() + path)
		if err != nil || !strings.Contains(strings.ToLower(body[:min(len(body), 200)]), strings.ToLower(want)) {
			t.Errorf("%s: %v: %.200s", path, err, body)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := p.ready(); err == nil {
		t.Error("ready after the stop")
	}
}

// TestChat: a client of the plainest kind says something and is acknowledged.
func TestChat(t *testing.T) {
	p, stop := serve(t)
	endpoint := p.url() + "socket.io/?EIO=4&transport=polling&sid=" + open(t, p.url())
	post := func(body string) {
		t.Helper()
		resp, err := http.Post(endpoint, "text/plain;charset=UTF-8", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "ok" {
			t.Fatalf("%s: %s, %v", resp.Status, text, err)
		}
	}
	// await polls until something has come.
	await := func(want string) {
		t.Helper()
		for all := ""; ; {
			body, err := fetch(endpoint)
			if err != nil {
				t.Fatalf("waiting for %q: %v", want, err)
			}
			if all += body; strings.Contains(all, want) {
				return
			}
		}
	}
	post("40")
	await(`40{"sid":"`)
	post(`421["add user","Mina"]`)
	await(`431[{"username":"Mina"`)
	post(`422["new message",{"room":"lobby","message":"안녕 🙂","id":"a1"}]`)
	await(`432[{"id":"a1","room":"lobby","seq":1,`)
	post(`423["new message",{"room":"lobby","message":"안녕 🙂","id":"a1"}]`)
	await(`433[{"id":"a1","room":"lobby","seq":1,`)
	post(`424["no such event"]`)
	await(`"code":"unknown_event"`)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestOriginsReachTheEndpoint(t *testing.T) {
	p, stop := serve(t, "--cors.origins", "https://app.example")
	for origin, want := range map[string]int{"https://app.example": 101, "https://evil.example": 400, "": 101} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url()+"socket.io/?EIO=4&transport=websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin} {
			if v != "" {
				req.Header.Set(k, v)
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.StatusCode; got != want && !(want == 400 && got == 403) {
			t.Errorf("origin %q: %s", origin, resp.Status)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestLimitsReachTheEndpoint(t *testing.T) {
	p, stop := serve(t, "--engine.max_sessions", "1", "--engine.allow_revision3=false")
	open(t, p.url())
	resp, err := http.Get(p.url() + "socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("beyond the limit: %s %v", resp.Status, resp.Header)
	}
	if served := p.metrics.LogValue().String(); !strings.Contains(served, "sessions=1 ") || !strings.Contains(served, "refused=1 ") {
		t.Errorf("counted: %s", served)
	}
	if body, err := fetch(p.url() + "socket.io/?EIO=3&transport=polling"); err == nil || !strings.Contains(err.Error(), `"code":5`) {
		t.Errorf("revision 3: %s, %v", body, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A grace of 0 is what it says, not the default.
func TestNoGraceReachesTheStore(t *testing.T) {
	p, stop := serve(t, "--presence.grace", "0")
	ctx := t.Context()
	if _, err := p.adapter.Enter(ctx, "/", "room", "socket", adapter.Person{User: "u"}); err != nil {
		t.Fatal(err)
	}
	p.adapter.Exit("/", "room", "socket", "u", true)
	if _, n, err := p.adapter.People(ctx, "/", "room", "", 0); n != 0 || err != nil {
		t.Errorf("%d people, %v", n, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestHashPassword(t *testing.T) {
	for in, want := range map[string]string{"ant chat\n": "ant chat", "두 줄\r\nmore": "두 줄", strings.Repeat("x", 72): strings.Repeat("x", 72)} {
		var out strings.Builder
		if err := hashPassword(strings.NewReader(in), &out); err != nil {
			t.Error(err)
		}
		if err := bcrypt.CompareHashAndPassword([]byte(strings.TrimSpace(out.String())), []byte(want)); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{"", "\n", strings.Repeat("x", 73), strings.Repeat("x", 1000)} {
		if err := hashPassword(strings.NewReader(in), io.Discard); err == nil {
			t.Errorf("%q was hashed", in)
		}
	}
}

// Wrong settings of the Admin UI end the start; its hash is in no message.
func TestAdminUISettings(t *testing.T) {
	for args, want := range map[string]string{
		"--admin_ui.password_hash=SECRET": "admin_ui.password_hash", "--admin_ui.token=SECRET": "admin_ui.token",
	} {
		c, _, err := config.Load([]string{"--data.dir", "", "--admin_ui.enabled", args})
		if err != nil {
			t.Fatal(err)
		}
		_, err = newProgram(c, slog.New(slog.DiscardHandler))
		if err == nil || !strings.HasPrefix(err.Error(), want+": ") || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// What Node servers may know a room by: direct and personal rooms are not told.
func TestRoomOut(t *testing.T) {
	id := chat.PublicID("Mina")
	direct, err := chat.Limits{RoomBytes: 256, RoomCharacters: 64}.RoomFor("Ann", "@"+id)
	if err != nil {
		t.Fatal(err)
	}
	for room, want := range map[string]string{
		chat.AdapterRoom("lobby"): "lobby", "a socket's id": "a socket's id", chat.AdapterRoom(direct): "", chat.PersonalRoom(id): "",
	} {
		if name, ok := roomOut(room); ok != (want != "") || ok && name != want {
			t.Errorf("%s: %q, %v", room, name, ok)
		}
	}
}

// With the official formats off, the adapter is the plain one: nothing stands
// between a message and Redis that was not there before.
func TestOfficialIsOff(t *testing.T) {
	// No Redis, but somebody to connect to: go-redis goes on looking for a
	// while where there is nobody.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hung := make(chan struct{})
	go func() {
		defer close(hung)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	defer func() {
		_ = l.Close()
		<-hung
	}()
	for _, c := range []struct {
		args  []string
		plain bool
	}{
		{nil, true},
		{[]string{"--official.prefix", "x"}, true},
		{[]string{"--official.emitters"}, false},
		{[]string{"--official.adapter", "classic"}, false},
	} {
		p, stop := serve(t, append([]string{"--redis.url", "redis://" + l.Addr().String()}, c.args...)...)
		if _, plain := p.adapter.(*redis.Adapter); plain != c.plain {
			t.Errorf("%v: a %T", c.args, p.adapter)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}
