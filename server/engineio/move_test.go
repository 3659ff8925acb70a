package engineio_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// mover is an echo whose session can move.
type mover struct {
	*echo
	pack     func(ctx context.Context) ([]byte, error)
	departed atomic.Int64
	told     chan string
}

func (m *mover) Pack(ctx context.Context) ([]byte, error) {
	if m.pack != nil {
		return m.pack(ctx)
	}
	return []byte("state"), nil
}

func (m *mover) Departed() bool { m.departed.Add(1); return true }

func (m *mover) Told(word []byte) { m.told <- string(word) }

// moving is an owner and another node, where an upgrade arrives.
type moving struct {
	*harness // of the owner
	t        *testing.T
	wires    *wires
	other    *engineio.Server
	otherURL *httptest.Server
	poll     *pollClient
	mover    *mover // at the owner

	adopt    func() error // fails it
	arrived  chan *echo   // at the other
	tell     func([]byte)
	lost     atomic.Int64 // words
	outcomes chan string
}

func newMoving(t *testing.T, eio string) *moving {
	t.Helper()
	m := &moving{t: t, wires: &wires{}, arrived: make(chan *echo, 1), outcomes: make(chan string, 1)}
	var owner *mover
	o := engineio.Options{NodeID: "owner0", Relay: m.wires}
	m.harness = startWith(t, o, func(e *echo) engineio.Handler {
		owner = &mover{echo: e, told: make(chan string, 1)}
		return owner
	})
	m.wires.join("owner0", m.Server)
	o.NodeID = "other0"
	o.Hooks.Moved = func(outcome string, _ time.Duration) { m.outcomes <- outcome }
	o.Hooks.WordLost = func() { m.lost.Add(1) }
	o.Adopt = func(_ context.Context, s *engineio.Session, state []byte, tell func([]byte)) (engineio.Handler, func(), error) {
		e := &echo{s: s, closed: make(chan string, 1)}
		if string(state) != "state" {
			t.Errorf("state %q", state)
		}
		m.tell = tell
		m.arrived <- e
		if m.adopt != nil {
			if err := m.adopt(); err != nil {
				return e, nil, err
			}
		}
		return e, func() { _ = s.Send(s.Prepare([]byte("started"), nil)) }, nil
	}
	m.other = engineio.NewServer(func(*engineio.Session) engineio.Handler { return nil }, o)
	m.otherURL = httptest.NewServer(m.other)
	t.Cleanup(func() {
		m.otherURL.Close()
		if err := m.other.Close(context.Background()); err != nil {
			t.Error(err)
		}
		m.wires.serving.Wait()
	})
	m.poll = m.poller(eio, "")
	m.session()
	m.mover = owner
	return m
}

// dialOther opens the WebSocket at the other node.
func (m *moving) dialOther() *wsClient {
	m.t.Helper()
	home := m.addr
	defer func() { m.addr = home }()
	m.addr = m.otherURL.Listener.Addr().String()
	return m.dial("&EIO=4&sid=" + m.poll.sid)
}

// upgrade goes as far as the client's 5.
func (m *moving) upgrade() *wsClient {
	m.t.Helper()
	c := m.dialOther()
	c.send("2probe")
	c.expectText("3probe")
	_ = m.mover.s.Send(m.mover.s.Prepare([]byte("queued"), nil))
	_ = m.mover.s.Send(m.mover.s.Prepare([]byte("text"), [][]byte{{1, 2}}))
	c.send("5")
	return c
}

func (m *moving) wantOutcome(want string) {
	m.t.Helper()
	select {
	case got := <-m.outcomes:
		if got != want {
			m.t.Errorf("outcome %q, want %q", got, want)
		}
	case <-time.After(patience):
		m.t.Fatal("no outcome")
	}
}

func TestMove(t *testing.T) {
	for _, eio := range []string{"3", "4"} {
		m := newMoving(t, eio)
		pending := m.poll.getting()
		c := m.dialOther()
		c.send("2probe")
		c.expectText("3probe")
		noop := map[string]string{"3": "1:6", "4": "6"}[eio]
		if a := <-pending; a.body != noop {
			t.Errorf("the pending poll got %q", a.body)
		}
		for _, text := range []string{"one", "two"} {
			_ = m.mover.s.Send(m.mover.s.Prepare([]byte(text), [][]byte{{4}}))
		}
		c.send("5")
		c.send("4early") // before anybody has taken the session up
		binary := map[string]string{"3": "\x04\x04", "4": "\x04"}[eio]
		c.expectText("4one")
		c.expect(opBinary, binary)
		c.expectText("4two")
		c.expect(opBinary, binary)
		c.expectText("4started")
		c.expectText("4early")
		m.wantOutcome(engineio.MoveDone)
		e := <-m.arrived
		if s := e.s; s.ID() != m.poll.sid || s.Transport() != "websocket" || s.RemoteAddr() != "127.0.0.1" ||
			s.Header("user-agent") == "" || s.Revision() != int(eio[0]-'0') || s.URL() == "" || s.Opened().IsZero() {
			t.Errorf("%+v", s)
		}
		if m.mover.departed.Load() != 1 || m.Sessions() != 0 {
			t.Errorf("departed %d times, %d sessions left", m.mover.departed.Load(), m.Sessions())
		}
		// As after any upgrade, at both nodes.
		for _, addr := range []string{m.addr, m.otherURL.Listener.Addr().String()} {
			m.addr = addr
			if a := m.poll.get(); a.status != 400 || a.body != `{"code":3,"message":"Bad request"}` {
				t.Errorf("late poll: %d %q", a.status, a.body)
			}
		}
		m.tell([]byte("a word"))
		if got := <-m.mover.told; got != "a word" {
			t.Errorf("told %q", got)
		}
		select {
		case r := <-m.mover.closed:
			t.Errorf("the owner's handler was closed: %s", r)
		default:
		}
		c.nc.Close()
		e.reason(t)
	}
}

// Whatever step fails once the client has left polling, both nodes let go of the
// session and nothing of the queue is sent: the client comes back.
func TestMoveFails(t *testing.T) {
	lose := func(kind byte) func(byte) bool { return func(k byte) bool { return k == kind } }
	for name, c := range map[string]struct {
		fault   func(m *moving)
		outcome string
	}{
		"the request to move is lost": {func(m *moving) { m.wires.loseRequest = lose('M') }, engineio.MoveNotHandedOver},
		"its answer is lost":          {func(m *moving) { m.wires.loseReply = lose('M') }, engineio.MoveNotHandedOver},
		"its answer cannot be sent":   {func(m *moving) { m.wires.failReply = failing('M', errors.New("gone")) }, engineio.MoveNotHandedOver},
		"the handler does not pack":   {func(m *moving) { m.mover.pack = func(context.Context) ([]byte, error) { return nil, errors.New("no") } }, engineio.MoveNotHandedOver},
		"packing takes too long": {func(m *moving) {
			m.mover.pack = func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
		}, engineio.MoveNotHandedOver},
		"it is not taken up":           {func(m *moving) { m.adopt = func() error { return errors.New("no") } }, engineio.MoveNotTakenUp},
		"taking it up panics":          {func(m *moving) { m.adopt = func() error { panic("no") } }, engineio.MoveNotTakenUp},
		"the confirmation is lost":     {func(m *moving) { m.wires.loseRequest = lose('D') }, engineio.MoveNotConfirmed},
		"the confirmation's answer":    {func(m *moving) { m.wires.loseReply = lose('D') }, engineio.MoveNotConfirmed},
		"the owner has gone meanwhile": {func(m *moving) { m.adopt = func() error { m.wires.leave("owner0"); return nil } }, engineio.MoveNotConfirmed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMoving(t, "4")
			c.fault(m)
			w := m.upgrade()
			for {
				op, payload, err := w.next()
				if err != nil {
					break
				}
				if op == opText {
					t.Errorf("the client got %q", payload)
				}
			}
			m.wantOutcome(c.outcome)
			m.eventually("both have let go", func() bool { return m.Sessions() == 0 && m.other.Sessions() == 0 })
			select {
			case e := <-m.arrived:
				if name != "taking it up panics" { // then there was no handler yet
					e.reason(t)
				}
			default:
			}
		})
	}
}

// Before that, the session goes on polling.
func TestMoveGivenUp(t *testing.T) {
	m := newMoving(t, "4")
	c := m.dialOther()
	c.send("2probe")
	c.expectText("3probe")
	c.send("4not yet")
	c.expectEnd()
	m.eventually("a second upgrade may come", func() bool {
		home := m.addr
		defer func() { m.addr = home }()
		m.addr = m.otherURL.Listener.Addr().String()
		c := m.dial("&EIO=4&sid=" + m.poll.sid)
		c.send("2probe")
		op, payload, err := c.next()
		c.nc.Close()
		return err == nil && op == opText && string(payload) == "3probe"
	})
	_ = m.mover.s.Send(m.mover.s.Prepare([]byte("still here"), nil))
	m.eventually("the message comes by polling", func() bool { return m.poll.get().body == "4still here" })
}

// A second upgrade is closed after its handshake, wherever both arrive.
func TestMoveTwice(t *testing.T) {
	m := newMoving(t, "4")
	first := m.dialOther()
	second := m.dialOther()
	second.expectClose(0)
	first.send("2probe")
	first.expectText("3probe")
	here := m.dial("&EIO=4&sid=" + m.poll.sid)
	here.expectClose(0)
	first.send("5")
	first.expectText("4started")
}

// Many sessions move at once while words are sent to them: each gets what was
// sent, once and in order.
func TestMoveOrder(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		m := newMoving(t, "4")
		const n = 200
		wg.Go(func() {
			for i := range n {
				if m.mover.s.Send(m.mover.s.Prepare([]byte{byte('A' + i%26)}, nil)) != nil {
					return // frozen
				}
				time.Sleep(20 * time.Microsecond)
			}
		})
		c := m.dialOther()
		c.send("2probe")
		c.expectText("3probe")
		c.send("5")
		for i := 0; ; i++ {
			op, payload, err := c.next()
			if err != nil || op != opText {
				t.Fatalf("op %d, %v", op, err)
			}
			if string(payload) == "4started" {
				break
			}
			if want := string(rune('A' + i%26)); string(payload) != "4"+want {
				t.Fatalf("message %d is %q", i, payload)
			}
		}
	}
	wg.Wait()
}

// What a session's new node has to say to the old one is limited; what is lost of
// it is counted, and takes no room from what comes later.
func TestMoveWords(t *testing.T) {
	t.Parallel()
	m := newMoving(t, "4")
	m.mover.told = make(chan string, 1000)
	c := m.upgrade()
	c.expectText("4queued")
	m.wantOutcome(engineio.MoveDone)
	m.wires.loseRequest = func(kind byte) bool { return kind == 'W' }
	for range 1500 {
		m.tell([]byte("lost"))
	}
	if n := m.lost.Load(); n != 500 {
		t.Errorf("%d words were refused at once, want 500", n)
	}
	m.eventually("the others are given up", func() bool { return m.lost.Load() == 1500 })
	m.wires.serving.Wait()
	m.wires.loseRequest = nil
	for range 1000 {
		m.tell([]byte("heard"))
	}
	for range 1000 {
		select {
		case <-m.mover.told:
		case <-time.After(patience):
			t.Fatalf("%d words more were lost", m.lost.Load()-1500)
		}
	}
}

// A client that has completed its upgrade, and polls all the same while the session
// is being packed, does not reach the handler.
func TestMoveRefusesPolling(t *testing.T) {
	m := newMoving(t, "4")
	packing, packed := make(chan struct{}), make(chan struct{})
	m.mover.pack = func(context.Context) ([]byte, error) {
		close(packing)
		<-packed
		return []byte("state"), nil
	}
	c := m.upgrade()
	<-packing
	if a := m.poll.post("4late"); a.status != 400 {
		t.Errorf("POST: %d %q", a.status, a.body)
	}
	if a := m.poll.get(); a.status != 400 {
		t.Errorf("GET: %d %q", a.status, a.body)
	}
	close(packed)
	c.expectText("4queued") // and no echo of it
	c.expectText("4text")
	c.expect(opBinary, "\x01\x02")
	c.expectText("4started")
	m.wantOutcome(engineio.MoveDone)
}
