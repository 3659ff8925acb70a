package adaptertest

import (
	"fmt"
	"slices"
	"time"

	"github.com/antchat/antchat/adapter"
)

func (r *rig) enter(i int, room, sid, user string) int {
	r.Helper()
	n, err := r.node(i).Enter(r.ctx(), r.ns, room, sid, adapter.Person{User: user, Name: "Name " + user})
	r.must(err)
	return n
}

// told waits until node i was told n changes, and returns them as text.
func (r *rig) told(i, n int) []string {
	r.Helper()
	recv := r.recv[i%r.nodes]
	r.until(fmt.Sprintf("%d presence changes", n), func() bool { return len(recv.changes()) >= n })
	var out []string
	for _, c := range recv.changes() {
		verb := "left"
		if c.Joined {
			verb = "joined"
		}
		out = append(out, fmt.Sprintf("%s %s %s %d", c.Person.User, verb, c.Room, c.Count))
	}
	return out
}

var presenceTests = []test{
	{name: "people", run: func(r *rig) {
		r.add(0, "a") // somebody to be told
		for _, c := range []struct {
			sid, user string
			want      int
		}{{"s1", "bob", 1}, {"s2", "ann", 2}, {"s3", "ann", 2}, {"s1", "bob", 2}, {"s4", "cyd", 3}} {
			if got := r.enter(0, "a", c.sid, c.user); got != c.want {
				r.Errorf("%s %s: %d people, wanted %d", c.sid, c.user, got, c.want)
			}
		}
		r.node(0).Exit(r.ns, "a", "s2", "ann", false) // still there by s3
		r.node(0).Exit(r.ns, "a", "s1", "bob", false)
		r.node(0).Exit(r.ns, "a", "s1", "bob", false) // again
		r.node(0).Exit(r.ns, "b", "s1", "bob", false) // never was
		want := []string{"bob joined a 1", "ann joined a 2", "cyd joined a 3", "bob left a 2"}
		if got := r.told(0, 4); !slices.Equal(got, want) {
			r.Errorf("told %q", got)
		}
		people, total, err := r.node(1).People(r.ctx(), r.ns, "a", "", 10)
		r.must(err)
		if fmt.Sprint(people, total) != "[{ann Name ann} {cyd Name cyd}] 2" {
			r.Errorf("%v %d", people, total)
		}
		people, total, _ = r.node(0).People(r.ctx(), r.ns, "a", "ann", 1)
		if fmt.Sprint(people, total) != "[{cyd Name cyd}] 2" {
			r.Errorf("page: %v %d", people, total)
		}
		if people, total, _ = r.node(0).People(r.ctx(), r.ns, "a", "", 0); len(people) != 0 || total != 2 {
			r.Errorf("limit 0: %v %d", people, total)
		}
		if _, total, err = r.node(0).People(r.ctx(), r.ns, "none", "", 10); total != 0 || err != nil {
			r.Errorf("nobody: %d %v", total, err)
		}
	}},
	{name: "rooms with people", run: func(r *rig) {
		for i, room := range []string{"c", "a", "b", "b"} {
			r.enter(i, room, fmt.Sprint("s", i), fmt.Sprint("u", i))
		}
		got, err := r.node(0).PresentRooms(r.ctx(), r.ns, "", 2)
		r.must(err)
		if fmt.Sprint(got) != "[{a 1} {b 2}]" {
			r.Errorf("%v", got)
		}
		got, _ = r.node(0).PresentRooms(r.ctx(), r.ns, "b", 2)
		if fmt.Sprint(got) != "[{c 1}]" {
			r.Errorf("%v", got)
		}
		r.node(0).Exit(r.ns, "c", "s0", "u0", false)
		r.until("empty room", func() bool {
			got, _ = r.node(0).PresentRooms(r.ctx(), r.ns, "b", 2)
			return len(got) == 0
		})
	}},
	{name: "grace", settings: Settings{Grace: shortly}, run: func(r *rig) {
		r.add(0, "a")
		r.enter(0, "a", "s1", "ann")
		r.enter(0, "a", "s2", "bob")
		// Ann comes back in time, Bob does not.
		r.node(0).Exit(r.ns, "a", "s1", "ann", true)
		r.node(0).Exit(r.ns, "a", "s2", "bob", true)
		if _, total, _ := r.node(0).People(r.ctx(), r.ns, "a", "", 10); total != 2 {
			r.Errorf("%d people within the grace", total)
		}
		r.enter(1, "a", "s3", "ann")
		want := []string{"ann joined a 1", "bob joined a 2", "bob left a 1"}
		if got := r.told(0, 3); !slices.Equal(got, want) {
			r.Errorf("told %q", got)
		}
		time.Sleep(2 * shortly)
		if got := r.told(0, 3); !slices.Equal(got, want) {
			r.Errorf("told %q", got)
		}
		// A deliberate leave within the grace ends it.
		r.node(1).Exit(r.ns, "a", "s3", "ann", true)
		r.node(1).Exit(r.ns, "a", "s3", "ann", false)
		if got := r.told(0, 4); got[3] != "ann left a 0" {
			r.Errorf("told %q", got)
		}
	}},
	{name: "counts under races", run: func(r *rig) {
		r.add(0, "a")
		done := make(chan struct{})
		const people, rounds = 8, 20
		for p := range people {
			go func() {
				defer func() { done <- struct{}{} }()
				for i := range rounds {
					sid, user := fmt.Sprintf("s%d-%d", p, i), fmt.Sprintf("u%d", p)
					if _, err := r.node(p).Enter(r.ctx(), r.ns, "a", sid, adapter.Person{User: user}); err != nil {
						r.Error(err)
					}
					r.node(p).Exit(r.ns, "a", sid, user, false)
				}
			}()
		}
		for range people {
			<-done
		}
		r.until("everybody left", func() bool {
			_, total, err := r.node(0).People(r.ctx(), r.ns, "a", "", 1)
			return err == nil && total == 0
		})
		r.settle()
		count := 0
		for _, c := range r.recv[0].changes() {
			if c.Joined {
				count++
			} else {
				count--
			}
			if c.Count != count {
				r.Fatalf("count %d after a change, %d by the changes", c.Count, count)
			}
		}
	}},
}
