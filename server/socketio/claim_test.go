package socketio

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A client that has no offset because it was never given one has seen the events
// that a replay from the beginning would bring: it gets a new session. One that
// was to get offsets, and has none, has seen no event.
func TestClaimWithoutOffset(t *testing.T) {
	for _, tt := range []struct {
		name     string
		headers  map[string]string
		query    url.Values
		auth     string // after the pid
		recovers bool
	}{
		{"no offsets for it", map[string]string{"user-agent": "Dart/3"}, nil, ``, false},
		{"no offsets for it, null", map[string]string{"user-agent": "Dart/3"}, nil, `,"offset":null`, false},
		{"offsets for it", map[string]string{"user-agent": "Mozilla/5.0"}, nil, ``, true},
		{"offsets for it, null", map[string]string{"user-agent": "Mozilla/5.0"}, nil, `,"offset":null`, true},
		{"asked for", map[string]string{"user-agent": "okhttp/4"}, url.Values{"recovery": {"1"}}, ``, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := recoverable(t, Options{})
			open := func() *peer {
				c := newFakeConn(4)
				c.headers = tt.headers
				if tt.query != nil {
					c.query = tt.query
				}
				return s.open(c)
			}
			p := open()
			sid, pid := p.connect("/", "")
			p.say(`21["rooms"]`)
			p.want(`31[["lobby"]]`)
			if !tt.recovers {
				if err := s.Of("/").Emit(t.Context(), "seen"); err != nil {
					t.Fatal(err)
				}
				p.want(`2["seen"]`)
			}
			r := open() // while the old connection is half open
			got, _ := r.connect("/", fmt.Sprintf(`{"pid":%q%s}`, pid, tt.auth))
			if (got == sid) != tt.recovers {
				t.Errorf("recovered: %v", got == sid)
			}
			p.wantClosed("transport close") // and no ghost of it stays
			r.say(`21["rooms"]`)
			r.want(`31[["lobby"]]`)
			if rest := r.rest(); len(rest) > 0 {
				t.Errorf("told %q", rest)
			}
		})
	}
}

// What pid a client claimed is there for the middleware, also when the claim has
// failed, and for nobody else.
func TestClaimedPID(t *testing.T) {
	s := newTestServer(t, Options{Recovery: true})
	ns := s.Of("/")
	var mu sync.Mutex
	var claims []string
	note := func(where string, s *Socket) {
		mu.Lock()
		defer mu.Unlock()
		claims = append(claims, fmt.Sprintf("%s %v %.4s", where, s.Recovered(), s.ClaimedPID()))
	}
	ns.Use(func(_ context.Context, s *Socket) error { note("use", s); return nil })
	ns.OnConnect(func(_ context.Context, s *Socket) error { note("connect", s); return nil })
	On(ns, "ready", func(_ context.Context, s *Socket, _ struct{}) (struct{}, error) {
		note("event", s)
		return struct{}{}, nil
	})
	p := s.v5()
	p.connect("/", "")
	p.say(`21["ready"]`)
	p.want(`31[]`)
	q := s.v5()
	q.connect("/", `{"pid":"gone5678901234567890","offset":"x","a":1}`)
	q.say(`21["ready"]`)
	q.want(`31[]`)
	mu.Lock()
	got := slices.Clone(claims)
	mu.Unlock()
	want := []string{
		"use false ", "connect false ", "event false ",
		"use false gone", "connect false gone", "event false ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("claims %q, want %q", got, want)
	}
	infos, _, err := ns.FetchSockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if strings.Contains(string(i.Handshake), "gone") {
			t.Errorf("shown: %s", i.Handshake)
		}
	}
}
