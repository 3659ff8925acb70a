package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// story builds a finished world by hand: one room, a writer, and a member who
// watched.
type story struct {
	w     *world
	log   []entry
	watch *member
	view  *view
}

const storyRoom = "방"

func newStory() *story {
	l := newLedger()
	s := &story{w: &world{ledger: l, rooms: []string{storyRoom}}}
	s.watch = newMember(context.Background(), "w", "since", []string{storyRoom}, false, l)
	s.watch.up = true
	s.view = s.watch.views[storyRoom]
	s.view.began, s.view.state, s.view.from = true, in, place{"A", 0}
	s.view.cursor = s.view.from
	s.w.members = []*member{s.watch}
	return s
}

func message(epoch string, seq uint64, n int) entry {
	id := fmt.Sprintf("a-%d", n)
	return entry{place{epoch, seq}, id, textOf(id)}
}

func (s *story) acked(e ...entry) {
	for _, e := range e {
		s.w.ledger.ack(storyRoom, e, 0)
	}
}

func (s *story) stored(e ...entry) { s.log = append(s.log, e...) }

func (s *story) shown(e ...entry) {
	for _, e := range e {
		s.watch.show(s.view, e, true)
	}
}

func (s *story) told(epoch string, from, to uint64) {
	s.view.lost(span{epoch: epoch, from: from, to: to})
}

// TestJudge: each broken promise is seen, and none where none is broken.
func TestJudge(t *testing.T) {
	one, two, three := message("A", 1, 1), message("A", 2, 2), message("A", 3, 3)
	forked := message("B", 2, 9)
	tests := []struct {
		name    string
		mayLose bool
		happens func(*story)
		want    string // the figures that are not 0, in the order of figuresText
		kept    bool
	}{
		{"all is well", false, func(s *story) {
			s.acked(one, two)
			s.stored(one, two)
			s.shown(one, two)
		}, "", true},
		{"an acknowledged message is gone", false, func(s *story) {
			s.acked(one, two)
			s.stored(one)
			s.shown(one)
		}, "lost 1 untold 1", false},
		{"gone, shown, not told", true, func(s *story) {
			s.acked(one, two)
			s.stored(one)
			s.shown(one, two)
		}, "lost 1 untold 1", false},
		{"gone and told", true, func(s *story) {
			s.acked(one, two)
			s.stored(one, forked)
			s.shown(one, two)
			s.told("A", 2, 2)
			s.shown(forked)
		}, "lost 1 told 1", true},
		{"gone and told, where nothing may be lost", false, func(s *story) {
			s.acked(one, two)
			s.stored(one)
			s.shown(one, two)
			s.told("A", 2, 2)
		}, "lost 1 told 1", false},
		{"gone beyond what was shown, and told that the epoch ended", true, func(s *story) {
			s.acked(one, two, three)
			s.stored(one, forked)
			s.shown(one, two)
			s.told("A", 2, 2)
			s.shown(forked)
		}, "lost 2 told 1", true},
		{"an epoch came and went unseen, and the one before was called gone", true, func(s *story) {
			s.acked(one, two, message("B", 1, 5), message("C", 1, 6))
			s.stored(message("C", 1, 6))
			s.shown(one, two)
			s.told("A", 1, 2)
			s.shown(message("C", 1, 6))
		}, "lost 3 told 1", true},
		{"an epoch came and went unseen without a word", true, func(s *story) {
			s.acked(one, message("B", 2, 5), message("C", 2, 6))
			s.stored(one, message("C", 2, 6))
			s.shown(one, message("C", 2, 6))
		}, "lost 1 untold 1", false},
		{"called gone in the epoch that had inherited it", true, func(s *story) {
			s.acked(one, forked, message("C", 1, 6))
			s.stored(message("C", 1, 6))
			s.shown(one, forked)
			s.told("B", 1, 2)
			s.shown(message("C", 1, 6))
		}, "lost 2 told 1", true},
		{"told of another range", true, func(s *story) {
			s.acked(one, two, three)
			s.stored(one, two)
			s.shown(one, two, three)
			s.told("A", 1, 1)
		}, "lost 1 untold 1 told 1 false 1", false},
		{"a message of an old epoch was never acknowledged, but shown, and is gone", true, func(s *story) {
			s.acked(one)
			s.stored(one, forked)
			s.shown(one, two, forked)
		}, "untold 1", false},
		{"never shown", false, func(s *story) {
			s.acked(one, two, three)
			s.stored(one, two, three)
			s.shown(one, three)
		}, "missed 1 unrecovered 1", false},
		{"the last one never shown", false, func(s *story) {
			s.acked(one, two)
			s.stored(one, two)
			s.shown(one)
		}, "missed 1 unrecovered 1", false},
		{"shown twice", false, func(s *story) {
			s.acked(one, two)
			s.stored(one, two)
			s.shown(one, two, one)
		}, "repeated 1", false},
		{"stored twice", false, func(s *story) {
			again := message("A", 3, 1)
			s.acked(one, two)
			s.stored(one, two, again)
			s.shown(one, two, again)
		}, "repeated 1", false},
		{"acknowledged as two", false, func(s *story) {
			s.acked(one, message("A", 2, 1))
			s.stored(one)
			s.shown(one)
		}, "repeated 1", false},
		{"shown in another order", false, func(s *story) {
			s.acked(one, two)
			s.stored(one, two)
			s.shown(two, one)
		}, "reordered 2", false},
		{"epochs in another order than the log's", false, func(s *story) {
			s.acked(one, forked)
			s.stored(one, forked)
			s.shown(forked, one)
		}, "reordered 1", false},
		{"stored in another order than its sender wrote", false, func(s *story) {
			s.acked(two, one)
			s.stored(one, two)
			s.shown(one, two)
		}, "reordered 1", false},
		{"two messages in one place", false, func(s *story) {
			s.acked(one, message("A", 1, 2))
			s.stored(one)
			s.shown(one)
		}, "lost 1", false},
		{"another text", false, func(s *story) {
			s.acked(one)
			s.stored(one)
			s.shown(entry{one.place, one.ID, "no"})
		}, "", false},
		{"before it came", true, func(s *story) {
			s.view.from = two.place
			s.acked(one, two, three)
			s.stored(three)
			s.shown(three)
		}, "lost 2", true},
		{"its own message need not come back", false, func(s *story) {
			own := entry{place{"A", 1}, "w-1", textOf("w-1")}
			s.acked(own, two)
			s.stored(own, two)
			s.shown(two)
		}, "", true},
		{"its own message comes back once after it became another socket", false, func(s *story) {
			own := entry{place{"A", 1}, "w-1", textOf("w-1")}
			s.watch.sentBy["w-1"], s.watch.sessions = 1, 2
			s.acked(own)
			s.stored(own)
			s.shown(own)
		}, "", true},
		{"its own message comes back to the socket that sent it", false, func(s *story) {
			own := entry{place{"A", 1}, "w-1", textOf("w-1")}
			s.watch.sentBy["w-1"], s.watch.sessions = 1, 1
			s.acked(own)
			s.stored(own)
			s.shown(own)
		}, "repeated 1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory()
			tt.happens(s)
			log := &roomLog{entries: s.log, index: make(map[place]int)}
			for i, e := range s.log {
				log.index[e.place] = i
			}
			f := &figures{}
			s.w.judge(map[string]*roomLog{storyRoom: log}, f)
			if got := figuresText(f); got != tt.want {
				t.Errorf("figures %q, want %q: %v", got, tt.want, f.Broken)
			}
			if got := f.kept(tt.mayLose); got != tt.kept {
				t.Errorf("kept %v, want %v: %v", got, tt.kept, f.Broken)
			}
		})
	}
}

func figuresText(f *figures) string {
	var b strings.Builder
	for _, n := range []struct {
		name string
		n    int
	}{
		{"lost", f.Lost}, {"missed", f.Missed}, {"repeated", f.Repeated}, {"reordered", f.Reordered}, {"untold", f.Untold},
		{"told", f.Told}, {"false", f.False}, {"unrecovered", f.Unrecovered},
	} {
		if n.n != 0 {
			fmt.Fprintf(&b, "%s %d ", n.name, n.n)
		}
	}
	return strings.TrimSpace(b.String())
}

// TestTimes: what is late is seen as late.
func TestTimes(t *testing.T) {
	s := newStory()
	one := message("A", 1, 1)
	s.acked(one)
	s.shown(one)
	at := s.w.ledger.acks[one.ID].at
	s.view.shown[0].at = at + 5*time.Second
	s.w.heals = []time.Duration{at + 2*time.Second}
	s.watch.down = []outage{{at, at + 4*time.Second}}
	f := &figures{}
	s.w.times(f)
	if f.Whole != 3*time.Second || f.Late != 5*time.Second || f.Outage != 4*time.Second {
		t.Errorf("whole %v, late %v, outage %v", f.Whole, f.Late, f.Outage)
	}
}
