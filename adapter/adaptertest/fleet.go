package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/antchat/antchat/adapter"
)

var fleetTests = []test{
	{name: "status", run: func(r *rig) {
		for i := range r.nodes {
			if s := r.node(i).Status(); !s.Ready || s.Reason != "" {
				r.Errorf("%+v", s)
			}
			if n := r.node(i).Lanes(); n < 1 || n > adapter.MaxLanes {
				r.Errorf("%d lanes", n)
			}
		}
	}},
	{name: "fetch sockets", run: func(r *rig) {
		for i := range 2 * r.nodes {
			r.add(i, "a", fmt.Sprint("own", i))
		}
		r.add(0, "b")
		got, missing, err := r.node(0).FetchSockets(r.ctx(), adapter.Target{Namespace: r.ns, Rooms: []string{"a"}, Except: []string{"own0"}})
		r.must(err)
		if len(got) != 2*r.nodes-1 || len(missing) != 0 {
			r.Errorf("%d sockets, %q missing", len(got), missing)
		}
		for _, s := range got {
			slices.Sort(s.Rooms)
			if s.ID == "" || s.Node == "" || len(s.Rooms) != 2 || s.Rooms[0] != "a" || string(s.Handshake) != `{"h":1}` || string(s.Data) != `{"d":1}` {
				r.Errorf("%+v", s)
			}
		}
		if got, _, err = r.node(0).FetchSockets(r.ctx(), to("/nowhere")); err != nil || len(got) != 0 {
			r.Errorf("unknown namespace: %v, %v", got, err)
		}
	}},
	{name: "orders", run: func(r *rig) {
		s, o := r.addSession(1, "a"), r.add(0, "b")
		r.must(r.node(0).SocketsJoin(r.ctx(), to(r.ns, "a"), []string{"x", "y"}))
		r.until("joined", func() bool { return len(r.node(1).Rooms(r.ns, s.id)) == 3 })
		r.append(0, "x", "1")
		s.wants("1")
		o.wants()
		r.must(r.node(0).SocketsLeave(r.ctx(), to(r.ns), []string{"y"}))
		r.until("left", func() bool { return len(r.node(1).Rooms(r.ns, s.id)) == 2 })
		// The session knows: its record was written before what its node appends
		// to the room later.
		r.settle()
		r.append(1, "y", "2")
		rec, _, err := r.node(0).Claim(r.ctx(), r.ns, s.owner.PID)
		r.must(err)
		slices.Sort(rec.Rooms)
		if !slices.Equal(rec.Rooms, []string{"a", "x"}) {
			r.Errorf("the session has rooms %q", rec.Rooms)
		}
		r.must(r.node(0).DisconnectSockets(r.ctx(), to(r.ns, "b"), true))
		r.must(r.node(0).DisconnectSockets(r.ctx(), to(r.ns, "b"), false))
		r.until("disconnected", func() bool { return slices.Equal(o.disconnects(), []bool{true, false}) })
	}},
	{name: "orders have a place in the order of events", run: func(r *rig) {
		s := r.add(0)
		var want []string
		for i := range 50 {
			r.must(r.node(0).SocketsJoin(r.ctx(), to(r.ns, s.id), []string{"x"}))
			r.emit(0, adapter.Ephemeral, fmt.Sprint("in", i), "x")
			want = append(want, fmt.Sprint("in", i))
			r.must(r.node(0).SocketsLeave(r.ctx(), to(r.ns, s.id), []string{"x"}))
			r.emit(0, adapter.Ephemeral, fmt.Sprint("out", i), "x")
		}
		r.settle()
		if r.nodes == 1 {
			s.wants(want...)
		}
	}},
	{name: "server side", run: func(r *rig) {
		r.must(r.node(0).ServerSideEmit(r.ctx(), r.ns, event("hello", "nodes")))
		for i := 1; i < r.nodes; i++ {
			r.until("server event", func() bool {
				r.recv[i].mu.Lock()
				defer r.recv[i].mu.Unlock()
				return len(r.recv[i].server) == 1
			})
		}
		answers, missing, err := r.node(0).ServerSideRequest(r.ctx(), r.ns, event("ask", "nodes"))
		r.must(err)
		if len(answers) != r.nodes-1 || len(missing) != 0 {
			r.Errorf("%v, %q missing", answers, missing)
		}
		for _, a := range answers {
			if string(a.Value) != `"answer"` || a.Node == r.node(0).NodeID() {
				r.Errorf("%+v", a)
			}
		}
		r.recv[0].mu.Lock()
		defer r.recv[0].mu.Unlock()
		if len(r.recv[0].server) != 0 {
			r.Error("a node got its own server event")
		}
	}},
	{name: "ask", run: func(r *rig) {
		ended := make(chan string, 2*r.nodes)
		for i := range r.nodes {
			r.node(i).Serve("echo", func(_ context.Context, q *adapter.Question) {
				if err := q.Reply(fmt.Appendf(nil, "%s %s %s", r.node(i).NodeID(), q.From, q.Body), nil); err != nil {
					r.Error(err)
				}
			})
			r.node(i).Serve("fail", func(_ context.Context, q *adapter.Question) { _ = q.Reply(nil, errors.New("no")) })
			r.node(i).Serve("silent", func(context.Context, *adapter.Question) {})
			r.node(i).Serve("wait", func(ctx context.Context, q *adapter.Question) {
				<-ctx.Done()
				ended <- string(q.Body)
			})
		}
		nodes, err := r.node(0).Nodes(r.ctx())
		r.must(err)
		if len(nodes) != r.nodes || !slices.Contains(nodes, r.node(0).NodeID()) || len(nodes[0]) != 6 {
			r.Errorf("nodes %q", nodes)
		}
		for _, node := range nodes {
			got, err := r.node(0).Ask(r.ctx(), node, "echo", []byte("x"))
			if want := node + " " + r.node(0).NodeID() + " x"; err != nil || string(got) != want {
				r.Errorf("%q, %v; wanted %q", got, err, want)
			}
			if _, err := r.node(0).Ask(r.ctx(), node, "fail", nil); err == nil {
				r.Error("the handler's error was lost")
			}
			if _, err := r.node(0).Ask(r.ctx(), node, "silent", nil); err == nil {
				r.Error("a handler without a reply")
			}
			if _, err := r.node(0).Ask(r.ctx(), node, "unserved", nil); err == nil {
				r.Error("nobody serves this kind")
			}
			// Time is up, or the asker turns away: the handler hears of both.
			ctx, cancel := context.WithTimeout(r.ctx(), shortly/5)
			if _, err := r.node(0).Ask(ctx, node, "wait", []byte("late")); !errors.Is(err, adapter.ErrNoReply) {
				r.Errorf("a handler that waits: %v", err)
			}
			cancel()
			ctx, cancel = context.WithCancel(r.ctx())
			time.AfterFunc(shortly/5, cancel)
			if _, err := r.node(0).Ask(ctx, node, "wait", []byte("gone")); !errors.Is(err, adapter.ErrNoReply) {
				r.Errorf("an asker that turns away: %v", err)
			}
			for _, want := range []string{"late", "gone"} {
				select {
				case got := <-ended:
					if got != want {
						r.Errorf("handler %q ended, wanted %q", got, want)
					}
				case <-time.After(patience):
					r.Fatalf("the handler of %q still runs", want)
				}
			}
		}
		if _, err := r.node(0).Ask(r.ctx(), "nobody", "echo", nil); !errors.Is(err, adapter.ErrUnknownNode) {
			r.Errorf("unknown node: %v", err)
		}
	}},
}

var recordTests = []test{
	{name: "count", run: func(r *rig) {
		const workers, times = 8, 25
		done := make(chan struct{})
		for i := range workers {
			go func() {
				defer func() { done <- struct{}{} }()
				for range times {
					if _, err := r.node(i).Count(r.ctx(), "k", 2, time.Hour); err != nil {
						r.Error(err)
					}
				}
			}()
		}
		for range workers {
			<-done
		}
		if got, err := r.node(0).Count(r.ctx(), "k", 0, time.Hour); err != nil || got != 2*workers*times {
			r.Errorf("%d, %v", got, err)
		}
		if _, err := r.node(0).Count(r.ctx(), "short", 5, shortly/4); err != nil {
			r.Error(err)
		}
		time.Sleep(shortly)
		if got, err := r.node(0).Count(r.ctx(), "short", 1, time.Hour); err != nil || got != 1 {
			r.Errorf("after its window the counter is at %d, %v", got, err)
		}
	}},
	{name: "expiring records", run: func(r *rig) {
		if _, ok, err := r.node(0).Fetch(r.ctx(), "k"); ok || err != nil {
			r.Error(ok, err)
		}
		value := []byte("v")
		r.must(r.node(0).Put(r.ctx(), "k", value, time.Hour))
		value[0] = 'x' // the adapter has its own
		if got, ok, err := r.node(1).Fetch(r.ctx(), "k"); string(got) != "v" || !ok || err != nil {
			r.Errorf("%q, %v, %v", got, ok, err)
		}
		r.must(r.node(1).Put(r.ctx(), "k", []byte("w"), shortly/4))
		time.Sleep(shortly)
		if _, ok, err := r.node(0).Fetch(r.ctx(), "k"); ok || err != nil {
			r.Error("not expired", err)
		}
		r.must(r.node(0).Put(r.ctx(), "k", nil, time.Hour))
		if got, ok, err := r.node(0).Fetch(r.ctx(), "k"); len(got) != 0 || !ok || err != nil {
			r.Errorf("empty: %q, %v, %v", got, ok, err)
		}
		r.must(r.node(0).Forget(r.ctx(), "k"))
		r.must(r.node(0).Forget(r.ctx(), "k"))
		if _, ok, _ := r.node(0).Fetch(r.ctx(), "k"); ok {
			r.Error("not forgotten")
		}
	}},
}
