package redis

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// lasting are the kinds of keys without expiry: one of each in a lane, or what
// goes with a node's life. All others must have one once nobody is there.
var lasting = []string{"lane", "cfg", "lr", "n", "z", "zd", "x"}

// keysOf are a fleet's keys without the lane's prefix, with whether they expire.
func keysOf(t testing.TB, f *fleet) map[string]bool {
	t.Helper()
	c := shared.get(t).client(t)
	all := make(map[string]bool)
	for _, l := range f.nodes[0].lanes {
		for it := c.Scan(t.Context(), 0, l.base+"*", 1000).Iterator(); it.Next(t.Context()); {
			ttl, err := c.PTTL(t.Context(), it.Val()).Result()
			if err != nil {
				t.Fatal(err)
			}
			if ttl != -2 {
				all[strings.TrimPrefix(it.Val(), l.base)] = ttl > 0
			}
		}
	}
	return all
}

// wantNothingLasting waits until all keys but those of lasting expire.
func wantNothingLasting(t *testing.T, f *fleet) {
	t.Helper()
	var left []string
	end := time.Now().Add(20 * time.Second)
	for {
		left = left[:0]
		for key, expires := range keysOf(t, f) {
			if !expires && !slices.Contains(lasting, key) {
				left = append(left, key)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			slices.Sort(left)
			t.Fatalf("without expiry: %q", left)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func sessionOf(t testing.TB, a *Adapter, pid string, m *member) adapter.Owner {
	t.Helper()
	o, err := a.Create(t.Context(), adapter.Session{PID: pid, SID: m.id, Namespace: "/"})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestNothingStays: when a client has come and gone, whichever way, the store
// holds nothing of it for ever, though its nodes live on.
func TestNothingStays(t *testing.T) {
	for _, lanes := range []int{1, 4} {
		t.Run(strconv.Itoa(lanes)+" lanes", func(t *testing.T) {
			f := newFleet(t, shared.get(t).addr, 2, Options{Lanes: lanes, Grace: -1})
			a, b := f.nodes[0], f.nodes[1]
			a.Open("/", discard{})
			b.Open("/", discard{})
			rooms := []string{"a", "b", "c", "d", "e"}
			come := func(n *Adapter, pid string) (*member, adapter.Owner) {
				t.Helper()
				members++
				m := &member{t: t, a: n, id: "member-" + strconv.Itoa(members)}
				o := sessionOf(t, n, pid, m)
				if err := n.Add(t.Context(), "/", m, &o); err != nil {
					t.Fatal(err)
				}
				m.join(rooms...)
				if _, err := n.Enter(t.Context(), "/", "a", m.id, adapter.Person{User: pid}); err != nil {
					t.Fatal(err)
				}
				m.append("a", pid)
				return m, o
			}
			leave := func(n *Adapter, m *member, pid string) {
				n.Exit("/", "a", m.id, pid, false)
				n.Remove("/", m)
			}

			m, o := come(a, "gone")
			leave(a, m, "gone")
			a.Gone(o)

			m, o = come(a, "ended")
			leave(a, m, "ended")
			a.End(o)

			// Comes back elsewhere before its node has noticed.
			m, o = come(a, "moves")
			_, again, err := b.Claim(t.Context(), "/", "moves")
			if err != nil {
				t.Fatal(err)
			}
			there := &member{t: t, a: b, id: m.id}
			if _, err := b.Resume(t.Context(), "/", there, again, nil); err != nil {
				t.Fatal(err)
			}
			leave(a, m, "moves")
			a.Gone(o)
			leave(b, there, "moves")
			b.Gone(again)

			// An order puts a session that has just ended into rooms.
			m, o = come(a, "late")
			a.End(o)
			if err := a.SocketsJoin(t.Context(), adapter.Target{Namespace: "/", Rooms: []string{m.id}}, []string{"a", "b", "c", "d", "e", "f"}); err != nil {
				t.Fatal(err)
			}
			leave(a, m, "late")
			a.Gone(o)

			// A session is lent, and nobody takes it.
			if err := a.Lend(t.Context(), adapter.Session{PID: "lent", SID: "sid", Namespace: "/", Rooms: rooms}, adapter.Position{}); err != nil {
				t.Fatal(err)
			}
			wantNothingLasting(t, f)
		})
	}
}

// TestStrays: what was cut short, so that the node never knew of it or could not
// say that it ended, is found and given an end.
func TestStrays(t *testing.T) {
	f := newFleet(t, shared.get(t).addr, 1, Options{Audit: 10 * time.Millisecond, Timeout: 300 * time.Millisecond, Beat: 200 * time.Millisecond})
	a, l := f.nodes[0], f.nodes[0].lanes[0]
	do := func(s *script, args ...any) {
		t.Helper()
		if _, err := l.eval(t.Context(), true, s, args...); err != nil {
			t.Fatal(err)
		}
	}
	// Answers that did not come.
	do(lua().session, "create", "unanswered", "1", "/", "sid", "user", "data")
	do(lua().cut, a.node, "op", "added", "1", "add", "/,sid", "/", 0)
	do(lua().session, "join", "joined", "1", "1", 7, "a")
	// These are here, and stay.
	m := &member{t: t, a: a, id: "stays"}
	a.Open("/", m)
	o := sessionOf(t, a, "stays", m)
	if err := a.Add(t.Context(), "/", m, &o); err != nil {
		t.Fatal(err)
	}
	until(t, "the strays expire", func() bool {
		keys := keysOf(t, f)
		_, there := keys["i:/,sid"]
		return keys["o:unanswered"] && keys["j:added"] && keys["j:joined"] && !there
	})
	c := shared.get(t).client(t)
	for set, want := range map[string]string{"on:": "stays", "in:": "/,stays"} {
		if got := c.SMembers(t.Context(), l.base+set+a.incarnation()).Val(); !slices.Equal(got, []string{want}) {
			t.Errorf("%s holds %q", set, got)
		}
	}
	if keys := keysOf(t, f); keys["o:stays"] || keys["j:stays"] || keys["i:/,stays"] {
		t.Errorf("what is here expires: %v", keys)
	}
	a.Remove("/", m)
	a.End(o)
	wantNothingLasting(t, f)
}

// TestReapedWritesNoSocket: what a node that has been reaped still had to write
// stays away: nobody would take it out again.
func TestReapedWritesNoSocket(t *testing.T) {
	f := newFleet(t, shared.get(t).addr, 1, Options{})
	a, l := f.nodes[0], f.nodes[0].lanes[0]
	c := shared.get(t).client(t)
	dead := a.node + ".before"
	if err := c.HSet(t.Context(), l.base+"n", dead, "dead").Err(); err != nil {
		t.Fatal(err)
	}
	cmd := l.call(lua().sockets, "/,sid", "op")
	cmd[4+1] = dead
	if _, err := l.pipe.do(t.Context(), &op{cmd: cmd}); err != nil {
		t.Fatal(err)
	}
	if keys := keysOf(t, f); len(keys) > 0 {
		for key := range keys {
			if strings.HasPrefix(key, "i") {
				t.Errorf("%s was written", key)
			}
		}
	}
}

// TestListsForget: the list of rooms with a log, and of streams that were
// trimmed, do not keep what is long gone.
func TestListsForget(t *testing.T) {
	f := newFleet(t, shared.get(t).addr, 1, Options{RecoverablePerRoom: 1, Window: 100 * time.Millisecond})
	a, l := f.nodes[0], f.nodes[0].lanes[0]
	c := shared.get(t).client(t)
	for i := range 200 {
		if err := c.ZAdd(t.Context(), l.base+"lr", zero("/,old-"+strconv.Itoa(i))).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.HSet(t.Context(), l.base+"vt", "v:/,old-"+strconv.Itoa(i), 1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	m := newMember(t, a, "x")
	for i := range 200 {
		m.append("new-"+strconv.Itoa(i), "0")
	}
	old := 0
	for _, room := range c.ZRange(t.Context(), l.base+"lr", 0, -1).Val() {
		if strings.Contains(room, "old-") {
			old++
		}
	}
	if total := c.ZCard(t.Context(), l.base+"lr").Val(); old > 40 || total-int64(old) != 200 {
		t.Errorf("%d rooms are listed, %d of them long gone", total, old)
	}
	emit := func(room string) {
		t.Helper()
		e := adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: []string{room}}, Event: adapter.Event{Name: "e", Data: []byte(`["e"]`)}, Class: adapter.Recoverable}
		if err := a.Emit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		for range 66 {
			emit("r" + strconv.Itoa(i))
		}
	}
	if n := c.HLen(t.Context(), l.base+"vt").Val(); n > 160 || n < 20 {
		t.Errorf("%d streams are noted as trimmed, 20 were", n)
	}
}

// TestLogExpires: a log whose head came back from older data than its stream
// begins anew, with an end.
func TestLogExpires(t *testing.T) {
	f := newFleet(t, shared.get(t).addr, 1, Options{})
	a, l := f.nodes[0], f.nodes[0].lanes[0]
	c := shared.get(t).client(t)
	m := newMember(t, a, "x")
	m.append("r", "0")
	if err := c.XAdd(t.Context(), beyond(l.base+"s:/,r")).Err(); err != nil {
		t.Fatal(err)
	}
	m.append("r", "1")
	if keys := keysOf(t, f); !keys["s:/,r"] || !keys["m:/,r"] {
		t.Errorf("without expiry: %v", keys)
	}
}

func zero(member string) goredis.Z { return goredis.Z{Member: member} }

func beyond(stream string) *goredis.XAddArgs {
	return &goredis.XAddArgs{Stream: stream, ID: "1000-1000", Values: []string{"e", "E", "t", "1", "b", ""}}
}

// TestClaimAfterLoss: a claim that the store has lost, as a replica may that is
// promoted, is not made again with the same token: the owner of before would
// end the session of the one after it.
func TestClaimAfterLoss(t *testing.T) {
	f := newFleet(t, shared.get(t).addr, 2, Options{})
	a, b := f.nodes[0], f.nodes[1]
	a.Open("/", discard{})
	b.Open("/", discard{})
	c := shared.get(t).client(t)
	m := &member{t: t, a: a, id: "twice"}
	sessionOf(t, a, "twice", m)
	_, first, err := a.Claim(t.Context(), "/", "twice")
	if err != nil {
		t.Fatal(err)
	}
	l := a.lanes[0]
	for key, field := range map[string]string{"o:twice": "token", "j:twice": "t"} {
		if err := c.HSet(t.Context(), l.base+key, field, 1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	_, second, err := b.Claim(t.Context(), "/", "twice")
	if err != nil {
		t.Fatal(err)
	}
	if second.Token <= first.Token {
		t.Errorf("tokens %d and then %d", first.Token, second.Token)
	}
	a.End(first)
	// Behind it in the same pipe.
	if _, err := l.pipe.do(t.Context(), &op{cmd: []any{"PING"}}); err != nil {
		t.Fatal(err)
	}
	if n := c.Exists(t.Context(), l.base+"o:twice", l.base+"j:twice").Val(); n != 2 {
		t.Errorf("%d of the session's records are left", n)
	}
}
