package redis

import (
	"strconv"
	"testing"
	"time"
)

// TestErasAdvance: each era begins behind all earlier ones, also when the store
// remembers none of them, and when its clock is behind the one that positions
// were made by.
func TestErasAdvance(t *testing.T) {
	s := ownServer(t)
	a := newFleet(t, s.addr, 1, Options{Beat: time.Minute, Lease: 3 * time.Minute}).nodes[0]
	l, c := a.lanes[0], s.client(t)
	begin := func() uint64 {
		t.Helper()
		time.Sleep(25 * time.Millisecond)
		v, err := l.eval(t.Context(), true, lua().marker, a.node, a.nextID(), 0)
		if err != nil {
			t.Fatal(err)
		}
		r, err := asReply(v)
		if err != nil {
			t.Fatal(err)
		}
		return r.number(2)
	}
	set := func(field string, v uint64) {
		t.Helper()
		if err := c.HSet(t.Context(), l.base+"lane", field, strconv.FormatUint(v, 10)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	const ticks = 2048
	last := begin()
	for range 5 {
		// Another primary, which has all of it; then one that has nothing.
		set("r", 0)
		again := begin()
		if again <= last {
			t.Errorf("era at %d after %d", again, last)
		}
		if err := c.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if last = begin(); last <= again {
			t.Errorf("era at %d after %d, which was forgotten", last, again)
		}
	}
	// Positions of a clock that is a minute ahead, in an old era: what was made
	// by it and is not known here lies up to JUMP behind.
	ahead := uint64(time.Now().Add(time.Minute).UnixMilli()) * ticks
	set("p", ahead)
	set("start", ahead-3600_000*ticks)
	set("r", 0)
	if got := begin(); got != ahead+20_000*ticks {
		t.Errorf("era at %d, the clock of before was at %d", got, ahead)
	}
}
