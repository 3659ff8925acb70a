package main

import (
	"strings"
	"time"
)

// view is what one member has seen of one room. The member's lock guards it.
type view struct {
	room  string
	state viewState
	want  bool // the member means to be in the room

	began bool
	from  place // everything after it is the member's by right
	shown []shown
	known map[place]struct{} // shown, by place
	own   map[place]struct{} // acknowledged or shown, of the member's own
	told  []span

	// cursor is the last message that the server has shown: what a
	// reconnecting client names as since. An acknowledgement does not move it,
	// since what stands before the client's own message may still be on its
	// way.
	cursor place

	held []entry // live ones that came before the join was answered

	repeated, reordered int
}

type viewState byte

const (
	out     viewState = iota
	joining           // asked, or filling up what the answer has left out
	in
	leaving
)

// shown is a message in the order in which the member was shown it.
type shown struct {
	entry
	at time.Duration
}

// span is a range that was called lost for good: places of the log as it was
// in that epoch, which may also have been filled in an earlier one.
type span struct {
	epoch    string
	from, to uint64
	// open: nothing beyond it was known, so all that came after it is lost
	// with it, up to what was shown next: that is at shown[next].
	open bool
	next int
}

func newView(room string) *view {
	return &view{room: room, want: true, known: make(map[place]struct{}), own: make(map[place]struct{})}
}

// take shows a message of somebody else. live: it came as an event, and not
// as a part of an answer, where a repetition means nothing.
func (v *view) take(e entry, live bool, now time.Duration, l *ledger, who string) {
	if _, twice := v.known[e.place]; twice {
		if live {
			v.repeated++
			l.complain("%s was shown %s %v of %s again", who, e.ID, e.place, v.room)
		}
		return
	}
	if n := len(v.shown); n > 0 {
		last := v.shown[n-1].place
		if last.Epoch == e.Epoch && e.Seq < last.Seq {
			v.reordered++
			l.complain("%s was shown %s %v of %s after %v", who, e.ID, e.place, v.room, last)
		}
	}
	v.shown = append(v.shown, shown{e, now})
	v.known[e.place] = struct{}{}
	l.shown(who, v.room, e)
	v.cursor = e.place
}

// lost notes that a range was called lost.
func (v *view) lost(s span) {
	s.open = s.epoch == v.cursor.Epoch && s.to >= v.cursor.Seq
	s.next = len(v.shown)
	v.told = append(v.told, s)
}

// toldOf says whether the member was told that the message is lost.
func (v *view) toldOf(p place, l *ledger) bool {
	for _, s := range v.told {
		if v.covers(s, p, l) {
			return true
		}
	}
	return false
}

func (v *view) covers(s span, p place, l *ledger) bool {
	if p.Epoch == s.epoch {
		return s.from <= p.Seq && (s.open || p.Seq <= s.to)
	}
	its, of := l.met(v.room, p.Epoch), l.met(v.room, s.epoch)
	if its < of {
		return s.from <= p.Seq && p.Seq <= s.to
	}
	// An epoch that came and went without this member.
	return s.open && (s.next >= len(v.shown) || its < l.met(v.room, v.shown[s.next].Epoch))
}

// ownID says whether a message is the member's.
func ownID(name, id string) bool {
	rest, ok := strings.CutPrefix(id, name)
	return ok && strings.HasPrefix(rest, "-")
}
