package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/antchat/antchat/adapter"
)

// recoverable is a server whose namespace joins everybody to "lobby", logs
// "post" there, and takes the user from the CONNECT payload.
func recoverable(t testing.TB, o Options) *testServer {
	o.Recovery = true
	s := newTestServer(t, o)
	ns := s.Of("/")
	ns.Use(func(_ context.Context, s *Socket) error {
		var auth struct{ User string }
		if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil {
			return err
		}
		s.SetUser(auth.User)
		return nil
	})
	ns.OnConnect(func(ctx context.Context, s *Socket) error {
		if s.Recovered() {
			return nil
		}
		return s.Join(ctx, "lobby")
	})
	On(ns, "post", func(ctx context.Context, s *Socket, text string) (uint64, error) {
		return post(ctx, s, text)
	})
	On(ns, "note", func(_ context.Context, s *Socket, note string) (string, error) {
		old, err := Data[string](s)
		if err != nil {
			return "", err
		}
		return old, s.SetData(note)
	})
	On(ns, "rooms", func(_ context.Context, s *Socket, _ struct{}) ([]string, error) { return s.Rooms(), nil })
	return s
}

func post(ctx context.Context, s *Socket, text string) (uint64, error) {
	e, err := NewEvent("message", text)
	if err != nil {
		return 0, err
	}
	done, err := s.client.server.adapter.Append(ctx, adapter.Append{
		Namespace: "/", Room: "lobby", Event: e, Sender: s.ID(), User: s.User(), Owner: s.Owner(),
	})
	return done.Seq, err
}

// split takes the offset off an event's text.
func split(t testing.TB, frame string) (event, offset string) {
	t.Helper()
	i := strings.LastIndex(frame, `,"1.`)
	if i < 0 || !strings.HasSuffix(frame, `"]`) {
		t.Fatalf("no offset in %s", frame)
	}
	return frame[:i] + "]", frame[i+2 : len(frame)-2]
}

func TestRecovery(t *testing.T) {
	s := recoverable(t, Options{})
	p, q := s.v5(), s.v5()
	sid, pid := p.connect("/", `{"user":"ann"}`)
	q.connect("/", "")
	p.say(`21["note","remember"]`)
	p.want(`31[""]`)

	q.say(`21["post","one"]`)
	q.want(`31[1]`)
	event, offset := split(t, p.next())
	if event != `2["message","one"]` {
		t.Fatalf("got %s", event)
	}
	p.say(`22["post","mine"]`) // logged, and not for its sender
	p.want(`32[2]`)
	q.next()
	p.Close("transport close")

	q.say(`22["post","two"]`)
	q.want(`32[3]`)
	if err := s.Of("/").To("lobby").Emit(t.Context(), "generic", 1); err != nil {
		t.Fatal(err)
	}
	q.next()

	r := s.v5()
	r.say(fmt.Sprintf(`0{"pid":%q,"offset":%q,"user":"ann"}`, pid, offset))
	r.want(fmt.Sprintf(`0{"sid":%q,"pid":%q}`, sid, pid))
	e1, _ := split(t, r.next())
	e2, _ := split(t, r.next())
	if e1 != `2["message","two"]` || e2 != `2["generic",1]` {
		t.Errorf("missed: %s, %s", e1, e2)
	}
	r.say(`21["rooms"]`, `22["note","x"]`)
	r.want(`31[["lobby"]]`, `32["remember"]`)
	q.say(`23["post","three"]`)
	q.want(`33[4]`)
	if e, _ := split(t, r.next()); e != `2["message","three"]` {
		t.Errorf("live after recovery: %s", e)
	}
}

func TestNotRecovered(t *testing.T) {
	tests := []struct {
		name, auth string
		reason     string
		claimable  bool // by its owner afterwards
	}{
		{"unknown pid", `{"pid":"aaaaaaaaaaaaaaaaaaaa","offset":OFFSET,"user":"ann"}`, "transport close", true},
		{"another user", `{"pid":PID,"offset":OFFSET,"user":"bob"}`, "transport close", true},
		{"malformed offset", `{"pid":PID,"offset":"hello","user":"ann"}`, "transport close", false},
		{"offset of another type", `{"pid":PID,"offset":7,"user":"ann"}`, "transport close", false},
		{"offset of the future", `{"pid":PID,"offset":"1.__________8","user":"ann"}`, "transport close", false},
		{"pid of another type", `{"pid":{},"user":"ann"}`, "transport close", true},
		{"after leaving", `{"pid":PID,"offset":OFFSET,"user":"ann"}`, "left", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := recoverable(t, Options{})
			p := s.v5()
			sid, pid := p.connect("/", `{"user":"ann"}`)
			if err := s.Of("/").Emit(t.Context(), "hi"); err != nil {
				t.Fatal(err)
			}
			_, offset := split(t, p.next())
			if tt.reason == "left" {
				p.say("1")
			}
			p.Close("transport close")
			eventually(t, "torn down", func() bool { return s.Of("/").Sockets() == 0 })
			auth := strings.NewReplacer("PID", `"`+pid+`"`, "OFFSET", `"`+offset+`"`)
			r := s.v5()
			if got, _ := r.connect("/", auth.Replace(tt.auth)); got == sid {
				t.Error("recovered")
			}
			r.say(`21["rooms"]`, `22["note","x"]`)
			r.want(`31[["lobby"]]`, `32[""]`)
			again := s.v5()
			got, _ := again.connect("/", auth.Replace(`{"pid":PID,"offset":OFFSET,"user":"ann"}`))
			if (got == sid) != tt.claimable {
				t.Errorf("claimed by its owner: %v, want %v", got == sid, tt.claimable)
			}
		})
	}
}

// A half-open connection is fenced, and its OnDisconnect runs before the new
// connection's OnConnect.
func TestTakeOver(t *testing.T) {
	s := recoverable(t, Options{})
	var mu sync.Mutex
	var calls []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, what)
	}
	ns := s.Of("/")
	ns.OnConnect(func(context.Context, *Socket) error { note("connect"); return nil })
	ns.OnDisconnect(func(_ context.Context, _ *Socket, reason DisconnectReason) { note(string(reason)) })
	p := s.v5()
	sid, pid := p.connect("/", "")
	p.say(`21["rooms"]`) // OnConnect is done
	p.want(`31[["lobby"]]`)
	r := s.v5()
	if got, _ := r.connect("/", fmt.Sprintf(`{"pid":%q}`, pid)); got != sid {
		t.Fatal("not recovered")
	}
	p.wantClosed("transport close")
	r.say(`21["rooms"]`)
	r.want(`31[["lobby"]]`)
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"connect", "session taken over", "connect"}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
}

// A session is worth nothing before OnConnect is done: the rooms that it would
// have joined would be missing for ever.
func TestTakeOverDuringOnConnect(t *testing.T) {
	s := recoverable(t, Options{})
	first := true
	entered := make(chan struct{})
	s.Of("/").OnConnect(func(ctx context.Context, _ *Socket) error {
		if first {
			first = false
			close(entered)
			<-ctx.Done()
		}
		return nil
	})
	p := s.v5()
	sid, pid := p.connect("/", "")
	<-entered
	r := s.v5()
	if got, _ := r.connect("/", fmt.Sprintf(`{"pid":%q}`, pid)); got == sid {
		t.Error("recovered")
	}
	r.say(`21["rooms"]`)
	r.want(`31[["lobby"]]`)
}

func TestRefusedRecoveryStaysClaimable(t *testing.T) {
	s := newTestServer(t, Options{Recovery: true})
	s.Of("/").Use(func(_ context.Context, s *Socket) error {
		if strings.Contains(string(s.Handshake().Auth), "expired") {
			return &ConnectError{Message: "token expired"}
		}
		return nil
	})
	On(s.Of("/"), "ready", func(context.Context, *Socket, struct{}) (struct{}, error) { return struct{}{}, nil })
	p := s.v5()
	sid, pid := p.connect("/", "")
	p.say(`21["ready"]`) // OnConnect is done
	p.want(`31[]`)
	p.Close("transport close")
	r := s.v5()
	r.say(fmt.Sprintf(`0{"pid":%q,"token":"expired"}`, pid))
	r.want(`4{"message":"token expired"}`)
	if got, _ := r.connect("/", fmt.Sprintf(`{"pid":%q}`, pid)); got != sid {
		t.Error("not recovered with a good token")
	}
}

func TestPIDIsNotShown(t *testing.T) {
	s := recoverable(t, Options{})
	p := s.v5()
	_, pid := p.connect("/", `{"user":"ann"}`)
	p.say(`21["rooms"]`)
	p.want(`31[["lobby"]]`)
	p.Close("transport close")
	r := s.v5()
	r.connect("/", fmt.Sprintf(`{"user":"ann","pid":%q}`, pid))
	infos, _, err := s.Of("/").FetchSockets(t.Context())
	if err != nil || len(infos) != 1 {
		t.Fatal(infos, err)
	}
	if h := string(infos[0].Handshake); strings.Contains(h, pid) || !strings.Contains(h, `"auth":{"user":"ann"}`) {
		t.Errorf("handshake %s", h)
	}
}

// TestOffsets: which sockets get offsets, and which events.
func TestOffsets(t *testing.T) {
	const ws = "permessage-deflate; client_max_window_bits"
	tests := []struct {
		name    string
		policy  OffsetPolicy
		headers map[string]string
		query   string
		want    bool
	}{
		{"browser", OffsetsAuto, map[string]string{"user-agent": "Mozilla/5.0 (X11)"}, "", true},
		{"node, polling", OffsetsAuto, map[string]string{"user-agent": "node-XMLHttpRequest"}, "", true},
		{"node, websocket", OffsetsAuto, map[string]string{"sec-websocket-extensions": ws}, "", true},
		{"python, aiohttp", OffsetsAuto, map[string]string{"user-agent": "Python/3.11 aiohttp/3.9.1"}, "", false},
		{"python, websocket-client", OffsetsAuto, map[string]string{}, "", false},
		{"dart", OffsetsAuto, map[string]string{"user-agent": "Dart/3.2 (dart:io)", "sec-websocket-extensions": ws}, "", false},
		{"android", OffsetsAuto, map[string]string{"user-agent": "okhttp/4.12.0", "sec-websocket-extensions": "permessage-deflate"}, "", false},
		{"android that asks", OffsetsAuto, map[string]string{"user-agent": "okhttp/4.12.0"}, "1", true},
		{"always", OffsetsAlways, map[string]string{}, "", true},
		{"never", OffsetsNever, map[string]string{"user-agent": "Mozilla/5.0"}, "1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestServer(t, Options{Recovery: true, Offsets: tt.policy})
			On(s.Of("/"), "me", func(_ context.Context, s *Socket, _ struct{}) (struct{}, error) {
				return struct{}{}, s.Emit("you")
			})
			c := newFakeConn(4)
			c.headers = tt.headers
			if tt.query != "" {
				c.query.Set("recovery", tt.query)
			}
			p := s.open(c)
			if _, pid := p.connect("/", ""); pid == "" {
				t.Error("no pid")
			}
			p.say(`2["me"]`)
			direct := p.next()
			if err := s.Of("/").Emit(t.Context(), "all"); err != nil {
				t.Fatal(err)
			}
			broadcast := p.next()
			if err := s.Of("/").Volatile().Emit(t.Context(), "now"); err != nil {
				t.Fatal(err)
			}
			volatile := p.next()
			for event, got := range map[string]string{"you": direct, "all": broadcast, "now": volatile} {
				plain := fmt.Sprintf(`2[%q]`, event)
				if (got != plain) != tt.want || !strings.HasPrefix(got, plain[:len(plain)-1]) {
					t.Errorf("got %s", got)
				}
			}
		})
	}
}

func TestNoRecoveryNoPID(t *testing.T) {
	s := newTestServer(t, Options{})
	s.Of("/")
	p := s.v5()
	if _, pid := p.connect("/", `{"pid":"aaaaaaaaaaaaaaaaaaaa"}`); pid != "" {
		t.Error("got a pid")
	}
	if err := s.Of("/").Emit(t.Context(), "all"); err != nil {
		t.Fatal(err)
	}
	p.want(`2["all"]`)
}
