package adaptertest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/antchat/antchat/adapter"
)

// claim claims a socket's session from node i and makes a new socket of it.
func (r *rig) claim(i int, old *socket) *socket {
	r.Helper()
	rec, o, err := r.node(i).Claim(r.ctx(), r.ns, old.owner.PID)
	r.must(err)
	s := newSocket(r, i%r.nodes, rec.SID)
	s.owner = &o
	return s
}

// resume claims and resumes, and gives the new socket what it missed.
func (r *rig) resume(i int, old *socket, offset *adapter.Position) (*socket, error) {
	r.Helper()
	s := r.claim(i, old)
	replay, err := r.node(i).Resume(r.ctx(), r.ns, s, *s.owner, offset)
	if err != nil {
		return s, err
	}
	frames := []frame{{ack: "accept"}}
	for _, d := range replay.Missed {
		frames = append(frames, frame{d: d, pos: d.Position})
	}
	s.release(replay.Position, frames...)
	return s, nil
}

var sessionTests = []test{
	{name: "lend", run: func(r *rig) {
		s := r.add(0, "a", "b")
		r.append(0, "a", "1")
		s.wait(1)
		at := s.got()[0].pos
		for i, room := range []string{"a", "b", "c", "a"} {
			r.append(0, room, fmt.Sprint(i+2))
		}
		rec := adapter.Session{PID: "pid-lent", SID: s.id, Namespace: r.ns, User: "ann", Data: []byte(`{"n":2}`), Rooms: []string{"a", "b"}}
		r.must(r.node(0).Lend(r.ctx(), rec, at))
		if err := r.node(1).Lend(r.ctx(), rec, at); !errors.Is(err, adapter.ErrConflict) && r.nodes > 1 {
			r.Errorf("lent twice: %v", err)
		}
		r.node(0).Remove(r.ns, s)
		s.owner = &adapter.Owner{PID: rec.PID}
		n, err := r.resume(1, s, &at)
		r.must(err)
		r.append(0, "b", "live")
		n.wait(5) // with the accept
		got := texts(n.got())
		slices.Sort(got) // lanes have no common order
		if fmt.Sprint(got) != "[2 3 5 live]" {
			r.Errorf("after its move the socket got %q", got)
		}
	}},
	{name: "claim", run: func(r *rig) {
		s := r.addSession(0, "a", "b")
		r.must(r.node(0).Save(r.ctx(), *s.owner, []byte(`{"n":2}`)))
		r.must(r.node(0).Leave(r.ctx(), r.ns, s, []string{"a"}))
		r.node(0).Gone(*s.owner)
		rec, o, err := r.node(1).Claim(r.ctx(), r.ns, s.owner.PID)
		r.must(err)
		slices.Sort(rec.Rooms)
		want := adapter.Session{PID: s.owner.PID, SID: s.id, Namespace: r.ns, User: "user-" + s.id, Data: []byte(`{"n":2}`), Rooms: []string{"b"}}
		if fmt.Sprint(rec) != fmt.Sprint(want) || o.PID != s.owner.PID || o.Token <= s.owner.Token {
			r.Errorf("%+v, %+v", rec, o)
		}
	}},
	{name: "claim refused", run: func(r *rig) {
		s := r.addSession(0)
		if _, _, err := r.node(0).Claim(r.ctx(), r.ns, "never"); !errors.Is(err, adapter.ErrUnrecoverable) {
			r.Errorf("unknown: %v", err)
		}
		if _, _, err := r.node(0).Claim(r.ctx(), "/other", s.owner.PID); !errors.Is(err, adapter.ErrUnrecoverable) {
			r.Errorf("other namespace: %v", err)
		}
		if s.isFenced() {
			r.Error("a refused claim fenced the owner")
		}
		r.node(0).End(*s.owner)
		r.until("end", func() bool {
			_, _, err := r.node(0).Claim(r.ctx(), r.ns, s.owner.PID)
			return errors.Is(err, adapter.ErrUnrecoverable)
		})
	}},
	{name: "window", settings: Settings{Window: shortly}, run: func(r *rig) {
		lost, there := r.addSession(0), r.addSession(0)
		r.node(0).Gone(*lost.owner)
		time.Sleep(2 * shortly)
		if _, _, err := r.node(0).Claim(r.ctx(), r.ns, lost.owner.PID); !errors.Is(err, adapter.ErrUnrecoverable) {
			r.Errorf("after the window: %v", err)
		}
		if _, _, err := r.node(0).Claim(r.ctx(), r.ns, there.owner.PID); err != nil {
			r.Errorf("still connected: %v", err)
		}
	}},
	{name: "fence", run: func(r *rig) {
		s := r.addSession(0, "a")
		n := r.claim(1, s)
		r.until("fence", s.isFenced)
		old := r.node(0)
		if _, err := old.Join(r.ctx(), r.ns, s, []string{"b"}, false, nil); !errors.Is(err, adapter.ErrFenced) && !errors.Is(err, adapter.ErrUnknownSocket) {
			r.Errorf("join: %v", err)
		}
		if err := old.Save(r.ctx(), *s.owner, nil); !errors.Is(err, adapter.ErrFenced) {
			r.Errorf("save: %v", err)
		}
		if _, err := old.Resume(r.ctx(), r.ns, newSocket(r, 0, s.id), *s.owner, nil); !errors.Is(err, adapter.ErrFenced) {
			r.Errorf("resume: %v", err)
		}
		old.Gone(*s.owner) // ignored
		old.End(*s.owner)
		old.Remove(r.ns, s)
		r.settle()
		_, err := r.node(1).Resume(r.ctx(), r.ns, n, *n.owner, nil)
		r.must(err)
		// The old connection's late removal does not take the new one out.
		old.Remove(r.ns, s)
		n.release(adapter.Position{})
		r.emit(0, adapter.Ephemeral, "1", "a")
		n.wants("1")
	}},
	{name: "racing claims leave one owner", run: func(r *rig) {
		s := r.addSession(0, "a")
		type claimed struct {
			s   *socket
			err error
		}
		ch := make(chan claimed)
		const racers = 8
		for i := range racers {
			go func() {
				node := r.node(i)
				rec, o, err := node.Claim(r.ctx(), r.ns, s.owner.PID)
				if err != nil {
					ch <- claimed{nil, err}
					return
				}
				n := newSocket(r, i%r.nodes, rec.SID)
				n.owner = &o
				replay, err := node.Resume(r.ctx(), r.ns, n, o, nil)
				if err == nil {
					n.release(replay.Position)
				}
				ch <- claimed{n, err}
			}()
		}
		var won []*socket
		for range racers {
			c := <-ch
			if c.err == nil {
				won = append(won, c.s)
			} else if !errors.Is(c.err, adapter.ErrFenced) {
				r.Errorf("claim: %v", c.err)
			}
		}
		r.append(0, "a", "1")
		r.settle()
		alive := 0
		for _, n := range won {
			if !n.isFenced() {
				alive++
				n.wants("1")
			}
		}
		if alive != 1 {
			r.Errorf("%d of %d resumed connections are alive", alive, len(won))
		}
	}},
	{name: "resume", run: func(r *rig) {
		r.emit(0, adapter.Recoverable, "before its time")
		s := r.addSession(0, "a", "b", "") // no name is special
		r.join(s, s.id)                    // nor does joining itself change anything
		other := r.addSession(1, "c")
		r.append(0, "a", "1")
		s.wait(1) // two rooms may be in two lanes, which have no order between them
		r.append(0, "b", "2")
		r.emit(1, adapter.Recoverable, "3", "a")
		r.settle()
		s.wait(3)
		offset := s.got()[0].pos
		r.node(0).Gone(*s.owner)
		r.node(0).Remove(r.ns, s)
		r.append(0, "b", "4")
		r.emit(0, adapter.Recoverable, "5", "b", "c")
		r.emit(0, adapter.Ephemeral, "6", "a")
		r.emit(0, adapter.Recoverable, "7") // everybody
		r.emit(0, adapter.Recoverable, "8", s.id)
		r.append(0, "c", "9") // not its room
		r.must(r.node(0).Emit(r.ctx(), adapter.Emit{
			Target: adapter.Target{Namespace: r.ns, Rooms: []string{"a"}, Except: []string{s.id}},
			Event:  event("emit", "not you"), Class: adapter.Recoverable,
		}))
		n, err := r.resume(1, s, &offset)
		r.must(err)
		r.append(0, "a", "10")
		r.settle()
		got := texts(n.wait(8))
		if r.node(0).Lanes() > 1 {
			slices.Sort(got)
			slices.SortFunc(got, func(a, b string) int { return len(a) - len(b) })
		}
		if want := []string{"2", "3", "4", "5", "7", "8", "10"}; !slices.Equal(got, want) {
			r.Errorf("resumed with %q, wanted %q", got, want)
		}
		var last adapter.Position
		for _, f := range n.got()[1:] {
			if f.pos.Max(last) != f.pos {
				r.Errorf("offset %v after %v", f.pos, last)
			}
			last = f.pos
		}
		if got := r.node(1).Rooms(r.ns, n.id); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"", "a", "b"}) {
			r.Errorf("rooms after the resumption: %q", got)
		}
		// Without an offset everything since the joins was missed.
		n2, err := r.resume(0, n, nil)
		r.must(err)
		if got := texts(n2.wait(9)); !slices.Contains(got, "1") || !slices.Contains(got, "10") || slices.Contains(got, "9") || slices.Contains(got, "before its time") {
			r.Errorf("resumed without offset: %q", got)
		}
		_ = other
	}},
	{name: "offset of the future", run: func(r *rig) {
		s := r.addSession(0, "a")
		got := r.append(0, "a", "1")
		var offset adapter.Position
		offset[got.Lane] = got.Pos + 1<<40
		if _, err := r.resume(0, s, &offset); !errors.Is(err, adapter.ErrUnrecoverable) {
			r.Errorf("%v", err)
		}
	}},
	{name: "trimmed beyond proof", settings: Settings{LogMax: 10}, run: func(r *rig) {
		s := r.addSession(0, "a")
		fresh := r.addSession(0, "a")
		for i := range 50 {
			r.append(0, "a", fmt.Sprint(i))
		}
		s.wait(50)
		early, late := s.got()[0].pos, s.got()[48].pos
		if _, err := r.resume(0, s, &early); !errors.Is(err, adapter.ErrUnrecoverable) {
			r.Errorf("trimmed: %v", err)
		}
		n, err := r.resume(0, fresh, &late)
		r.must(err)
		n.wait(2)
		if got := texts(n.got()); !slices.Equal(got, []string{"49"}) {
			r.Errorf("%q", got)
		}
	}},
	{name: "recoverable beyond proof", settings: Settings{RecoverableMax: 10},
		needs: func(f Factory, _ Fleet) bool { return f.CountsRecoverable },
		run: func(r *rig) {
			s, quiet := r.addSession(0, "a"), r.addSession(0, "b")
			r.emit(0, adapter.Recoverable, "first", "b")
			for i := range 50 {
				r.emit(0, adapter.Recoverable, fmt.Sprint(i), "a")
			}
			s.wait(50)
			offset := s.got()[0].pos
			if _, err := r.resume(0, s, &offset); !errors.Is(err, adapter.ErrUnrecoverable) {
				r.Errorf("trimmed: %v", err)
			}
			n, err := r.resume(0, quiet, nil)
			r.must(err)
			n.wait(2)
			if got := texts(n.got()); !slices.Equal(got, []string{"first"}) {
				r.Errorf("%q", got)
			}
		}},
	{name: "sessions survive a restart", needs: restarts, run: func(r *rig) {
		s := r.addSession(0, "a")
		r.append(0, "a", "1")
		r.emit(0, adapter.Recoverable, "2", "a")
		r.append(0, "a", "3")
		s.wait(3)
		offset := s.got()[0].pos
		r.restart(0)
		after := r.append(0, "a", "4")
		n, err := r.resume(0, s, &offset)
		r.must(err)
		n.wait(4)
		if got := texts(n.got()); !slices.Equal(got, []string{"2", "3", "4"}) {
			r.Errorf("%q", got)
		}
		if got := n.got()[3].pos; got[after.Lane] < after.Pos {
			r.Errorf("offset %v after %d", got, after.Pos)
		}
	}},
}
