package adaptertest

import (
	"errors"
	"fmt"
	"time"

	"github.com/antchat/antchat/adapter"
)

// shortly is a time that the suite sleeps or lets pass away.
const shortly = 250 * time.Millisecond

func u(v uint64) *uint64 { return &v }

// read reads, and checks what holds of every slice.
func (r *rig) read(i int, room string, q adapter.LogRead) *adapter.LogSlice {
	r.Helper()
	s, err := r.node(i).Read(r.ctx(), r.ns, room, q)
	r.must(err)
	for j, d := range s.Entries {
		if d.Room != room || d.Namespace != r.ns || d.Class != adapter.Logged || d.Pos == 0 || d.Seq > s.Head {
			r.Errorf("entry %+v", d)
		}
		if j > 0 && (d.Seq <= s.Entries[j-1].Seq || d.Pos <= s.Entries[j-1].Pos || d.Time.Before(s.Entries[j-1].Time)) {
			r.Errorf("entry %d at %d after %d at %d", d.Seq, d.Pos, s.Entries[j-1].Seq, s.Entries[j-1].Pos)
		}
	}
	return s
}

func seqs(s *adapter.LogSlice) string {
	out := ""
	for _, d := range s.Entries {
		out += fmt.Sprintf("%d ", d.Seq)
	}
	if s.More {
		out += "more "
	}
	if s.Gap != nil {
		out += fmt.Sprintf("gap %d-%d", s.Gap.From, s.Gap.To)
	}
	return out
}

var logTests = []test{
	{name: "append", run: func(r *rig) {
		s := r.add(1, "a")
		owned := r.addSession(0)
		before := time.Now().Add(-time.Hour)
		e := r.entry("a", "1")
		e.Owner = owned.owner
		one, err := r.node(0).Append(r.ctx(), e)
		r.must(err)
		two := r.append(1, "a", "2")
		if one.Seq != 1 || two.Seq != 2 || one.Epoch == "" || one.Epoch != two.Epoch || one.Pos == 0 || two.Pos <= one.Pos || one.Lane != two.Lane || one.Duplicate || one.Time.Before(before) {
			r.Errorf("%+v, %+v", one, two)
		}
		s.wants("1", "2")
		for i, f := range s.got() {
			a, d := []adapter.Appended{one, two}[i], f.d
			if d.Class != adapter.Logged || d.Room != "a" || d.Epoch != a.Epoch || d.Seq != a.Seq || d.Pos != a.Pos || d.Lane != a.Lane || !d.Time.Equal(a.Time) ||
				d.Sender != "sender" || d.User != "ann" || d.ID != text(d.Event) || d.Position[d.Lane] != a.Pos {
				r.Errorf("delivered %+v, answered %+v", d, a)
			}
		}
		// The sender is not left out: that is the Receiver's to decide.
		e = r.entry("a", "3")
		e.Sender = s.id
		_, err = r.node(1).Append(r.ctx(), e)
		r.must(err)
		s.wants("1", "2", "3")
	}},
	{name: "rooms count for themselves", run: func(r *rig) {
		a, b := r.append(0, "a", "1"), r.append(0, "b", "1")
		if a.Seq != 1 || b.Seq != 1 || b.Duplicate || a.Epoch == b.Epoch {
			r.Errorf("%+v, %+v", a, b)
		}
		other := r.entry("a", "1")
		other.Namespace = "/other"
		got, err := r.node(0).Append(r.ctx(), other)
		r.must(err)
		if got.Seq != 1 || got.Duplicate {
			r.Errorf("other namespace: %+v", got)
		}
	}},
	{name: "dedupe", run: func(r *rig) {
		s := r.add(0, "a")
		first := r.append(0, "a", "1")
		r.append(0, "a", "2")
		for i := range r.nodes {
			again := r.append(i, "a", "1")
			want := first
			want.Duplicate = true
			if again.Time.Equal(want.Time) {
				again.Time = want.Time
			}
			if again != want {
				r.Errorf("first %+v, again %+v", first, again)
			}
		}
		conflict := r.entry("a", "1")
		conflict.Digest = [16]byte{2}
		if _, err := r.node(0).Append(r.ctx(), conflict); !errors.Is(err, adapter.ErrConflict) {
			r.Errorf("conflict: %v", err)
		}
		for range 2 { // no key, no dedupe
			free := r.entry("a", "free")
			free.Key = ""
			_, err := r.node(0).Append(r.ctx(), free)
			r.must(err)
		}
		s.wants("1", "2", "free", "free")
	}},
	{name: "keys are forgotten", settings: Settings{DedupeWindow: shortly}, run: func(r *rig) {
		first := r.append(0, "a", "1")
		time.Sleep(2*shortly + shortly/2)
		if again := r.append(0, "a", "1"); again.Duplicate || again.Seq != first.Seq+1 {
			r.Errorf("%+v", again)
		}
	}},
	{name: "fenced append", run: func(r *rig) {
		s := r.addSession(0, "a")
		_, _, err := r.node(1).Claim(r.ctx(), r.ns, s.owner.PID)
		r.must(err)
		e := r.entry("a", "1")
		e.Owner = s.owner
		if _, err := r.node(0).Append(r.ctx(), e); !errors.Is(err, adapter.ErrFenced) {
			r.Errorf("append: %v", err)
		}
		if h, err := r.node(0).Head(r.ctx(), r.ns, "a"); err != nil || h.Seq != 0 {
			r.Errorf("head %+v, %v", h, err)
		}
	}},
	{name: "read", run: func(r *rig) {
		if s := r.read(0, "never", adapter.LogRead{Limit: 5}); s.Epoch != "" || s.Head != 0 || seqs(s) != "" {
			r.Errorf("never written: %+v", s)
		}
		var epoch string
		for i := range 10 {
			epoch = r.append(i, "a", fmt.Sprint(i+1)).Epoch
		}
		for _, c := range []struct {
			q    adapter.LogRead
			want string
		}{
			{adapter.LogRead{Limit: 3}, "8 9 10 more "},
			{adapter.LogRead{Limit: 10}, "1 2 3 4 5 6 7 8 9 10 "},
			{adapter.LogRead{Limit: 0}, "10 more "},
			{adapter.LogRead{Limit: 3, Before: 8}, "5 6 7 more "},
			{adapter.LogRead{Limit: 3, Before: 3, Epoch: epoch}, "1 2 "},
			{adapter.LogRead{Limit: 3, Before: 1}, ""},
			{adapter.LogRead{Limit: 3, Before: 99}, "8 9 10 more "},
			{adapter.LogRead{Limit: 3, After: u(0)}, "1 2 3 more "},
			{adapter.LogRead{Limit: 3, After: u(7), Epoch: epoch}, "8 9 10 "},
			{adapter.LogRead{Limit: 3, After: u(10)}, ""},
			{adapter.LogRead{Limit: 3, After: u(12)}, "gap 11-12"},
		} {
			for i := range r.nodes {
				s := r.read(i, "a", c.q)
				if got := seqs(s); got != c.want || s.Head != 10 || s.Epoch != epoch {
					r.Errorf("%+v: %q of %d in %q, wanted %q", c.q, got, s.Head, s.Epoch, c.want)
				}
			}
		}
		// An epoch that is not the room's: all of it is lost, however far it
		// went.
		s := r.read(0, "a", adapter.LogRead{Limit: 3, After: u(4), Epoch: "gone"})
		if s.Gap == nil || s.Gap.From > 5 || s.Gap.To < 5 || s.Gap.Epoch != "gone" || s.Gap.Room != "a" || len(s.Entries) != 3 || s.Entries[0].Seq != 1 {
			r.Errorf("foreign epoch, after: %s %+v", seqs(s), s.Gap)
		}
		s = r.read(0, "a", adapter.LogRead{Limit: 3, Before: 4, Epoch: "gone"})
		if s.Gap == nil || s.Gap.From != 1 || s.Gap.To != 3 || len(s.Entries) != 0 {
			r.Errorf("foreign epoch, before: %s", seqs(s))
		}
	}},
	{name: "trim by count", settings: Settings{LogMax: 10}, run: func(r *rig) {
		for i := range 50 {
			r.append(0, "a", fmt.Sprint(i+1))
		}
		s := r.read(0, "a", adapter.LogRead{Limit: 1000})
		if n := len(s.Entries); n < 10 || n > 20 || s.More || s.Entries[n-1].Seq != 50 {
			r.Errorf("%d entries of at most 10: %s", n, seqs(s))
		}
		first := s.Entries[0].Seq
		s = r.read(0, "a", adapter.LogRead{Limit: 1000, After: u(5)})
		if s.Gap == nil || s.Gap.From != 6 || s.Gap.To != first-1 || s.Gap.Epoch != s.Epoch || s.Entries[0].Seq != first {
			r.Errorf("read over the trimmed part: %s", seqs(s))
		}
		// A trimmed entry's key is known all the same.
		if again := r.append(0, "a", "1"); !again.Duplicate || again.Seq != 1 {
			r.Errorf("retry of a trimmed entry: %+v", again)
		}
	}},
	{name: "heads and rooms", run: func(r *rig) {
		names := []string{"a", "b", "c", "한국어", ""}
		for i, name := range names {
			for range i + 1 {
				e := r.entry(name, "x")
				e.Key = ""
				_, err := r.node(i).Append(r.ctx(), e)
				r.must(err)
			}
		}
		if h, err := r.node(0).Head(r.ctx(), r.ns, "c"); err != nil || h.Seq != 3 || h.Epoch == "" || h.Room != "c" {
			r.Errorf("head %+v, %v", h, err)
		}
		if h, err := r.node(0).Head(r.ctx(), r.ns, "none"); err != nil || h.Seq != 0 || h.Epoch != "" {
			r.Errorf("head of nothing %+v, %v", h, err)
		}
		var got []string
		after := ""
		for {
			page, err := r.node(0).LogRooms(r.ctx(), r.ns, after, 2)
			r.must(err)
			for _, h := range page {
				got = append(got, fmt.Sprint(h.Room, h.Seq))
			}
			if len(page) < 2 {
				break
			}
			after = page[len(page)-1].Room
		}
		if fmt.Sprint(got) != "[5 a1 b2 c3 한국어4]" {
			r.Errorf("rooms %q", got)
		}
		if page, err := r.node(0).LogRooms(r.ctx(), "/other", "", 10); err != nil || len(page) != 0 {
			r.Errorf("rooms of another namespace: %v, %v", page, err)
		}
	}},
	{name: "log survives a restart", needs: restarts, run: func(r *rig) {
		first := r.append(0, "a", "1")
		r.restart(0)
		if again := r.append(0, "a", "1"); !again.Duplicate || again.Seq != 1 || again.Epoch != first.Epoch {
			r.Errorf("%+v", again)
		}
		second := r.append(0, "a", "2")
		if second.Seq != 2 || second.Epoch != first.Epoch || second.Pos <= first.Pos {
			r.Errorf("%+v", second)
		}
		if s := r.read(0, "a", adapter.LogRead{Limit: 5}); seqs(s) != "1 2 " || text(s.Entries[0].Event) != "1" {
			r.Errorf("%s", seqs(s))
		}
	}},
	{name: "closed", needs: restarts, run: func(r *rig) {
		old := r.node(0)
		r.restart(0)
		if _, err := old.Append(r.ctx(), r.entry("a", "1")); !errors.Is(err, adapter.ErrClosed) {
			r.Errorf("append: %v", err)
		}
		if err := old.Emit(r.ctx(), adapter.Emit{Target: to(r.ns)}); !errors.Is(err, adapter.ErrClosed) {
			r.Errorf("emit: %v", err)
		}
		if old.Status().Ready || !r.node(0).Status().Ready {
			r.Error("the status is wrong")
		}
		old.Remove(r.ns, newSocket(r, 0, "x"))
		old.Exit(r.ns, "a", "x", "x", true)
		old.Gone(adapter.Owner{})
		old.End(adapter.Owner{})
		r.must(old.Close(r.ctx())) // again
	}},
}

func (r *rig) restart(i int) {
	r.Helper()
	r.fleet.(Restarter).Restart(r.T, i)
	r.open(i)
}
