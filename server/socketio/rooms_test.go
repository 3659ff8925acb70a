package socketio

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

func TestEmitter(t *testing.T) {
	s := newTestServer(t, Options{})
	ns := s.Of("/")
	other := s.Of("/other")
	rooms := [][]string{{"a"}, {"a", "b"}, {"b", "c"}, nil}
	peers := make([]*peer, len(rooms))
	sockets := make([]*Socket, len(rooms))
	for i, rs := range rooms {
		peers[i] = s.v5()
		if i == 1 {
			peers[i] = s.v4()
			peers[i].want("0")
		} else {
			peers[i].connect("/", "")
		}
		sockets[i] = peers[i].client.root
		if err := sockets[i].Join(t.Context(), rs...); err != nil {
			t.Fatal(err)
		}
		peers[i].say("0/other")
		peers[i].next()
	}
	sid := sockets[3].ID()
	tests := []struct {
		name string
		to   Emitter
		want []int
	}{
		{"everybody", ns.All(), []int{0, 1, 2, 3}},
		{"a room", ns.To("a"), []int{0, 1}},
		{"several rooms, each once", ns.To("a").In("b", "c"), []int{0, 1, 2}},
		{"a room but another", ns.To("a", "b").Except("c"), []int{0, 1}},
		{"all but a room", ns.Except("a"), []int{2, 3}},
		{"a socket", ns.To(sid), []int{3}},
		{"all but a socket", ns.Except(sid), []int{0, 1, 2}},
		{"local", ns.Local().To("c"), []int{2}},
		{"volatile", ns.Volatile().To("c").Compress(true), []int{2}},
		{"a room that nobody is in", ns.To("z"), nil},
		{"the socket's room without itself", sockets[0].To("a"), []int{1}},
		{"broadcast", sockets[0].Broadcast(), []int{1, 2, 3}},
		{"another namespace", other.To("a"), nil},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.to.Emit(t.Context(), "e", i); err != nil {
				t.Fatal(err)
			}
			if err := ns.Emit(t.Context(), "end"); err != nil {
				t.Fatal(err)
			}
			var got []int
			for j, p := range peers {
				frame := p.next()
				if frame == fmt.Sprintf(`2["e",%d]`, i) {
					got = append(got, j)
					frame = p.next()
				}
				if frame != `2["end"]` {
					t.Errorf("%d got %s", j, frame)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("reached %v, want %v", got, tt.want)
			}
		})
	}
	base := ns.To("a")
	one, two := base.To("b"), base.To("c")
	if one.target.Rooms[1] != "b" || two.target.Rooms[1] != "c" || len(base.target.Rooms) != 1 {
		t.Error("emitters share their rooms")
	}
}

func TestFleetOrders(t *testing.T) {
	s := newTestServer(t, Options{})
	ns := s.Of("/")
	p, q := s.v5(), s.v5()
	p.connect("/", `{"token":"x"}`)
	q.connect("/", "")
	root := p.client.root
	if err := root.SetData(map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	if err := ns.To(root.ID()).SocketsJoin(t.Context(), "x", "y"); err != nil {
		t.Fatal(err)
	}
	if err := ns.To("x").SocketsLeave(t.Context(), "y"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "rooms", func() bool { return slices.Equal(root.Rooms(), []string{"x"}) })
	infos, missing, err := ns.To("x").FetchSockets(t.Context())
	if err != nil || len(missing) != 0 || len(infos) != 1 {
		t.Fatal(infos, missing, err)
	}
	i := infos[0]
	if i.ID != root.ID() || !slices.Equal(i.Rooms, []string{"x"}) || string(i.Data) != `{"n":1}` || i.Node != s.adapter.NodeID() {
		t.Errorf("got %+v", i)
	}
	for _, part := range []string{`"address":"192.0.2.1"`, `"auth":{"token":"x"}`, `"user-agent":"Mozilla/5.0"`, `"xdomain":false`, `"query":{}`} {
		if !strings.Contains(string(i.Handshake), part) {
			t.Errorf("no %s in %s", part, i.Handshake)
		}
	}
	if all, _, err := ns.FetchSockets(t.Context()); err != nil || len(all) != 2 {
		t.Error(all, err)
	}
	if err := ns.To("x").DisconnectSockets(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	p.want("1")
	if err := ns.DisconnectSockets(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	q.want("1")
	q.wantClosed("forced server close")
	if p.reason != "" {
		t.Error("the other connection was closed too")
	}
}

// The answer to a join comes before everything that was said after the cut,
// and what it shows and what follows meet.
func TestJoinReadOrder(t *testing.T) {
	s := newTestServer(t, Options{})
	ns := s.Of("/")
	gate, joined := make(chan struct{}), make(chan struct{})
	On(ns, "join", func(ctx context.Context, s *Socket, _ struct{}) (uint64, error) {
		cut, err := s.JoinRead(ctx, "log", adapter.LogRead{Limit: 10})
		if err != nil {
			return 0, err
		}
		close(joined)
		<-gate
		return cut.Read.Head, s.Emit("direct")
	})
	post := func(n int) {
		e, err := NewEvent("m", n)
		if err == nil {
			_, err = s.adapter.Append(t.Context(), adapter.Append{Namespace: "/", Room: "log", Event: e})
		}
		if err == nil {
			err = ns.Emit(t.Context(), "all", n)
		}
		if err == nil {
			err = ns.Volatile().Emit(t.Context(), "now", n)
		}
		if err != nil {
			t.Error(err)
		}
	}
	p, q := s.v5(), s.v5()
	p.connect("/", "")
	q.connect("/", "")
	for _, x := range []*peer{p, q} { // volatile events are not kept back
		eventually(t, "connected", func() bool { return free(x.client.root) })
	}
	post(1)
	p.want(`2["all",1]`, `2["now",1]`)
	p.say(`27["join"]`)
	<-joined
	post(2)
	post(3)
	q.want(`2["all",1]`, `2["now",1]`, `2["all",2]`, `2["now",2]`, `2["all",3]`, `2["now",3]`)
	close(gate)
	p.want(`2["direct"]`, `37[1]`, `2["m",2]`, `2["all",2]`, `2["m",3]`, `2["all",3]`)
	post(4)
	p.want(`2["m",4]`, `2["all",4]`, `2["now",4]`)
}

func TestHeldTooLong(t *testing.T) {
	s := newTestServer(t, Options{MaxHeld: 10})
	ns := s.Of("/")
	p := s.v5()
	p.connect("/", "")
	root := p.client.root
	eventually(t, "connected", func() bool { return free(root) })
	root.hold()
	for i := range 11 {
		if err := ns.Emit(t.Context(), "x", i); err != nil {
			t.Fatal(err)
		}
	}
	p.wantClosed("slow client")
	root.release(nil)
	if rest := p.rest(); len(rest) > 0 {
		t.Errorf("sent %q with something missing before it", rest)
	}
}

func TestVolatile(t *testing.T) {
	var mu sync.Mutex
	dropped := 0
	s := newTestServer(t, Options{Hooks: Hooks{Dropped: func(*Socket, string) {
		mu.Lock()
		defer mu.Unlock()
		dropped++
	}}})
	ns := s.Of("/")
	p := s.v5()
	p.connect("/", "")
	eventually(t, "connected", func() bool { return free(p.client.root) })
	p.mu.Lock()
	p.busy = true
	p.mu.Unlock()
	if err := ns.Volatile().Emit(t.Context(), "lost"); err != nil {
		t.Fatal(err)
	}
	if err := p.client.root.Volatile().Emit("lost"); err != nil {
		t.Fatal(err)
	}
	if err := ns.Emit(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	p.want(`2["kept"]`)
	if dropped != 2 {
		t.Errorf("%d dropped", dropped)
	}
}

// TestRender: each view is told in its own words, the sender as its view says,
// gaps and presence too, live and kept back alike.
func TestRender(t *testing.T) {
	s := newTestServer(t, Options{Views: 2})
	ns := s.Of("/")
	ns.Use(func(_ context.Context, s *Socket) error {
		auth := string(s.Handshake().Auth)
		s.SetUser(between(auth, `"user":"`, `"`))
		if strings.Contains(auth, "second") {
			s.SetView(1)
		}
		return nil
	})
	ns.Render(func(v View, d *adapter.Delivery) (adapter.Event, bool, bool) {
		if v == 0 || d.Class != adapter.Logged {
			return d.Event, false, v == 1 || d.Event.Name != "only second"
		}
		e, _ := NewEvent("second", d.Seq)
		return e, true, true
	})
	ns.OnGap(func(g adapter.Gap) adapter.Event {
		e, _ := NewEvent("gap", g.From, g.To)
		return e
	})
	ns.OnPresence(func(c adapter.PresenceChange) (adapter.Event, string, bool) {
		e, _ := NewEvent("joined", c.Person.Name, c.Count)
		return e, c.Person.User, c.Person.Name != "quiet"
	})
	first, second := s.v5(), s.v5()
	id1, _ := first.connect("/", `{"user":"u1"}`)
	id2, _ := second.connect("/", `{"user":"u2","v":"second"}`)
	for _, p := range []*peer{first, second} {
		eventually(t, "connected", func() bool { return free(p.client.root) })
		if err := p.client.root.Join(t.Context(), "room"); err != nil {
			t.Fatal(err)
		}
	}
	say := func(sender string) {
		e, _ := NewEvent("first")
		if _, err := s.adapter.Append(t.Context(), adapter.Append{Namespace: "/", Room: "room", Event: e, Sender: sender}); err != nil {
			t.Fatal(err)
		}
	}
	person := func(user, name string) {
		if _, err := s.adapter.Enter(t.Context(), "/", "room", id1, adapter.Person{User: user, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	for _, held := range []bool{false, true} {
		if held {
			first.client.root.hold()
			second.client.root.hold()
		}
		n := 0
		if held {
			n = 2
		}
		say(id1)
		say(id2)
		if err := ns.Emit(t.Context(), "only second"); err != nil {
			t.Fatal(err)
		}
		person(fmt.Sprint("u", n+1), "somebody")
		person(fmt.Sprint("quiet", n), "quiet")
		(*receiver)(ns).Gap(adapter.Gap{Namespace: "/", Room: "room", From: 3, To: 4},
			[]adapter.Socket{(*member)(first.client.root), (*member)(second.client.root)})
		if held {
			eventually(t, "held", func() bool {
				second.client.root.mu.Lock()
				defer second.client.root.mu.Unlock()
				return len(second.client.root.workLocked().held) >= 4
			})
			first.client.root.release(nil)
			second.client.root.release(nil)
		}
		got := map[*peer][]string{}
		for p, want := range map[*peer]int{first: 2, second: 5} {
			if held {
				want = map[*peer]int{first: 3, second: 5}[p]
			}
			for range want {
				got[p] = append(got[p], p.next())
			}
			slices.Sort(got[p]) // the gap was not put into the stream
		}
		wantFirst := []string{`2["first"]`, `2["gap",3,4]`}
		if held {
			wantFirst = append(wantFirst, `2["joined","somebody",3]`)
		}
		if !slices.Equal(got[first], wantFirst) {
			t.Errorf("held %v: the first got %q", held, got[first])
		}
		wantSecond := []string{`2["gap",3,4]`, fmt.Sprintf(`2["joined","somebody",%d]`, n+1), `2["only second"]`,
			fmt.Sprintf(`2["second",%d]`, n+1), fmt.Sprintf(`2["second",%d]`, n+2)}
		if !slices.Equal(got[second], wantSecond) {
			t.Errorf("held %v: the second got %q, want %q", held, got[second], wantSecond)
		}
	}
}

// Other nodes' events are handled in order, off the sequencer.
func TestServerEvents(t *testing.T) {
	s := newTestServer(t, Options{})
	ns := s.Of("/")
	var got []string
	ns.OnServerEvent("ev", func(ctx context.Context, args Args) (any, error) {
		var v string
		if err := args.Decode(0, &v); err != nil {
			return nil, err
		}
		if v == "panic" {
			panic(v)
		}
		got = append(got, v)
		return map[string]string{"seen": v}, nil
	})
	r := (*receiver)(ns)
	answers := make(chan string, 100)
	for i := range 50 {
		e, err := NewEvent("ev", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		r.ServerEvent(e, func(v []byte) { answers <- string(v) })
	}
	e, _ := NewEvent("ev", "panic")
	r.ServerEvent(e, func([]byte) { t.Error("a panic was answered") })
	e, _ = NewEvent("unknown")
	r.ServerEvent(e, func([]byte) { t.Error("an unknown event was answered") })
	e, _ = NewEvent("ev", "last")
	r.ServerEvent(e, func(v []byte) { answers <- string(v) })
	for i := range 50 {
		select {
		case a := <-answers:
			if want := fmt.Sprintf(`{"seen":"%d"}`, i); a != want {
				t.Errorf("got %s, want %s", a, want)
			}
		case <-time.After(patience):
			t.Fatal("no answer")
		}
	}
	if a := <-answers; a != `{"seen":"last"}` {
		t.Errorf("got %s", a)
	}
	if err := ns.ServerSideEmit(t.Context(), "ev", "x"); err != nil {
		t.Error(err)
	}
	if a, _, err := ns.ServerSideRequest(t.Context(), "ev", "x"); err != nil || len(a) != 0 {
		t.Error(a, err)
	}
}
