package socketio

import (
	"context"
	"errors"
	"testing"
	"time"
)

// moveOut packs a client; what the engine does meanwhile is that nothing ends the
// connection.
func moveOut(t *testing.T, p *peer) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	state, err := p.client.Pack(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.reason = "moving"
	p.mu.Unlock()
	return state
}

// moveIn adopts it.
func (s *testServer) moveIn(old *peer, state []byte, tell func([]byte)) (*peer, func(), error) {
	c := newFakeConn(old.revision)
	c.id = old.id
	client, start, err := s.Adopt(s.t.Context(), c, state, tell)
	c.mu.Lock()
	c.client = client
	c.mu.Unlock()
	s.mu.Lock()
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	return &peer{fakeConn: c, t: s.t}, start, err
}

// A client moves: what was published meanwhile follows what it had, an
// acknowledgement finds whoever waits for it, and the client is told nothing.
func TestMove(t *testing.T) {
	for _, revision := range []int{3, 4} {
		s := recoverable(t, Options{Recovery: true})
		var ended []DisconnectReason
		s.Of("/").OnDisconnect(func(_ context.Context, _ *Socket, r DisconnectReason) { ended = append(ended, r) })
		a := newFakeConn(revision)
		a.headers = map[string]string{"user-agent": "Dart/3"} // no offsets, for short frames
		p := s.open(a)
		if revision == 4 {
			p.connect("/", "")
		} else {
			p.want("0")
		}
		p.say(`21["rooms"]`)
		p.want(`31[["lobby"]]`)
		old := p.client.sockets()[0]
		asked := make(chan error, 1)
		go func() {
			args, err := old.EmitWithAck(context.Background(), "question")
			if err == nil && args.Len() != 1 {
				err = errors.New("not the answer")
			}
			asked <- err
		}()
		question := p.next()
		id := between(question, "2", "[")

		state := moveOut(t, p)
		for _, text := range []string{"missed 1", "missed 2"} {
			if err := s.Of("/").In("lobby").Emit(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		if rest := p.rest(); len(rest) > 0 {
			t.Errorf("sent after packing: %q", rest)
		}
		if old.Emit("late") == nil {
			t.Error("the old socket still sends")
		}
		if revision == 3 {
			// The embedded adapter has one socket of an id; two nodes have one each.
			p.client.Departed()
			old.awaitGone(t.Context())
		}
		words := make(chan []byte, 1)
		n, start, err := s.moveIn(p, state, func(w []byte) { words <- w })
		if err != nil {
			t.Fatal(err)
		}
		if rest := n.rest(); len(rest) > 0 {
			t.Errorf("sent before the start: %q", rest)
		}
		start()
		n.want(`2["missed 1"]`, `2["missed 2"]`)
		if revision == 4 && !p.client.Departed() {
			t.Error("nobody waits for the acknowledgement")
		}
		n.say(`21["rooms"]`, "3"+id+`["answer"]`)
		n.want(`31[["lobby"]]`)
		p.client.Told(<-words)
		select {
		case err := <-asked:
			if err != nil {
				t.Errorf("revision %d: %v", revision, err)
			}
		case <-time.After(patience):
			t.Fatal("the acknowledgement did not arrive")
		}
		if err := s.Of("/").In("lobby").Emit(t.Context(), "live"); err != nil {
			t.Fatal(err)
		}
		n.want(`2["live"]`)
		if moved := n.client.sockets()[0]; moved.ID() != old.ID() || !moved.Recovered() {
			t.Errorf("the socket is %q, was %q", moved.ID(), old.ID())
		}
		eventually(t, "the old socket has ended", func() bool { return s.Clients() == 1 })
		old.awaitGone(t.Context())
		if len(ended) != 1 || ended[0] != ReasonTakenOver {
			t.Errorf("ended as %q", ended)
		}
	}
}

// A move that is not completed ends the sockets like a lost connection.
func TestMoveNotStarted(t *testing.T) {
	s := recoverable(t, Options{Recovery: true})
	p := s.v5()
	sid, pid := p.connect("/", "")
	state := moveOut(t, p)
	n, _, err := s.moveIn(p, state, func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	n.Close("transport error")
	p.client.Closed("transport error")
	eventually(t, "all have ended", func() bool { return s.Clients() == 0 })
	back := s.v5()
	if got, _ := back.connect("/", `{"pid":"`+pid+`"}`); got != sid {
		t.Error("the client did not recover")
	}
	if _, _, err := s.moveIn(p, []byte("no state"), nil); err == nil {
		t.Error("adopted nonsense")
	}
}
