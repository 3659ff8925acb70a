package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/antchat/antchat/adapter"
)

var membershipTests = []test{
	{name: "open twice", run: func(r *rig) {
		defer func() {
			if recover() == nil {
				r.Error("opening a namespace twice did not panic")
			}
		}()
		r.node(0).Open(r.ns, &receiver{})
	}},
	{name: "rooms", run: func(r *rig) {
		s := r.add(0, "b", "a")
		if got := r.node(0).Rooms(r.ns, s.id); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"a", "b"}) {
			r.Errorf("rooms %q", got)
		}
		r.join(s, "b", "c", s.id) // again, and its own id
		r.must(r.node(0).Leave(r.ctx(), r.ns, s, []string{"a", "never"}))
		if got := r.node(0).Rooms(r.ns, s.id); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"b", "c"}) {
			r.Errorf("rooms %q", got)
		}
		if got := r.node(0).Rooms(r.ns, "nobody"); len(got) != 0 {
			r.Errorf("rooms of nobody: %q", got)
		}
	}},
	{name: "unknown socket", run: func(r *rig) {
		s := newSocket(r, 0, "unknown")
		if _, err := r.node(0).Join(r.ctx(), r.ns, s, []string{"a"}, true, nil); !errors.Is(err, adapter.ErrUnknownSocket) {
			r.Errorf("join: %v", err)
		}
		if err := r.node(0).Leave(r.ctx(), r.ns, s, []string{"a"}); !errors.Is(err, adapter.ErrUnknownSocket) {
			r.Errorf("leave: %v", err)
		}
		known := r.add(0)
		r.node(0).Remove(r.ns, known)
		r.node(0).Remove(r.ns, known) // idempotent
		r.until("removal", func() bool {
			_, err := r.node(0).Join(r.ctx(), r.ns, known, []string{"a"}, false, nil)
			return errors.Is(err, adapter.ErrUnknownSocket)
		})
	}},
	{name: "removed gets nothing", run: func(r *rig) {
		s, other := r.add(0, "a"), r.add(0, "a")
		r.emit(0, adapter.Ephemeral, "1", "a")
		s.wants("1")
		r.node(0).Remove(r.ns, s)
		r.emit(0, adapter.Ephemeral, "2", "a")
		r.append(0, "a", "3")
		other.wants("1", "2", "3")
		s.wants("1")
	}},
	{name: "leave ends deliveries", run: func(r *rig) {
		s := r.add(0, "a", "b")
		r.must(r.node(0).Leave(r.ctx(), r.ns, s, []string{"a"}))
		for i := range r.nodes {
			r.append(i, "a", fmt.Sprintf("a%d", i))
			r.append(i, "b", fmt.Sprintf("b%d", i))
		}
		r.settle()
		for _, text := range texts(s.wait(r.nodes)) {
			if strings.HasPrefix(text, "a") {
				r.Errorf("got %q after leaving", text)
			}
		}
	}},
	{name: "join holds", run: func(r *rig) {
		s := r.add(0, "other")
		before := r.append(0, "a", "1")
		cut, err := r.node(0).Join(r.ctx(), r.ns, s, []string{"a"}, true, &adapter.LogRead{Limit: 10})
		r.must(err)
		if cut.Position[before.Lane] < before.Pos {
			r.Errorf("cut at %v, before it was %d", cut.Position, before.Pos)
		}
		if cut.Read == nil || cut.Read.Head != 1 || len(cut.Read.Entries) != 1 || text(cut.Read.Entries[0].Event) != "1" {
			r.Fatalf("read %+v", cut.Read)
		}
		r.append(0, "a", "2")
		r.emit(0, adapter.Ephemeral, "3", "other") // held, whatever its room
		r.settle()
		if got := s.got(); len(got) != 0 {
			r.Errorf("held, but got %q", texts(got))
		}
		s.release(cut.Position)
		got := texts(s.wait(2))
		slices.Sort(got) // two rooms need not share a lane
		if !slices.Equal(got, []string{"2", "3"}) {
			r.Errorf("after the hold: %q", got)
		}
	}},
	{name: "held by several joins", run: func(r *rig) {
		s := r.add(0)
		a, err := r.node(0).Join(r.ctx(), r.ns, s, []string{"a"}, true, nil)
		r.must(err)
		b, err := r.node(0).Join(r.ctx(), r.ns, s, []string{"b"}, true, nil)
		r.must(err)
		r.append(0, "a", "1")
		r.settle()
		s.release(a.Position)
		if got := s.got(); len(got) != 0 {
			r.Errorf("held once more, but got %q", texts(got))
		}
		s.release(b.Position)
		s.wants("1")
	}},
	{name: "ended context", run: func(r *rig) {
		s := r.add(0)
		ctx, cancel := context.WithCancel(r.ctx())
		cancel()
		cut, err := r.node(0).Join(ctx, r.ns, s, []string{"a"}, true, nil)
		if err == nil {
			// It may have been faster than the look at the context.
			s.release(cut.Position)
			return
		}
		if !errors.Is(err, adapter.ErrUnavailable) {
			r.Errorf("join: %v", err)
		}
		if cut != nil {
			s.release(cut.Position)
		}
		if got := r.node(0).Rooms(r.ns, s.id); len(got) != 0 {
			r.Errorf("rooms %q after a join that did not succeed", got)
		}
	}},
	{name: "namespaces are apart", run: func(r *rig) {
		other := &receiver{}
		r.node(0).Open("/other", other)
		s, o := r.add(0, "a"), newSocket(r, 0, "other-sock")
		r.must(r.node(0).Add(r.ctx(), "/other", o, nil))
		_, err := r.node(0).Join(r.ctx(), "/other", o, []string{"a"}, false, nil)
		r.must(err)
		r.append(0, "a", "1")
		r.must(r.node(0).Emit(r.ctx(), adapter.Emit{Target: to("/other"), Event: event("e", "2")}))
		s.wants("1")
		o.wants("2")
		r.node(0).CloseNamespace("/other")
		r.must(r.node(0).Emit(r.ctx(), adapter.Emit{Target: to("/other"), Event: event("e", "3")}))
		r.settle()
		o.wants("2")
		r.node(0).Open("/other", other) // may be opened again
	}},
}

var broadcastTests = []test{
	{name: "targets", run: func(r *rig) {
		var s []*socket
		for i, rooms := range [][]string{{"a"}, {"b"}, {"a", "b"}, {}, {"a", "b", "c"}} {
			s = append(s, r.add(i, rooms...))
		}
		for _, c := range []struct {
			t    adapter.Target
			want []int
		}{
			{adapter.Target{}, []int{0, 1, 2, 3, 4}},
			{adapter.Target{Rooms: []string{"a"}}, []int{0, 2, 4}},
			{adapter.Target{Rooms: []string{"a", "b"}}, []int{0, 1, 2, 4}},
			{adapter.Target{Rooms: []string{"a", "a"}}, []int{0, 2, 4}},
			{adapter.Target{Rooms: []string{"none"}}, nil},
			{adapter.Target{Rooms: []string{"a", "b"}, Except: []string{"c"}}, []int{0, 1, 2}},
			{adapter.Target{Except: []string{"a"}}, []int{1, 3}},
			{adapter.Target{Rooms: []string{"a"}, Except: []string{s[0].id}}, []int{2, 4}},
			{adapter.Target{Rooms: []string{s[3].id}}, []int{3}},
			{adapter.Target{Rooms: []string{s[0].id, "a"}}, []int{0, 2, 4}},
			{adapter.Target{Rooms: []string{s[0].id}, Except: []string{s[0].id}}, nil},
			{adapter.Target{Rooms: []string{"a"}, Except: []string{"nobody"}}, []int{0, 2, 4}},
		} {
			for _, class := range []adapter.Class{adapter.Ephemeral, adapter.Recoverable} {
				c.t.Namespace = r.ns
				before := make([]int, len(s))
				for i := range s {
					before[i] = len(s[i].got())
				}
				r.must(r.node(0).Emit(r.ctx(), adapter.Emit{Target: c.t, Event: event("emit", "x"), Class: class}))
				r.settle()
				for i := range s {
					want := before[i]
					if slices.Contains(c.want, i) {
						want++
						s[i].wait(want)
					}
					if got := len(s[i].got()); got != want {
						r.Errorf("%+v class %d: socket %d got %d events, wanted %d", c.t, class, i, got-before[i], want-before[i])
					}
				}
			}
		}
	}},
	{name: "local", run: func(r *rig) {
		var s []*socket
		for i := range r.nodes {
			s = append(s, r.add(i, "a"))
		}
		r.must(r.node(0).Emit(r.ctx(), adapter.Emit{Target: adapter.Target{Namespace: r.ns, Local: true}, Event: event("e", "1")}))
		s[0].wants("1")
		r.settle()
		for _, s := range s[1:] {
			s.wants()
		}
	}},
	{name: "classes", run: func(r *rig) {
		s := r.add(0, "a")
		r.must(r.node(0).Emit(r.ctx(), adapter.Emit{Target: to(r.ns, "a"), Event: event("e", "1"), Class: adapter.Recoverable}))
		r.must(r.node(0).Emit(r.ctx(), adapter.Emit{Target: to(r.ns, "a"), Event: event("e", "2")}))
		r.must(r.node(0).Emit(r.ctx(), adapter.Emit{Target: to(r.ns, "a"), Event: event("e", "3"), Class: adapter.Recoverable, Volatile: true}))
		s.wants("1", "2", "3")
		f := s.got()
		if d := f[0].d; d.Pos == 0 || d.Class != adapter.Recoverable || d.Position[d.Lane] != d.Pos {
			r.Errorf("recoverable: %+v", d)
		}
		if d := f[1].d; d.Pos != 0 || d.Class != adapter.Ephemeral || d.Position != f[0].d.Position {
			r.Errorf("ephemeral: %+v", d)
		}
		if d := f[2].d; d.Pos != 0 || d.Class != adapter.Ephemeral || !d.Volatile {
			r.Errorf("a volatile event is always ephemeral: %+v", d)
		}
		if err := r.node(0).Emit(r.ctx(), adapter.Emit{Target: to(r.ns, "a"), Event: event("e", "4"), Class: adapter.Logged}); err == nil {
			r.Error("Emit took a logged event")
		}
	}},
	{name: "order of one caller", run: func(r *rig) {
		s := r.add(1, "a")
		var want []string
		for i := range 300 {
			class := adapter.Class(i % 2)
			want = append(want, fmt.Sprint(i))
			r.emit(0, class, fmt.Sprint(i), "a")
		}
		s.wants(want...)
	}},
	{name: "attachments", run: func(r *rig) {
		s := r.add(1, "a")
		e := adapter.Event{Name: "b", Data: []byte(`["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`), Attachments: [][]byte{{0, 1, 255}, {}}}
		r.must(r.node(0).Emit(r.ctx(), adapter.Emit{Target: to(r.ns, "a"), Event: e}))
		entry := r.entry("a", "1")
		entry.Event = e
		_, err := r.node(0).Append(r.ctx(), entry)
		r.must(err)
		slice, err := r.node(0).Read(r.ctx(), r.ns, "a", adapter.LogRead{Limit: 1})
		r.must(err)
		for _, d := range []*adapter.Delivery{s.wait(2)[0].d, s.wait(2)[1].d, slice.Entries[0]} {
			if d.Event.Name != "b" || string(d.Event.Data) != string(e.Data) || len(d.Event.Attachments) != 2 ||
				string(d.Event.Attachments[0]) != "\x00\x01\xff" || len(d.Event.Attachments[1]) != 0 {
				r.Errorf("%+v", d.Event)
			}
		}
	}},
	{name: "request", run: func(r *rig) {
		for i := range 2 * r.nodes {
			r.add(i, "a")
		}
		silent := r.add(1, "a", "s")
		r.recv[silent.node].mu.Lock()
		r.recv[silent.node].silent = map[string]bool{silent.id: true}
		r.recv[silent.node].mu.Unlock()
		ask := func(t adapter.Target) adapter.Answers {
			got, err := r.node(0).Request(r.ctx(), adapter.Emit{Target: t, Event: event("ask", "?")}, patience)
			r.must(err)
			return got
		}
		got := ask(adapter.Target{Namespace: r.ns, Rooms: []string{"a"}, Except: []string{"s"}})
		if !got.Complete() || got.Expected != 2*r.nodes || len(got.Missing) != 0 {
			r.Errorf("%+v", got)
		}
		for _, a := range got.Replies {
			if string(a.Args) != fmt.Sprintf("[%q]", a.SocketID) || a.Node == "" {
				r.Errorf("%+v", a)
			}
		}
		if got := ask(to(r.ns, "none")); !got.Complete() || got.Expected != 0 {
			r.Errorf("nobody asked: %+v", got)
		}
		if got := ask(to("/nowhere")); !got.Complete() || got.Expected != 0 {
			r.Errorf("unknown namespace: %+v", got)
		}
		// A silent socket: what came is told.
		got, err := r.node(0).Request(r.ctx(), adapter.Emit{Target: to(r.ns, "a"), Event: event("ask", "?")}, shortly)
		r.must(err)
		if got.Complete() || got.Expected != 2*r.nodes+1 || len(got.Replies) > 2*r.nodes {
			r.Errorf("%+v", got)
		}
		// A node that does not say how many it asked is missing.
		r.recv[0].mu.Lock()
		r.recv[0].mute = true
		r.recv[0].mu.Unlock()
		got, err = r.node(0).Request(r.ctx(), adapter.Emit{Target: to(r.ns, "a"), Event: event("ask", "?")}, shortly)
		r.must(err)
		if !slices.Equal(got.Missing, []string{r.node(0).NodeID()}) || got.Complete() {
			r.Errorf("%+v", got)
		}
	}},
}
