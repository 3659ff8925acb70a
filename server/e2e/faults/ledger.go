package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// place names one message of a room for ever.
type place struct {
	Epoch string
	Seq   uint64
}

func (p place) String() string { return fmt.Sprintf("%.6s/%d", p.Epoch, p.Seq) }

// entry is a message as somebody was shown it.
type entry struct {
	place
	ID, Text string
}

// acked is a message as its sender knows it.
type acked struct {
	entry
	room  string
	times []place // what each acknowledgement of the id said
	sent  time.Duration
	at    time.Duration
}

// ledger is what all members together know. It is written while the faults
// happen and read by the verdict.
type ledger struct {
	start time.Time // immutable

	mu       sync.Mutex
	acks     map[string]*acked           // by id; guarded by mu, like all below
	order    []*acked                    // in the order of their acknowledgement
	tries    int                         // sends, with those that got no answer
	contents map[string]map[place]string // by room: whose id stands there
	epochs   map[string]map[string]int   // by room: the order in which epochs were first met
	notes    []string
	trouble  []string
	troubles int
	refusals map[string]int // by code
}

func newLedger() *ledger {
	return &ledger{
		start: time.Now(), acks: make(map[string]*acked), contents: make(map[string]map[place]string),
		epochs: make(map[string]map[string]int), refusals: make(map[string]int),
	}
}

func (l *ledger) now() time.Duration { return time.Since(l.start) }

// complain notes a promise that is broken for certain.
func (l *ledger) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complainLocked(format, args...)
}

func (l *ledger) complainLocked(format string, args ...any) {
	l.troubles++
	if len(l.trouble) < 50 {
		l.trouble = append(l.trouble, fmt.Sprintf("%8.3fs ", l.now().Seconds())+fmt.Sprintf(format, args...))
	}
}

// note keeps what is worth looking into, the first of it.
func (l *ledger) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.notes) < 10 {
		l.notes = append(l.notes, fmt.Sprintf(format, args...))
	}
}

func (l *ledger) tried() {
	l.mu.Lock()
	l.tries++
	l.mu.Unlock()
}

func (l *ledger) refused(code string) {
	l.mu.Lock()
	l.refusals[code]++
	l.mu.Unlock()
}

// ack notes an acknowledgement; a second one of the same id is kept too.
func (l *ledger) ack(room string, e entry, sent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.acks[e.ID]
	if a == nil {
		a = &acked{entry: e, room: room, sent: sent, at: l.now()}
		l.acks[e.ID] = a
		l.order = append(l.order, a)
	}
	a.times = append(a.times, e.place)
	l.placeLocked(room, e)
}

// shown notes what a member was shown.
func (l *ledger) shown(who, room string, e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Text != textOf(e.ID) {
		l.complainLocked("%s was shown %s %v with another text: %.40q", who, e.ID, e.place, e.Text)
	}
	l.placeLocked(room, e)
}

func (l *ledger) placeLocked(room string, e entry) {
	if l.contents[room] == nil {
		l.contents[room], l.epochs[room] = make(map[place]string), make(map[string]int)
	}
	if _, known := l.epochs[room][e.Epoch]; !known {
		l.epochs[room][e.Epoch] = len(l.epochs[room])
	}
	switch first, known := l.contents[room][e.place]; {
	case !known:
		l.contents[room][e.place] = e.ID
	case first != e.ID:
		l.complainLocked("two messages at %s %v: %s and %s", room, e.place, first, e.ID)
	}
}

// met is the place of an epoch in the order in which a room's epochs were first
// met; before all others for one that never was.
func (l *ledger) met(room, epoch string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.epochs[room][epoch]; ok {
		return n
	}
	return -1
}

// textOf is the text of a message, which its id decides. Those of the bulk
// room are nearly as large as a message may be.
func textOf(id string) string {
	text := "안녕 " + id
	if strings.HasPrefix(id, "bulk") {
		text += strings.Repeat(" 가나다라", 1200)
		text = string([]rune(text)[:3900])
	}
	return text
}
