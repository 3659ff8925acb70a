package socketio

import (
	"testing"

	"github.com/antchat/antchat/adapter"
)

// The sequence that decides how a hold ends: two overlap, and the one that was
// released last has the later cut. What the first kept back lies before that cut,
// and its offsets must not claim what is still to be queued.
// docs/decisions, "overlapping-holds".
func TestOverlappingHolds(t *testing.T) {
	a := &stubAdapter{lanes: 1}
	srv := NewServer(a, Options{Recovery: true, Offsets: OffsetsAlways})
	srv.Of("/")
	c := newFakeConn(4)
	c.client = srv.Accept(c)
	p := &peer{fakeConn: c, t: t}
	p.connect("/", "")
	s := c.client.root
	eventually(t, "connected", func() bool { return free(s) })

	deliver := func(pos uint64) {
		e, err := NewEvent("b", pos)
		if err != nil {
			t.Fatal(err)
		}
		a.receiver.Deliver(&adapter.Delivery{
			Namespace: "/", Event: e, Class: adapter.Recoverable, Position: adapter.Position{pos}, Pos: pos,
		}, []adapter.Socket{(*member)(s)})
	}
	next := func(event string, at uint64) {
		t.Helper()
		want := adapter.Position{at}
		if text, offset := split(t, p.next()); text != event || offset != want.Offset(1) {
			t.Errorf("got %s at %s, want %s at %s", text, offset, event, want.Offset(1))
		}
	}
	(*member)(s).Hold()
	deliver(1)
	deliver(2)
	(*member)(s).Hold() // its cut is 2
	deliver(3)
	s.release(&adapter.Position{0})
	s.release(&adapter.Position{2})
	next(`2["b",1]`, 1)
	next(`2["b",2]`, 2)
	next(`2["b",3]`, 3)
	// One alone gives its cut as the floor, also once the overlap is over.
	(*member)(s).Hold()
	s.release(&adapter.Position{7})
	if err := s.Emit("direct"); err != nil {
		t.Fatal(err)
	}
	next(`2["direct"]`, 7)

	c.Close("transport close")
	c.wg.Wait()
	if err := srv.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
