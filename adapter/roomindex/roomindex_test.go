package roomindex_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type sock struct {
	id                  string
	holds, fences, gots int
}

func (s *sock) ID() string               { return s.id }
func (s *sock) Hold()                    { s.holds++ }
func (s *sock) Fence()                   { s.fences++ }
func (s *sock) Disconnect(bool)          {}
func (s *sock) Info() adapter.SocketInfo { return adapter.SocketInfo{ID: s.id} }

func ids(list []adapter.Socket) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, s.ID())
	}
	slices.Sort(out)
	return out
}

// TestIndexModel holds the index against sets of names.
func TestIndexModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := roomindex.NewIndex()
		sockets := make([]*sock, 6)
		for i := range sockets {
			sockets[i] = &sock{id: fmt.Sprint("s", i)}
		}
		in := map[*sock]map[string]bool{}
		names := []string{"a", "b", "c", "s0", "s1"} // some are socket ids
		one := rapid.SampledFrom(sockets)
		some := rapid.SliceOfN(rapid.SampledFrom(names), 0, 4)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				s := one.Draw(t, "socket")
				if got := x.Add(s, nil); got != nil {
					t.Fatalf("replaced %v", got)
				}
				if in[s] == nil {
					in[s] = map[string]bool{}
				}
			},
			"replace": func(t *rapid.T) {
				i := rapid.IntRange(0, len(sockets)-1).Draw(t, "socket")
				old := sockets[i]
				if in[old] == nil {
					return
				}
				fresh := &sock{id: old.id}
				if x.Add(fresh, nil) != adapter.Socket(old) {
					t.Fatal("the old connection was not replaced")
				}
				if x.Remove(old) {
					t.Fatal("a replaced connection took the new one out")
				}
				delete(in, old)
				in[fresh], sockets[i] = map[string]bool{}, fresh
				one = rapid.SampledFrom(sockets)
			},
			"remove": func(t *rapid.T) {
				s := one.Draw(t, "socket")
				if x.Remove(s) != (in[s] != nil) {
					t.Fatal("remove")
				}
				delete(in, s)
			},
			"join": func(t *rapid.T) {
				s, rooms := one.Draw(t, "socket"), some.Draw(t, "rooms")
				joined, ok := x.Join(s, rooms)
				if ok != (in[s] != nil) {
					t.Fatal("join")
				}
				for _, r := range joined {
					if in[s][r] {
						t.Fatalf("joined %q twice", r)
					}
				}
				for _, r := range rooms {
					if ok && r != s.id {
						in[s][r] = true
					}
				}
			},
			"leave": func(t *rapid.T) {
				s, rooms := one.Draw(t, "socket"), some.Draw(t, "rooms")
				x.Leave(s, rooms)
				for _, r := range rooms {
					delete(in[s], r)
				}
			},
			"": func(t *rapid.T) {
				target := adapter.Target{Rooms: some.Draw(t, "rooms"), Except: some.Draw(t, "except")}
				var want []string
				for s, rooms := range in {
					hit := func(names []string) bool {
						return slices.ContainsFunc(names, func(n string) bool { return rooms[n] || n == s.id })
					}
					if (len(target.Rooms) == 0 || hit(target.Rooms)) && !hit(target.Except) {
						want = append(want, s.id)
					}
					if got := x.Rooms(s.id); !slices.Equal(got, slices.Sorted(maps.Keys(rooms))) {
						t.Fatalf("%s is in %q, wanted %v", s.id, got, rooms)
					}
				}
				slices.Sort(want)
				if got := ids(x.Select(&target)); !slices.Equal(got, want) {
					t.Fatalf("%+v selects %q, wanted %q", target, got, want)
				}
				var found []string
				for _, f := range x.Find(&target) {
					found = append(found, f.Socket.ID())
				}
				slices.Sort(found)
				if !slices.Equal(found, want) || x.Len() != len(in) {
					t.Fatalf("%+v finds %q, wanted %q", target, found, want)
				}
			},
		})
	})
}

func fill(n int) (*roomindex.Index, []*sock) {
	x := roomindex.NewIndex()
	list := make([]*sock, n)
	for i := range list {
		list[i] = &sock{id: fmt.Sprint("s", i)}
		x.Add(list[i], nil)
		x.Join(list[i], []string{"all", fmt.Sprint("r", i%10)})
	}
	return x, list
}

// TestSelectAllocates: choosing the recipients costs no memory, whatever the
// form of the target.
func TestSelectAllocates(t *testing.T) {
	x, _ := fill(1000)
	for _, target := range []adapter.Target{
		{},
		{Rooms: []string{"all"}},
		{Rooms: []string{"s5"}},
		{Rooms: []string{"all"}, Except: []string{"s5"}},
		{Rooms: []string{"r1", "r2", "r3"}, Except: []string{"r2"}},
	} {
		x.Select(&target) // grows the scratch
		if n := testing.AllocsPerRun(100, func() { x.Select(&target) }); n != 0 {
			t.Errorf("%+v: %v allocations", target, n)
		}
	}
}

// TestRoomShrinks: what a full room took is given back.
func TestRoomShrinks(t *testing.T) {
	x, list := fill(10_000)
	for _, s := range list[1:] {
		x.Remove(s)
	}
	target := adapter.Target{Rooms: []string{"all"}}
	if got := x.Select(&target); len(got) != 1 || cap(got) > 128 {
		t.Errorf("%d sockets in a slice of %d", len(got), cap(got))
	}
}

type receiver struct {
	f func(d *adapter.Delivery, to []adapter.Socket)
}

func (r receiver) Deliver(d *adapter.Delivery, to []adapter.Socket) {
	for _, s := range to {
		s.(*sock).gots++
	}
	if r.f != nil {
		r.f(d, to)
	}
}
func (receiver) Gap(adapter.Gap, []adapter.Socket)                 {}
func (receiver) Presence(adapter.PresenceChange, []adapter.Socket) {}
func (receiver) ServerEvent(adapter.Event, func([]byte))           {}

// pass lets everything that was pushed before pass.
func pass(q *roomindex.Sequencer) {
	done := make(chan struct{})
	q.Push(roomindex.Func(func(*roomindex.Sequencer) { close(done) }))
	<-done
}

func TestSequencerBlocksPublishers(t *testing.T) {
	q := roomindex.NewSequencer(adapter.Position{}, roomindex.Options{Queue: 4})
	defer q.Close()
	gate := make(chan struct{})
	q.Push(roomindex.Func(func(*roomindex.Sequencer) { <-gate }))
	for q.Len() > 0 {
		time.Sleep(time.Millisecond)
	}
	for range 4 {
		if err := q.Admit(t.Context()); err != nil {
			t.Fatal(err)
		}
		q.Push(roomindex.Func(func(*roomindex.Sequencer) {}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := q.Admit(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a full queue admits: %v", err)
	}
	admitted := make(chan error)
	go func() { admitted <- q.Admit(t.Context()) }()
	close(gate)
	if err := <-admitted; err != nil {
		t.Fatal(err)
	}
}

func TestSequencerClose(t *testing.T) {
	q := roomindex.NewSequencer(adapter.Position{}, roomindex.Options{})
	n := 0
	for range 100 {
		q.Push(roomindex.Func(func(*roomindex.Sequencer) { n++ }))
	}
	q.Close()
	q.Close()
	if n != 100 || q.Push(roomindex.Func(func(*roomindex.Sequencer) {})) || !errors.Is(q.Admit(t.Context()), adapter.ErrClosed) {
		t.Errorf("%d of 100 items passed", n)
	}
}

// TestWithdrawnCut: a cut whose pusher has given up has no effect, one that
// passes just then counts.
func TestWithdrawnCut(t *testing.T) {
	q := roomindex.NewSequencer(adapter.Position{}, roomindex.Options{})
	defer q.Close()
	q.Open("/", receiver{})
	s := &sock{id: "s"}
	add := &roomindex.Cut{Namespace: "/", Socket: s, Add: true}
	add.Prepare()
	q.Push(add)
	if err := add.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	q.Push(roomindex.Func(func(*roomindex.Sequencer) { <-gate }))
	cut := &roomindex.Cut{Namespace: "/", Socket: s, Rooms: []string{"a"}, Hold: true}
	cut.Prepare()
	q.Push(cut)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := cut.Wait(ctx); !errors.Is(err, adapter.ErrUnavailable) {
		t.Fatal(err)
	}
	close(gate)
	pass(q)
	if rooms := q.Namespace("/").Index.Rooms("s"); len(rooms) != 0 || s.holds != 0 {
		t.Errorf("rooms %q, %d holds", rooms, s.holds)
	}
	// Refused by its own check: nothing changes either.
	refused := errors.New("refused")
	cut = &roomindex.Cut{Namespace: "/", Socket: s, Rooms: []string{"a"}, Hold: true, Before: func() error { return refused }}
	cut.Prepare()
	q.Push(cut)
	if err := cut.Wait(t.Context()); !errors.Is(err, refused) || s.holds != 0 {
		t.Error(err)
	}
}

func TestPositionsFollowTheStream(t *testing.T) {
	var got []adapter.Position
	q := roomindex.NewSequencer(adapter.Position{5}, roomindex.Options{})
	q.Open("/", receiver{func(d *adapter.Delivery, _ []adapter.Socket) { got = append(got, d.Position) }})
	s := &sock{id: "s"}
	add := &roomindex.Cut{Namespace: "/", Socket: s, Add: true}
	add.Prepare()
	q.Push(add)
	for _, d := range []adapter.Delivery{{}, {Pos: 9}, {}, {Lane: 1, Pos: 7}, {}} {
		q.Push(&roomindex.Event{Delivery: d, Target: adapter.Target{Namespace: "/"}})
	}
	// Passing by without recipients moves the position all the same.
	q.Push(&roomindex.Event{Delivery: adapter.Delivery{Pos: 11}, Target: adapter.Target{Namespace: "/", Rooms: []string{"nobody"}}})
	q.Push(&roomindex.Event{Target: adapter.Target{Namespace: "/"}})
	q.Close()
	want := []adapter.Position{{5}, {9}, {9}, {9, 7}, {9, 7}, {11, 7}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, wanted %v", got, want)
	}
}

func TestFence(t *testing.T) {
	q := roomindex.NewSequencer(adapter.Position{}, roomindex.Options{})
	q.Open("/", receiver{})
	s := &sock{id: "s"}
	add := &roomindex.Cut{Namespace: "/", Socket: s, Add: true, Session: &adapter.Owner{PID: "p", Token: 3}}
	add.Prepare()
	q.Push(add)
	q.Push(&roomindex.Fence{Namespace: "/", SocketID: "s", Token: 3})
	pass(q)
	if s.fences != 0 || q.Namespace("/").Index.Len() != 1 {
		t.Error("an owner was fenced by its own token")
	}
	q.Push(&roomindex.Fence{Namespace: "/", SocketID: "s", Token: 4})
	pass(q)
	if s.fences != 1 || q.Namespace("/").Index.Len() != 0 {
		t.Error("an older owner was not fenced")
	}
	q.Close()
}

// TestPassAllocates: an event's way through the sequencer costs no memory per
// recipient.
func TestPassAllocates(t *testing.T) {
	q := roomindex.NewSequencer(adapter.Position{}, roomindex.Options{})
	defer q.Close()
	q.Open("/", receiver{})
	for i := range 1000 {
		c := &roomindex.Cut{Namespace: "/", Socket: &sock{id: fmt.Sprint("s", i)}, Add: true, Rooms: []string{"a"}}
		c.Prepare()
		q.Push(c)
	}
	pass(q)
	ev := &roomindex.Event{Target: adapter.Target{Namespace: "/", Rooms: []string{"a"}}}
	done := make(chan struct{})
	end := roomindex.Func(func(*roomindex.Sequencer) { done <- struct{}{} })
	n := testing.AllocsPerRun(100, func() {
		q.Push(ev)
		q.Push(end)
		<-done
	})
	if n > 2 {
		t.Errorf("%v allocations for 1,000 recipients", n)
	}
}

func BenchmarkSelectRoom1000(b *testing.B) {
	x, _ := fill(1000)
	target := adapter.Target{Rooms: []string{"all"}}
	b.ReportAllocs()
	for b.Loop() {
		x.Select(&target)
	}
}

func BenchmarkSelectRoom1000ExceptOne(b *testing.B) {
	x, _ := fill(1000)
	target := adapter.Target{Rooms: []string{"all"}, Except: []string{"s5"}}
	b.ReportAllocs()
	for b.Loop() {
		x.Select(&target)
	}
}

func BenchmarkJoinLeave(b *testing.B) {
	x, list := fill(1000)
	rooms := []string{"new"}
	b.ReportAllocs()
	for b.Loop() {
		x.Join(list[5], rooms)
		x.Leave(list[5], rooms)
	}
}

// BenchmarkPass is a broadcast to 1,000 sockets, from the push to the last
// recipient.
func BenchmarkPass1000(b *testing.B) {
	q := roomindex.NewSequencer(adapter.Position{}, roomindex.Options{Queue: 16})
	defer q.Close()
	q.Open("/", receiver{})
	for i := range 1000 {
		c := &roomindex.Cut{Namespace: "/", Socket: &sock{id: fmt.Sprint("s", i)}, Add: true, Rooms: []string{"a"}}
		c.Prepare()
		q.Push(c)
	}
	ev := &roomindex.Event{Target: adapter.Target{Namespace: "/", Rooms: []string{"a"}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Admit(b.Context()); err != nil {
			b.Fatal(err)
		}
		q.Push(ev)
	}
}
