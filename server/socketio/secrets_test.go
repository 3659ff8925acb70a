package socketio

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Secrets are for the middleware and in no handshake, also when a session could
// not be continued and the middleware runs again.
func TestSecrets(t *testing.T) {
	s := newTestServer(t, Options{Recovery: true, Secrets: []string{"token", "header"}})
	ns := s.Of("/")
	var mu sync.Mutex
	var seen []string
	ns.Use(func(_ context.Context, s *Socket) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %s %v %q %v", s.Secret("token"), s.Secret("header"), s.Recovered(), s.ClaimedRooms(), s.Value()))
		if strings.Contains(string(s.Handshake().Auth), "hidden") {
			t.Errorf("the handshake shows %s", s.Handshake().Auth)
		}
		s.SetValue(len(seen))
		return nil
	})
	ns.OnConnect(func(ctx context.Context, s *Socket) error {
		if s.Value() == nil {
			t.Error("nothing local")
		}
		return s.Join(ctx, "lobby")
	})
	On(ns, "late", func(_ context.Context, s *Socket, _ struct{}) (string, error) {
		return fmt.Sprintf("%s %q %v", s.Secret("token"), s.ClaimedRooms(), s.Value()), nil
	})
	conn := newFakeConn(4)
	conn.secrets = map[string]string{"header": "x", "token": "not this"}
	p := s.open(conn)
	_, pid := p.connect("/", `{"token":"hidden","more":1}`)
	p.say(`21["late",{}]`)
	p.want(`31["\"not this\" [] 1"]`)
	r := s.open(newFakeConn(4))
	r.connect("/", fmt.Sprintf(`{"pid":%q,"offset":"nonsense","token":"hidden"}`, pid))
	infos, _, err := ns.FetchSockets(t.Context())
	if err != nil || len(infos) == 0 {
		t.Fatal(err)
	}
	for _, info := range infos {
		if strings.Contains(string(info.Handshake), "hidden") {
			t.Errorf("%s", info.Handshake)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{`"hidden" "x" false [] <nil>`, `"hidden"  true ["lobby"] <nil>`, `"hidden"  false [] <nil>`}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
}
