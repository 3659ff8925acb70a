package socketio

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

// moody is an adapter some of whose methods fail on demand.
type moody struct {
	*local.Adapter
	fail map[string]error // by method; set before the connection that meets it
	gate chan struct{}    // Resume waits for it, when not nil
}

func (m *moody) Create(ctx context.Context, s adapter.Session) (adapter.Owner, error) {
	if err := m.fail["Create"]; err != nil {
		return adapter.Owner{}, err
	}
	return m.Adapter.Create(ctx, s)
}

func (m *moody) Add(ctx context.Context, ns string, s adapter.Socket, o *adapter.Owner) error {
	if err := m.fail["Add"]; err != nil {
		return err
	}
	return m.Adapter.Add(ctx, ns, s, o)
}

func (m *moody) Claim(ctx context.Context, ns, pid string) (adapter.Session, adapter.Owner, error) {
	if err := m.fail["Claim"]; err != nil {
		return adapter.Session{}, adapter.Owner{}, err
	}
	return m.Adapter.Claim(ctx, ns, pid)
}

func (m *moody) Resume(ctx context.Context, ns string, s adapter.Socket, o adapter.Owner, at *adapter.Position) (*adapter.Replay, error) {
	if m.gate != nil {
		<-m.gate
	}
	if err := m.fail["Resume"]; err != nil {
		return nil, err
	}
	return m.Adapter.Resume(ctx, ns, s, o, at)
}

func newMoodyServer(t *testing.T) (*testServer, *moody) {
	s := newTestServer(t, Options{Recovery: true})
	m := &moody{Adapter: s.adapter, fail: make(map[string]error)}
	s.Server.adapter = m
	ns := s.Of("/")
	ns.OnConnect(func(ctx context.Context, s *Socket) error {
		if s.Recovered() {
			return nil
		}
		return s.Join(ctx, "lobby")
	})
	On(ns, "rooms", func(_ context.Context, s *Socket, _ struct{}) ([]string, error) { return s.Rooms(), nil })
	return s, m
}

// A client takes a refusal as final. So when the store is away its connection
// is closed instead, and when it comes back by itself it has its session.
func TestStoreAway(t *testing.T) {
	for _, method := range []string{"Create", "Add", "Claim", "Resume"} {
		t.Run(method, func(t *testing.T) {
			s, m := newMoodyServer(t)
			p := s.v5()
			sid, pid := p.connect("/", "")
			p.say(`21["rooms"]`)
			p.want(`31[["lobby"]]`)
			p.Close("transport close")
			eventually(t, "torn down", func() bool { return s.Of("/").Sockets() == 0 })

			m.fail[method] = fmt.Errorf("dial: %w", adapter.ErrUnavailable)
			auth := ""
			if method == "Claim" || method == "Resume" {
				auth = fmt.Sprintf(`{"pid":%q}`, pid)
			}
			q := s.v5()
			q.say("0" + auth)
			q.wantClosed("forced server close")
			if rest := q.rest(); len(rest) > 0 {
				t.Errorf("told %q", rest)
			}
			eventually(t, "torn down", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.tasks.n.Load() == 0
			})
			delete(m.fail, method)
			r := s.v5()
			if got, _ := r.connect("/", fmt.Sprintf(`{"pid":%q}`, pid)); got != sid {
				t.Error("not recovered afterwards")
			}
		})
	}
}

// When a recovery fails late, the new session takes over what the client has
// said meanwhile.
func TestLateFailureOfRecovery(t *testing.T) {
	s, m := newMoodyServer(t)
	p := s.v5()
	sid, pid := p.connect("/", "")
	p.Close("transport close")
	eventually(t, "torn down", func() bool { return s.Of("/").Sockets() == 0 })

	m.gate = make(chan struct{})
	m.fail["Resume"] = fmt.Errorf("trimmed: %w", adapter.ErrUnrecoverable)
	q := s.v5()
	q.say(fmt.Sprintf(`0{"pid":%q}`, pid), `21["rooms"]`)
	close(m.gate)
	got := q.next()
	if id := between(got, `"sid":"`, `"`); id == "" || id == sid || between(got, `"pid":"`, `"`) == pid {
		t.Errorf("got %s", got)
	}
	q.want(`31[["lobby"]]`)
	q.say("1")
	eventually(t, "torn down", func() bool { return s.Of("/").Sockets() == 0 })
}

// A client that goes while it is being connected leaves nothing behind.
func TestGoneWhileConnecting(t *testing.T) {
	s := newTestServer(t, Options{Recovery: true})
	ns := s.Of("/")
	entered, gate := make(chan struct{}, 1), make(chan struct{})
	ns.Use(func(ctx context.Context, s *Socket) error {
		entered <- struct{}{}
		<-gate
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Error("the context goes on")
		}
		return nil
	})
	ns.OnConnect(func(context.Context, *Socket) error { t.Error("connected"); return nil })
	ns.OnDisconnect(func(context.Context, *Socket, DisconnectReason) { t.Error("disconnected") })
	p := s.v5()
	p.say("0")
	<-entered
	root := p.client.root
	p.Close("transport close")
	eventually(t, "ended", root.over)
	close(gate)
	root.awaitGone(t.Context())
	if infos, _, err := ns.FetchSockets(t.Context()); err != nil || len(infos) != 0 {
		t.Error(infos, err)
	}
	if rest := p.rest(); len(rest) > 0 {
		t.Errorf("told %q", rest)
	}
}
