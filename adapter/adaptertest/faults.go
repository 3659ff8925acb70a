package adaptertest

import (
	"errors"
	"fmt"
	"time"

	"github.com/antchat/antchat/adapter"
)

// faultTests are for fleets that can be disturbed or killed.
var faultTests = []test{
	{name: "delay", needs: faulty, run: func(r *rig) {
		m := r.add(0, "a")
		f := r.fleet.(Faults)
		for i := range r.nodes {
			f.Delay(r.T, i, time.Duration(i+1)*5*time.Millisecond)
		}
		wg := r.writers(4, 10, func(int, int) string { return "a" }, nil)
		late := r.add(1)
		cut, err := r.node(1).Join(r.ctx(), r.ns, late, []string{"a"}, true, &adapter.LogRead{Limit: 1000})
		r.must(err)
		var frames []frame
		for _, d := range cut.Read.Entries {
			frames = append(frames, frame{d: d, pos: d.Position})
		}
		late.release(cut.Position, frames...)
		wg.Wait()
		for i := range r.nodes {
			f.Delay(r.T, i, 0)
		}
		for _, s := range []*socket{m, late} {
			s.wait(40)
			if last := s.dense("a", 1); last != 40 {
				r.Errorf("%s: %d of 40 messages", s.id, last)
			}
		}
	}},
	{name: "duplicate replies", needs: faulty, run: func(r *rig) {
		m := r.add(0, "a")
		f := r.fleet.(Faults)
		for i := range r.nodes {
			f.DuplicateReplies(r.T, i, true)
		}
		r.writers(4, 10, func(int, int) string { return "a" }, nil).Wait()
		for i := range r.nodes {
			f.DuplicateReplies(r.T, i, false)
		}
		r.settle()
		m.wait(40)
		if last := m.dense("a", 1); last != 40 {
			r.Errorf("%d messages, 40 were sent", last)
		}
	}},
	{name: "link loss", needs: faulty, run: func(r *rig) {
		f := r.fleet.(Faults)
		var members []*socket
		for i := range r.nodes {
			members = append(members, r.add(i, "a", "b"))
		}
		wg := r.writers(4, 25, func(w, i int) string { return []string{"a", "b"}[(w+i)%2] }, nil)
		for i := range 2 * r.nodes {
			f.CutLink(r.T, i%r.nodes)
			time.Sleep(shortly / 10)
		}
		wg.Wait()
		for _, m := range members {
			m.wait(100)
			if a, b := m.dense("a", 1), m.dense("b", 1); a+b != 100 {
				r.Errorf("%s: %d and %d of 100 messages", m.id, a, b)
			}
		}
	}},
	{name: "killed node", needs: kills, run: func(r *rig) {
		s := r.addSession(0, "a")
		var want []string
		for i := range 20 {
			r.append(0, "a", fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
		}
		s.wait(5)
		offset := s.got()[4].pos
		r.fleet.(Killer).Kill(r.T, 0)
		r.open(0)
		n, err := r.resume(1, s, &offset)
		r.must(err)
		n.wait(16)
		n.wantsAfterAccept(want[5:])
		stale := r.entry("a", "late")
		stale.Owner = s.owner
		if _, err := r.node(1).Append(r.ctx(), stale); !errors.Is(err, adapter.ErrFenced) {
			r.Errorf("append with the dead connection's token: %v", err)
		}
	}},
}

func (s *socket) wantsAfterAccept(want []string) {
	s.r.Helper()
	if got := texts(s.got()); fmt.Sprint(got) != fmt.Sprint(want) {
		s.r.Errorf("%s got %q, wanted %q", s.id, got, want)
	}
}
