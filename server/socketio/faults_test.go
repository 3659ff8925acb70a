package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// A client that is told DISCONNECT stays away. When it is only the store that
// failed, or this node that has lost its claim, its connection is closed instead.
func TestOnConnectWithoutStore(t *testing.T) {
	for _, tt := range []struct {
		err  error
		back bool
	}{
		{fmt.Errorf("join lobby: %w", adapter.ErrUnavailable), true},
		{fmt.Errorf("join lobby: %w", adapter.ErrFenced), true},
		{fmt.Errorf("join lobby: %w", adapter.ErrClosed), true},
		{fmt.Errorf("join lobby: %w", adapter.ErrFull), true},
		{errors.New("not today"), false},
	} {
		t.Run(tt.err.Error(), func(t *testing.T) {
			s := newTestServer(t, Options{Recovery: true})
			ns := s.Of("/")
			fail := make(chan error, 3)
			ns.OnConnect(func(context.Context, *Socket) error { return <-fail })
			On(ns, "ready", func(context.Context, *Socket, struct{}) (struct{}, error) { return struct{}{}, nil })
			fail <- nil
			p := s.v5()
			sid, pid := p.connect("/", "")
			p.say(`21["ready"]`)
			p.want(`31[]`)
			p.Close("transport close")
			eventually(t, "torn down", func() bool { return ns.Sockets() == 0 })

			fail <- tt.err
			q := s.v5()
			q.connect("/", fmt.Sprintf(`{"pid":%q}`, pid))
			if !tt.back {
				q.want("1")
				return
			}
			q.wantClosed("forced server close")
			if rest := q.rest(); len(rest) > 0 {
				t.Errorf("told %q", rest)
			}
			// A recovered session is worth another try.
			eventually(t, "torn down", func() bool { return ns.Sockets() == 0 })
			fail <- nil
			r := s.v5()
			if got, _ := r.connect("/", fmt.Sprintf(`{"pid":%q}`, pid)); got != sid {
				t.Error("not recovered afterwards")
			}
		})
	}
}

type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("marshal") }

// No code of the application ends the process, wherever it is called, and an ack
// that was asked for is sent all the same.
func TestPanicsOutsideHandlers(t *testing.T) {
	var mu sync.Mutex
	var where []string
	s := newTestServer(t, Options{
		Hooks: Hooks{Panicked: func(in string, _ any) {
			mu.Lock()
			defer mu.Unlock()
			where = append(where, in)
		}},
		ErrorPayload: func(event string, err error) any {
			if event == "payload" {
				panic("payload")
			}
			return errorPayload(event, err)
		},
	})
	ns := s.Of("/")
	On(ns, "reply", func(context.Context, *Socket, struct{}) (explosive, error) { return explosive{}, nil })
	On(ns, "payload", func(context.Context, *Socket, struct{}) (struct{}, error) { return struct{}{}, errors.New("x") })
	ns.Render(func(_ View, d *adapter.Delivery) (adapter.Event, bool, bool) {
		if d.Event.Name == "render" {
			panic("render")
		}
		return d.Event, true, true
	})
	ns.OnAnyOutgoing(func(_ *Socket, e adapter.Event) {
		if e.Name == "outgoing" {
			panic("outgoing")
		}
	})
	ns.OnGap(func(adapter.Gap) adapter.Event { panic("gap") })
	ns.OnPresence(func(adapter.PresenceChange) (adapter.Event, string, bool) { panic("presence") })
	p := s.v5()
	p.connect("/", "")
	internal := func(event string) string {
		return `[{"event":"` + event + `","error":{"code":"internal","message":"the request failed","retryable":false}}]`
	}
	p.say(`21["reply"]`, `22["payload"]`, `2["payload"]`)
	p.want(`31`+internal("reply"), `32`+internal("payload"), `2["error message",`+internal("payload")[1:])
	for _, name := range []string{"render", "outgoing", "after"} {
		if err := ns.Emit(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	p.want(`2["outgoing"]`, `2["after"]`)
	members := []adapter.Socket{(*member)(p.client.root)}
	(*receiver)(ns).Gap(adapter.Gap{}, members)
	(*receiver)(ns).Presence(adapter.PresenceChange{}, members)
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(where, ", "); got != "reply, error payload, error payload, render, outgoing, gap, presence" {
		t.Errorf("panics in %s", got)
	}
}

// An event that cannot be written in a client's form is left out for that client,
// which otherwise would stay connected and never hear anything again.
func TestEventThatCannotBeEncoded(t *testing.T) {
	s := newTestServer(t, Options{})
	ns := s.Of("/")
	p := s.v5()
	b, err := packet.AppendMsgpack(nil, &packet.Packet{Type: packet.Connect, Namespace: "/"})
	if err != nil {
		t.Fatal(err)
	}
	p.sayBinary(b)
	p.next()
	if err := ns.All().EmitEvent(t.Context(), adapter.Event{Name: "bad", Data: []byte(`["bad",nonsense]`)}); err != nil {
		t.Fatal(err)
	}
	if err := ns.Emit(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	if got := p.next(); !strings.Contains(got, fmt.Sprintf("%x", "good")) {
		t.Errorf("got %s", got)
	}
}

// A place in a namespace that the server took from a client is no place occupied.
func TestNamespacesAfterBeingDisconnected(t *testing.T) {
	s := newTestServer(t, Options{MaxNamespaces: 3})
	parent := s.OfMatch(func(context.Context, string, json.RawMessage) bool { return true })
	On(parent, "leave", func(_ context.Context, s *Socket, _ struct{}) (struct{}, error) {
		s.Disconnect(false)
		return struct{}{}, nil
	})
	p := s.v5()
	for i := range 12 {
		name := fmt.Sprintf("/n%d", i)
		p.connect(name, "")
		p.say(`2` + name + `,["leave"]`)
		p.want("1" + name + ",")
		root := func() *Socket { return p.client.find(name) }
		eventually(t, "left", func() bool { s := root(); return s == nil || s == serverLeft })
		p.say(`2` + name + `,["late"]`) // crossed the disconnect
	}
	p.client.mu.Lock()
	defer p.client.mu.Unlock()
	if n := len(p.client.others); n > 6 {
		t.Errorf("%d names are kept", n)
	}
}

// A packet whose attachments do not come is not held for ever.
func TestAttachmentsThatNeverCome(t *testing.T) {
	s := newTestServer(t, Options{ConnectTimeout: time.Hour, AttachmentWait: 50 * time.Millisecond})
	On(s.Of("/"), "b", func(_ context.Context, _ *Socket, b []byte) (int, error) { return len(b), nil })
	p := s.v5()
	p.connect("/", "")
	for range 3 {
		p.say(`51-1["b",{"_placeholder":true,"num":0}]`)
		p.sayBinary([]byte{1, 2})
		p.want(`31[2]`)
	}
	time.Sleep(100 * time.Millisecond)
	p.say(`51-1["b",{"_placeholder":true,"num":0}]`)
	p.wantClosed("forced server close")
}

// What all connections hold of packets whose attachments are to come is bounded, and
// given back however it ends.
func TestTooManyAttachmentsArrive(t *testing.T) {
	violations := make(chan string, 1)
	s := newTestServer(t, Options{MaxArriving: 3000, Hooks: Hooks{Violation: func(what string) { violations <- what }}})
	On(s.Of("/"), "b", func(_ context.Context, _ *Socket, _ struct{}) (int, error) { return 1, nil })
	begin := func() *peer {
		p := s.v5()
		p.connect("/", "")
		p.say(`52-1["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
		return p
	}
	kb := make([]byte, 1000)
	one, two, three := begin(), begin(), begin()
	one.sayBinary(kb)
	two.sayBinary(kb)
	three.sayBinary(kb)
	three.wantClosed("forced server close")
	if what := <-violations; what != "too much is arriving" {
		t.Error(what)
	}
	one.sayBinary(kb[:1])
	one.want(`31[1]`)
	two.Close("transport close")
	begin().say("2[")
	if what := <-violations; what != "malformed packet" {
		t.Error(what)
	}
	eventually(t, "nothing to be held", func() bool { return s.arriving.Load() == 0 })
	four := begin()
	four.sayBinary(kb)
	four.sayBinary(kb)
	four.want(`31[1]`)
}
