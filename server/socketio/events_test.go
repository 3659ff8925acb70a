package socketio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Events of a socket are handled one at a time, in the order of arrival, and a
// full inbox blocks the reader.
func TestOrderAndBackPressure(t *testing.T) {
	s := newTestServer(t, Options{Inbox: 4})
	gate := make(chan struct{})
	var got []int // handlers of one socket never overlap
	On(s.Of("/"), "n", func(_ context.Context, _ *Socket, n int) (int, error) {
		<-gate
		got = append(got, n)
		return n, nil
	})
	p, q := s.v5(), s.v5()
	p.connect("/", "")
	q.connect("/", "")
	const n = 50
	said := make(chan int, n)
	var reader sync.WaitGroup
	reader.Go(func() {
		for i := range n {
			p.say(fmt.Sprintf(`2%d["n",%d]`, i, i))
			said <- i
		}
	})
	eventually(t, "the inbox is full", func() bool {
		root := p.client.root
		root.mu.Lock()
		defer root.mu.Unlock()
		return len(root.workLocked().inbox) == 4 && root.workLocked().space != nil
	})
	if len(said) > 5 {
		t.Errorf("%d events were read", len(said))
	}
	q.say(`1`) // nobody else notices
	close(gate)
	for i := range n {
		p.want(fmt.Sprintf("3%d[%d]", i, i))
	}
	reader.Wait()
	if !slices.IsSorted(got) || len(got) != n {
		t.Errorf("handled %v", got)
	}
}

// Large events fill an inbox by their bytes; a single one always has room.
func TestInboxBytes(t *testing.T) {
	s := newTestServer(t, Options{InboxBytes: 1000})
	gate := make(chan struct{})
	On(s.Of("/"), "n", func(_ context.Context, _ *Socket, _ string) (struct{}, error) {
		<-gate
		return struct{}{}, nil
	})
	p := s.v5()
	p.connect("/", "")
	large := strings.Repeat("x", 5000)
	p.say(`2["n"]`)
	root := p.client.root
	waiting := func() (events, bytes int) {
		root.mu.Lock()
		defer root.mu.Unlock()
		return len(root.workLocked().inbox), int(root.workLocked().waiting)
	}
	eventually(t, "being handled", func() bool { n, _ := waiting(); return n == 0 })
	p.say(`2["n","` + large + `"]`)
	var reader sync.WaitGroup
	reader.Go(func() { p.say(`21["n"]`) })
	eventually(t, "full", func() bool {
		root.mu.Lock()
		defer root.mu.Unlock()
		return root.workLocked().space != nil
	})
	if n, bytes := waiting(); n != 1 || bytes < 5000 {
		t.Errorf("%d events, %d bytes wait", n, bytes)
	}
	close(gate)
	p.want("31[]")
	reader.Wait()
	if n, bytes := waiting(); n != 0 || bytes != 0 {
		t.Errorf("%d events, %d bytes wait", n, bytes)
	}
}

// A handler may wait for an acknowledgement of its own socket.
func TestAckWithinHandler(t *testing.T) {
	s := newTestServer(t, Options{})
	On(s.Of("/"), "start", func(ctx context.Context, s *Socket, _ struct{}) (string, error) {
		args, err := s.EmitWithAck(ctx, "question", 1, Binary{7})
		if err != nil {
			return "", err
		}
		var answer struct{ Text, File []byte }
		return fmt.Sprintf("%d %x", args.Len(), answer.File), args.Decode(0, &answer)
	})
	p := s.v5()
	p.connect("/", "")
	p.say(`21["start"]`)
	p.want(`51-1["question",1,{"_placeholder":true,"num":0}]<07>`)
	p.say(`31[{}]`)
	p.want(`31["1 "]`)
	p.say(`22["start"]`)
	p.want(`51-2["question",1,{"_placeholder":true,"num":0}]<07>`)
	p.say(`61-2[{"File":{"_placeholder":true,"num":0}},2]`)
	p.sayBinary([]byte{9})
	p.want(`32["2 "]`)
	p.say(`32[1]`, `31[1]`) // again: ignored
	p.say(`23["start"]`)
	p.next()
	p.Close("transport close") // ends the wait
	eventually(t, "torn down", func() bool { return s.Of("/").Sockets() == 0 })
}

func TestMaxPendingAcks(t *testing.T) {
	s := newTestServer(t, Options{MaxPendingAcks: 2})
	s.Of("/")
	p := s.v5()
	p.connect("/", "")
	root := p.client.root
	ctx, cancel := context.WithCancel(t.Context())
	var waits sync.WaitGroup
	for range 2 {
		waits.Go(func() {
			if _, err := root.EmitWithAck(ctx, "q"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	p.next()
	p.next()
	if _, err := root.EmitWithAck(ctx, "q"); !errors.Is(err, ErrTooManyAcks) {
		t.Errorf("got %v", err)
	}
	cancel()
	waits.Wait()
	root.mu.Lock()
	defer root.mu.Unlock()
	if root.workLocked().acks != nil {
		t.Error("acks are still expected")
	}
}

func TestEventMiddlewareAndCatchAll(t *testing.T) {
	s := newTestServer(t, Options{})
	ns := s.Of("/")
	var trace []string
	wrap := func(name string) func(EventHandler) EventHandler {
		return func(next EventHandler) EventHandler {
			return func(ctx context.Context, s *Socket, e *Incoming) (Reply, error) {
				trace = append(trace, name+" "+e.Name)
				if e.Name == "forbidden" {
					return Answer("no"), nil
				}
				return next(ctx, s, e)
			}
		}
	}
	ns.UseEvent(wrap("outer"))
	ns.UseEvent(wrap("inner"))
	ns.OnAny(func(_ context.Context, _ *Socket, e *Incoming) (Reply, error) {
		return AnswerRaw(e.Event.Data, e.Event.Attachments), nil
	})
	var outgoing []string
	var mu sync.Mutex
	ns.OnAnyOutgoing(func(_ *Socket, e adapter.Event) {
		mu.Lock()
		defer mu.Unlock()
		outgoing = append(outgoing, e.Name)
	})
	On(ns, "known", func(_ context.Context, s *Socket, _ struct{}) (struct{}, error) {
		return struct{}{}, s.Emit("direct")
	})
	p := s.v5()
	p.connect("/", "")
	p.say(`21["anything",{"a":1}]`, `22["forbidden"]`, `23["known"]`)
	p.want(`31["anything",{"a":1}]`, `32["no"]`, `2["direct"]`, `33[]`)
	if err := ns.Emit(t.Context(), "all"); err != nil {
		t.Fatal(err)
	}
	p.want(`2["all"]`)
	want := "outer anything, inner anything, outer forbidden, outer known, inner known"
	if got := strings.Join(trace, ", "); got != want {
		t.Errorf("got %s", got)
	}
	eventually(t, "outgoing", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(outgoing, []string{"direct", "all"})
	})
}

func TestPanicsAreContained(t *testing.T) {
	var mu sync.Mutex
	var where []string
	s := newTestServer(t, Options{Hooks: Hooks{Panicked: func(in string, _ any) {
		mu.Lock()
		defer mu.Unlock()
		where = append(where, in)
	}}})
	ns := s.Of("/")
	left := make(chan DisconnectReason, 2)
	ns.OnDisconnect(func(context.Context, *Socket, DisconnectReason) { panic("disconnect") })
	ns.OnDisconnect(func(_ context.Context, _ *Socket, r DisconnectReason) { left <- r })
	On(ns, "bad", func(ctx context.Context, s *Socket, _ struct{}) (struct{}, error) {
		AfterReply(ctx, func() { panic("after") })
		AfterReply(ctx, func() { _ = s.Emit("after") })
		panic("handler")
	})
	s.Of("/bad").OnConnect(func(context.Context, *Socket) error { panic("connect") })
	p := s.v5()
	p.connect("/", "")
	p.say(`21["bad"]`)
	p.want(`31[{"event":"bad","error":{"code":"internal","message":"the request failed","retryable":false}}]`, `2["after"]`)
	p.say("0/bad")
	if got := p.next(); !strings.HasPrefix(got, `0/bad,{`) {
		t.Errorf("got %s", got)
	}
	p.want("1/bad,")
	p.say("1")
	if r := <-left; r != ReasonClientLeft {
		t.Errorf("left for %q", r)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(where, " "); got != "bad bad connect disconnect" {
		t.Errorf("panics in %s", got)
	}
}

// What was said before the end of a connection is handled, and the context
// lives until then; a kicked socket's events are dropped.
func TestEventsBeforeTheEnd(t *testing.T) {
	tests := []struct {
		name   string
		end    func(p *peer)
		reason DisconnectReason
		all    bool
	}{
		{"client leaves", func(p *peer) { p.say("1") }, ReasonClientLeft, true},
		{"connection lost", func(p *peer) { p.Close("transport close") }, ReasonTransportClose, true},
		{"kicked", func(p *peer) { p.client.root.Disconnect(false) }, ReasonServerLeft, false},
		{"closed by the server", func(p *peer) { p.client.root.Disconnect(true) }, ReasonServerLeft, false},
		{"fenced", func(p *peer) { (*member)(p.client.root).Fence() }, ReasonTakenOver, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestServer(t, Options{})
			gate := make(chan struct{})
			var handled []int
			var errs []error
			reason := make(chan DisconnectReason, 1)
			ns := s.Of("/")
			On(ns, "n", func(ctx context.Context, _ *Socket, n int) (struct{}, error) {
				<-gate
				handled = append(handled, n)
				errs = append(errs, ctx.Err())
				return struct{}{}, nil
			})
			ns.OnConnect(func(ctx context.Context, s *Socket) error { return s.Join(ctx, "a", "b") })
			ns.OnDisconnect(func(ctx context.Context, s *Socket, r DisconnectReason) {
				if rooms := s.Rooms(); !slices.Equal(rooms, []string{"a", "b"}) {
					t.Errorf("rooms %v", rooms)
				}
				if ctx.Err() != nil || s.Context().Err() == nil {
					t.Error("wrong contexts")
				}
				reason <- r
			})
			p := s.v5()
			p.connect("/", "")
			p.say(`2["n",1]`, `2["n",2]`, `2["n",3]`)
			eventually(t, "first is being handled", func() bool {
				root := p.client.root
				root.mu.Lock()
				defer root.mu.Unlock()
				return len(root.workLocked().inbox) == 2
			})
			root := p.client.root
			tt.end(p)
			eventually(t, "ended", func() bool { return root.over() })
			close(gate)
			if r := <-reason; r != tt.reason {
				t.Errorf("reason %q", r)
			}
			if tt.all && (len(handled) != 3 || errors.Join(errs...) != nil) {
				t.Errorf("handled %v, %v", handled, errs)
			}
			if !tt.all && (len(handled) != 1 || errs[0] == nil) {
				t.Errorf("handled %v, %v", handled, errs)
			}
			if err := root.Emit("x"); !errors.Is(err, ErrDisconnected) {
				t.Errorf("emit after the end: %v", err)
			}
			if err := root.Join(t.Context(), "x"); !errors.Is(err, ErrDisconnected) {
				t.Errorf("join after the end: %v", err)
			}
		})
	}
}

func TestMiddlewareCannotEmit(t *testing.T) {
	s := newTestServer(t, Options{})
	s.Of("/").Use(func(ctx context.Context, s *Socket) error {
		_, err := s.EmitWithAck(ctx, "x")
		for _, err := range []error{s.Emit("x"), s.Join(ctx, "a"), err} {
			if !errors.Is(err, ErrNotConnected) {
				t.Errorf("got %v", err)
			}
		}
		return nil
	})
	s.v5().connect("/", "")
}

func TestLimits(t *testing.T) {
	s := newTestServer(t, Options{MaxRooms: 2, MaxData: 10})
	s.Of("/")
	p := s.v5()
	p.connect("/", "")
	root := p.client.root
	if err := root.Join(t.Context(), "a", "b", "a"); err != nil {
		t.Fatal(err)
	}
	if err := root.Join(t.Context(), "b"); err != nil {
		t.Errorf("joined again: %v", err)
	}
	if err := root.Join(t.Context(), "c"); !errors.Is(err, ErrTooManyRooms) {
		t.Errorf("got %v", err)
	}
	if err := root.Leave(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := root.Join(t.Context(), "c"); err != nil {
		t.Error(err)
	}
	if err := root.SetData("0123456789"); !errors.Is(err, ErrTooMuchData) {
		t.Errorf("got %v", err)
	}
	if err := root.SetData([]int{1, 2}); err != nil {
		t.Error(err)
	}
	if v, err := Data[[]int](root); err != nil || len(v) != 2 {
		t.Errorf("got %v, %v", v, err)
	}
	if _, err := Data[string](root); err == nil {
		t.Error("a list was decoded as a string")
	}
}

func TestMisconfiguration(t *testing.T) {
	s := newTestServer(t, Options{})
	ns := s.Of("chat")
	if ns != s.Of("/chat") {
		t.Error("two namespaces of one name")
	}
	h := func(context.Context, *Socket, struct{}) (struct{}, error) { return struct{}{}, nil }
	On(ns, "a", h)
	mustPanic := func(what string, f func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s did not panic", what)
			}
		}()
		f()
	}
	mustPanic("two handlers", func() { On(ns, "a", h) })
	mustPanic("a reserved name", func() { On(ns, "disconnect", h) })
	p := s.v5()
	p.connect("/chat", "")
	mustPanic("a late handler", func() { On(ns, "b", h) })
	mustPanic("SetUser after the accept", func() { p.client.others["/chat"].SetUser("x") })
}

func TestCloseEndsEverything(t *testing.T) {
	s := newTestServer(t, Options{})
	entered := make(chan struct{})
	On(s.Of("/"), "wait", func(ctx context.Context, s *Socket, _ struct{}) (struct{}, error) {
		close(entered)
		_, err := s.EmitWithAck(ctx, "never answered")
		return struct{}{}, err
	})
	reason := make(chan DisconnectReason, 1)
	s.Of("/").OnDisconnect(func(_ context.Context, _ *Socket, r DisconnectReason) { reason <- r })
	p := s.v5()
	p.connect("/", "")
	p.say(`2["wait"]`)
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if r := <-reason; r != ReasonShutdown {
		t.Errorf("reason %q", r)
	}
	q := s.v5()
	q.wantClosed("server shutting down")
}

// Context behaves as package context expects of a parent.
func TestSocketContext(t *testing.T) {
	s := newTestServer(t, Options{})
	s.Of("/")
	p := s.v5()
	p.connect("/", "")
	ctx := p.client.root.Context()
	child, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	other, stop := context.WithCancel(ctx)
	stop()
	if ctx.Err() != nil || other.Err() == nil {
		t.Fatal("a child ended its parent")
	}
	called := make(chan struct{})
	context.AfterFunc(ctx, func() { close(called) })
	p.Close("transport close")
	for _, c := range []context.Context{ctx, child} {
		select {
		case <-c.Done():
		case <-time.After(patience):
			t.Fatal("the context has not ended")
		}
		if !errors.Is(c.Err(), context.Canceled) {
			t.Error(c.Err())
		}
	}
	<-called
	late, cancel := context.WithCancel(ctx)
	defer cancel()
	<-late.Done()
}
