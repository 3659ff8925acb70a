package adaptertest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/antchat/antchat/adapter"
)

// writers append from several goroutines at once, each its own messages one
// after the other, and wait for all answers. each is called with every answer.
func (r *rig) writers(n, times int, room func(w, i int) string, each func(text string, a adapter.Appended)) *sync.WaitGroup {
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			for i := range times {
				text := fmt.Sprintf("%d-%d", w, i)
				got, err := r.node(w).Append(r.ctx(), r.entry(room(w, i), text))
				if err != nil {
					r.Errorf("append %s: %v", text, err)
					return
				}
				if each != nil {
					each(text, got)
				}
			}
		})
	}
	return &wg
}

// dense checks that logged events of a room follow each other without a gap or
// a repeat, from seq first on (any if 0), and returns the last.
func (s *socket) dense(room string, first uint64) uint64 {
	s.r.Helper()
	next := first
	for _, f := range s.got() {
		if f.d == nil || f.d.Room != room {
			continue
		}
		if next != 0 && f.d.Seq != next {
			s.r.Errorf("%s: %d in room %q, %d wanted", s.id, f.d.Seq, room, next)
		}
		next = f.d.Seq + 1
	}
	return max(next, 1) - 1
}

var raceTests = []test{
	{name: "one order for all members", run: func(r *rig) {
		const writers, times = 8, 50
		var members []*socket
		for i := range 6 {
			members = append(members, r.add(i, "a", "b"))
		}
		answers := sync.Map{}
		wg := r.writers(writers, times, func(w, i int) string { return []string{"a", "b"}[(w+i)%2] }, func(text string, a adapter.Appended) {
			answers.Store(text, a)
		})
		// Emits take their places between the messages.
		for i := range 100 {
			r.emit(i, adapter.Class(i%2), "emit", "a")
		}
		wg.Wait()
		r.settle()
		for _, m := range members {
			m.wait(writers*times + 100)
			a, b := m.dense("a", 1), m.dense("b", 1)
			if a+b != writers*times {
				r.Errorf("%s got %d and %d messages of %d", m.id, a, b, writers*times)
			}
			last := map[string]int{}
			for _, f := range m.got() {
				var w, i int
				if f.d.Class != adapter.Logged {
					continue
				}
				if _, err := fmt.Sscanf(text(f.d.Event), "%d-%d", &w, &i); err != nil {
					r.Fatal(err)
				}
				// One writer's messages keep their order within a room.
				k := fmt.Sprint(f.d.Room, w)
				if was, ok := last[k]; ok && i <= was {
					r.Errorf("writer %d: %d after %d", w, i, was)
				}
				last[k] = i
				v, _ := answers.Load(text(f.d.Event))
				if got := v.(adapter.Appended); got.Seq != f.d.Seq || got.Pos != f.d.Pos || got.Epoch != f.d.Epoch {
					r.Errorf("delivered %+v, answered %+v", f.d, got)
				}
			}
		}
	}},
	{name: "retries make no second message", run: func(r *rig) {
		m := r.add(0, "a")
		const messages, retries = 40, 5
		var firsts atomic.Int64
		answers := make([][retries]adapter.Appended, messages)
		var wg sync.WaitGroup
		for i := range messages {
			start := make(chan struct{}) // all tries of a message at once
			for k := range retries {
				wg.Go(func() {
					<-start
					got, err := r.node(k).Append(r.ctx(), r.entry("a", fmt.Sprint(i)))
					if err != nil {
						r.Error(err)
						return
					}
					answers[i][k] = got
					if !got.Duplicate {
						firsts.Add(1)
					}
				})
			}
			close(start)
		}
		wg.Wait()
		r.settle()
		m.wait(messages)
		if last := m.dense("a", 1); last != messages || firsts.Load() != messages {
			r.Errorf("%d delivered, %d first answers, %d messages", last, firsts.Load(), messages)
		}
		for i := range answers {
			for _, got := range answers[i][1:] {
				if w := answers[i][0]; got.Seq != w.Seq || got.Pos != w.Pos || got.Epoch != w.Epoch {
					r.Errorf("message %d: %+v and %+v", i, w, got)
				}
			}
		}
	}},
	{name: "joins meet the live events", run: func(r *rig) {
		const writers, most, joiners, rounds = 4, 3000, 4, 30
		var stop atomic.Bool
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := 0; i < most && !stop.Load(); i++ {
					if _, err := r.node(w).Append(r.ctx(), r.entry("a", fmt.Sprintf("%d-%d", w, i))); err != nil {
						r.Error(err)
						return
					}
				}
			})
		}
		// joined joins with a read and queues the answer: from then on the
		// frames are what was read and what came live.
		joined := func(s *socket) bool {
			s.mu.Lock()
			s.frames = nil
			s.mu.Unlock()
			cut, err := r.node(s.node).Join(r.ctx(), r.ns, s, []string{"a"}, true, &adapter.LogRead{Limit: 20})
			if err != nil {
				r.Error(err)
				return false
			}
			var frames []frame
			for _, d := range cut.Read.Entries {
				frames = append(frames, frame{d: d, pos: d.Position})
			}
			if n := len(frames); n > 0 && (frames[n-1].d.Seq != cut.Read.Head || frames[n-1].d.Pos > cut.Position[frames[n-1].d.Lane]) {
				r.Errorf("read up to %d at %d, the head at the cut %v is %d", frames[n-1].d.Seq, frames[n-1].d.Pos, cut.Position, cut.Read.Head)
			} else if n == 0 && cut.Read.Head != 0 {
				r.Errorf("read nothing of %d", cut.Read.Head)
			}
			s.release(cut.Position, frames...)
			return true
		}
		var joins sync.WaitGroup
		sockets := make([]*socket, joiners)
		for j := range joiners {
			s := r.add(j)
			sockets[j] = s
			joins.Go(func() {
				for range rounds {
					if !joined(s) {
						return
					}
					if err := r.node(j).Leave(r.ctx(), r.ns, s, []string{"a"}); err != nil {
						r.Error(err)
					}
					before := len(s.got())
					s.dense("a", 0)
					// Left: nothing comes any more.
					r.emit(j, adapter.Ephemeral, "probe", s.id)
					if got := s.wait(before + 1); len(got) != before+1 || got[before].d.Room != "" {
						r.Errorf("an event came after Leave had returned")
					}
				}
				joined(s)
			})
		}
		joins.Wait()
		stop.Store(true)
		wg.Wait()
		r.settle()
		head, err := r.node(0).Head(r.ctx(), r.ns, "a")
		r.must(err)
		for _, s := range sockets {
			if last := s.dense("a", 0); last != head.Seq && len(s.got()) > 0 {
				r.Errorf("%s: last is %d of %d", s.id, last, head.Seq)
			}
		}
	}},
	{name: "recovery races with messages", run: func(r *rig) {
		const writers, times, clients, losses = 4, 80, 4, 12
		rooms := []string{"a", "b", "c"}
		var cs []*client
		for i := range clients {
			cs = append(cs, newClient(r, r.addSession(i, rooms...)))
		}
		wg := r.writers(writers, times, func(w, i int) string { return rooms[(w+i)%len(rooms)] }, nil)
		var emits sync.WaitGroup
		emits.Go(func() {
			for i := range writers * times {
				r.emit(i, adapter.Class(i%2), fmt.Sprint("emit", i), rooms[i%len(rooms)])
			}
		})
		var losing sync.WaitGroup
		for i, c := range cs {
			losing.Go(func() {
				for k := range losses {
					c.receive(5 + k) // the rest is lost with the connection
					if k%2 == 0 {
						c.lose()
					}
					if err := c.connect(i + k); err != nil {
						r.Errorf("recovery: %v", err)
						return
					}
				}
			})
		}
		losing.Wait()
		wg.Wait()
		emits.Wait()
		r.settle()
		for _, c := range cs {
			c.drain()
			total := uint64(0)
			for _, room := range rooms {
				total += c.dense(room)
			}
			if total != writers*times {
				r.Errorf("%s: %d of %d messages", c.s.id, total, writers*times)
			}
			seen := map[string]int{}
			for _, f := range c.seen {
				if f.d.Class == adapter.Recoverable {
					seen[text(f.d.Event)]++
				}
			}
			for i := 1; i < writers*times; i += 2 {
				if n := seen[fmt.Sprint("emit", i)]; n != 1 {
					r.Errorf("%s: recoverable emit %d came %d times", c.s.id, i, n)
				}
			}
			c.ordered()
		}
	}},
	{name: "fences race with messages", run: func(r *rig) {
		// A session hops from connection to connection while each appends:
		// with keys, every message is there once, whoever was fenced.
		m := r.add(0, "a")
		s := r.addSession(0, "a")
		const hops = 15
		var wg sync.WaitGroup
		for h := range hops {
			owner := s.owner
			wg.Go(func() {
				for k := range 3 {
					e := r.entry("a", fmt.Sprintf("%d-%d", h, k))
					e.Owner = owner
					if _, err := r.node(h).Append(r.ctx(), e); err != nil {
						e.Owner = nil // the client sends it again by a newer connection
						if _, err := r.node(h+1).Append(r.ctx(), e); err != nil {
							r.Error(err)
						}
					}
				}
			})
			n, err := r.resume(h+1, s, nil)
			r.must(err)
			s = n
		}
		wg.Wait()
		r.settle()
		m.wait(hops * 3)
		if last := m.dense("a", 1); last != hops*3 {
			r.Errorf("%d messages of %d", last, hops*3)
		}
		if s.isFenced() {
			r.Error("the last owner was fenced")
		}
	}},
}
