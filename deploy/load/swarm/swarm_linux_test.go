package swarm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline ends a wait that has failed.
const deadline = 30 * time.Second

// serve starts a Socket.IO server with the two handlers of the vocabulary
// "plain".
func serve(t *testing.T, o engineio.Options) netip.AddrPort {
	t.Helper()
	store, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sockets := socketio.NewServer(store, socketio.Options{Recovery: true})
	root := sockets.Of("/")
	socketio.OnArgs(root, "join", func(ctx context.Context, s *socketio.Socket, args socketio.Args) (struct{}, error) {
		var room string
		if err := args.Decode(0, &room); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.Join(ctx, room)
	})
	socketio.OnArgs(root, "msg", func(ctx context.Context, _ *socketio.Socket, args socketio.Args) (struct{}, error) {
		var room, text string
		if err := errors.Join(args.Decode(0, &room), args.Decode(1, &text)); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, root.To(room).Emit(ctx, "msg", text)
	})
	engine := engineio.NewServer(func(s *engineio.Session) engineio.Handler { return sockets.Accept(s) }, o)
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", engine)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := errors.Join(engine.Close(ctx), sockets.Close(ctx), store.Close(ctx)); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return netip.MustParseAddrPort(server.Listener.Addr().String())
}

// log is a handler that keeps what it hears.
type log struct {
	connected, closed map[int]int
	events, acks      map[int][]string
	last              error
}

func newLog() *log {
	return &log{map[int]int{}, map[int]int{}, map[int][]string{}, map[int][]string{}, nil}
}

func (l *log) Connected(c *Client) { l.connected[c.Index]++ }
func (l *log) Event(c *Client, array []byte, _ time.Time) {
	l.events[c.Index] = append(l.events[c.Index], string(array))
}
func (l *log) Ack(c *Client, id int, array []byte, _ time.Time) {
	l.acks[c.Index] = append(l.acks[c.Index], fmt.Sprint(id, string(array)))
}
func (l *log) Closed(c *Client, err error) {
	l.closed[c.Index]++
	l.last = err
}

// until polls until ok.
func until(t *testing.T, s *Swarm, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", deadline, what)
		}
		if err := s.Poll(50 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClients: both revisions over both transports, from several addresses, in
// one room; they answer heartbeats, are cut off, and come back.
func TestClients(t *testing.T) {
	at := serve(t, engineio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: 5 * time.Second})
	l := newLog()
	s, err := New(l, Options{Query: "recovery=1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var clients []*Client
	for i, p := range []Place{
		{Revision: 4}, {Revision: 4, Polling: true}, {Revision: 3}, {Revision: 3, Polling: true},
		{Source: netip.MustParseAddr("127.0.1.7")}, {Source: netip.MustParseAddr("127.0.1.8"), Polling: true},
	} {
		p.Server = at
		c := s.NewClient(i, p)
		c.KeepOffset = true
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	until(t, s, "all to connect", func() bool { return len(l.connected) == len(clients) })
	for _, c := range clients {
		c.EmitAck(7, `["join","r"]`)
	}
	until(t, s, "all to join", func() bool { return len(l.acks) == len(clients) })
	for i, acks := range l.acks {
		if len(acks) != 1 || !strings.HasPrefix(acks[0], "7[") {
			t.Errorf("client %d: %q", i, acks)
		}
	}
	for i, c := range clients {
		c.Emit(fmt.Sprintf(`["msg","r","%s from %d"]`, strings.Repeat("x", 200), i))
	}
	all := func(n int) func() bool {
		return func() bool {
			for i := range clients {
				if len(l.events[i]) < n {
					return false
				}
			}
			return true
		}
	}
	until(t, s, "all messages", all(len(clients)))
	// Several heartbeats: whoever does not answer is closed.
	end := time.Now().Add(2 * time.Second)
	until(t, s, "heartbeats", func() bool { return time.Now().After(end) })
	if len(l.closed) > 0 {
		t.Fatalf("closed: %v, %v", l.closed, l.last)
	}

	// Cut off: what is said meanwhile comes after the recovery, in revision 4.
	for _, c := range clients[:4] {
		c.Drop()
	}
	clients[4].Emit(`["msg","r","meanwhile"]`)
	until(t, s, "those who stayed", func() bool { return len(l.events[4]) == 7 && len(l.events[5]) == 7 })
	for _, c := range clients[:4] {
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, s, "all to be back", func() bool { return l.connected[0]+l.connected[1]+l.connected[2]+l.connected[3] == 8 })
	until(t, s, "what was missed", func() bool { return len(l.events[0]) == 7 && len(l.events[1]) == 7 })
	for i, c := range clients[:4] {
		if want := i < 2; c.Recovered != want {
			t.Errorf("client %d: recovered %v", i, c.Recovered)
		}
	}
	for i := range clients {
		for n, e := range l.events[i] {
			if n < 6 && !strings.Contains(e, "from ") || n == 6 && !strings.Contains(e, "meanwhile") {
				t.Errorf("client %d, event %d: %.80s", i, n, e)
			}
		}
	}
	if len(l.closed) > 0 {
		t.Errorf("closed: %v, %v", l.closed, l.last)
	}
}

// TestPause: who does not read gets everything later.
func TestPause(t *testing.T) {
	at := serve(t, engineio.Options{})
	l := newLog()
	s, err := New(l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, b := s.NewClient(0, Place{Server: at}), s.NewClient(1, Place{Server: at})
	for _, c := range []*Client{a, b} {
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, s, "both", func() bool { return len(l.connected) == 2 })
	a.EmitAck(1, `["join","r"]`)
	b.EmitAck(1, `["join","r"]`)
	until(t, s, "both to join", func() bool { return len(l.acks) == 2 })
	if err := b.Pause(true); err != nil {
		t.Fatal(err)
	}
	a.Emit(`["msg","r","x"]`)
	until(t, s, "a's own message", func() bool { return len(l.events[0]) == 1 })
	if len(l.events[1]) > 0 {
		t.Error("it reads")
	}
	if err := b.Pause(false); err != nil {
		t.Fatal(err)
	}
	until(t, s, "b", func() bool { return len(l.events[1]) == 1 })
}

// TestRefusals: each ends the attempt with an error that says why.
func TestRefusals(t *testing.T) {
	full := serve(t, engineio.Options{MaxSessions: 1})
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := netip.MustParseAddrPort(gone.Addr().String())
	_ = gone.Close()
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	defer mute.Close()

	l := newLog()
	s, err := New(l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.NewClient(9, Place{Server: full}).Open(); err != nil {
		t.Fatal(err)
	}
	until(t, s, "the only one", func() bool { return l.connected[9] == 1 })
	for i, tt := range []struct {
		place Place
		check func(err error) bool
	}{
		{Place{Server: full}, func(err error) bool {
			var r *Refused
			return errors.As(err, &r) && r.Status == 503 && r.RetryAfter > 0
		}},
		{Place{Server: full, Polling: true}, func(err error) bool { var r *Refused; return errors.As(err, &r) && r.Status == 503 }},
		{Place{Server: nobody}, func(err error) bool { return strings.Contains(err.Error(), "refused") }},
		{Place{Server: netip.MustParseAddrPort(mute.Listener.Addr().String())}, func(err error) bool { var r *Refused; return errors.As(err, &r) && r.Status == 200 }},
		{Place{Server: netip.MustParseAddrPort(mute.Listener.Addr().String()), Revision: 3, Polling: true}, func(err error) bool { return errors.Is(err, errPayload) }},
	} {
		c := s.NewClient(i, tt.place)
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
		until(t, s, "the refusal", func() bool { return l.closed[i] == 1 })
		if !tt.check(l.last) || c.Connected() {
			t.Errorf("%+v: %v", tt.place, l.last)
		}
	}
}

// TestFilesComeBack: a thousand connections one after the other leave nothing
// open.
func TestFilesComeBack(t *testing.T) {
	at := serve(t, engineio.Options{})
	l := newLog()
	s, err := New(l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	c := s.NewClient(0, Place{Server: at, Polling: true})
	before := open()
	for i := range 200 {
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
		until(t, s, "the connection", func() bool { return l.connected[0] == i+1 })
		c.Drop()
	}
	if after := open(); after > before+50 { // the server's side is closing
		t.Errorf("%d files before, %d after", before, after)
	}
	if len(s.conns) > 8 {
		t.Errorf("%d numbers for two connections at a time", len(s.conns))
	}
	s.Close()
}
