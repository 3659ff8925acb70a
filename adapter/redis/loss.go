package redis

import (
	"slices"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter/roomindex"
)

// What the store loses, it cannot tell of. The nodes can: each remembers the
// numbers that it has shown or acknowledged (claims). When an era begins, it
// compares them with the store, tells its own members at once, and writes them
// to the room: there they are kept by epoch, published with a position like a
// message, and found by whoever comes back (DELIVERY, "Epoch";
// docs/decisions/2026-11-25-told-losses.md).

// maxLosses bounds what a node remembers of one room's losses.
const maxLosses = 16

// know remembers a loss. Called with the lane's mu held.
func (w *watched) know(r lostRange) {
	if i := slices.IndexFunc(w.losses, func(x lostRange) bool { return x.epoch == r.epoch }); i >= 0 {
		r.from, r.to = min(r.from, w.losses[i].from), max(r.to, w.losses[i].to)
		w.losses = slices.Delete(w.losses, i, i+1)
	}
	if len(w.losses) == maxLosses {
		w.losses = w.losses[1:]
	}
	w.losses = append(w.losses, r)
}

// lost takes a notice off the link: more of what a room has lost is known.
func (l *lane) lost(channel string, p *parcel) error {
	w := l.rooms[roomOfChannel(channel)]
	if w == nil || !l.era(p, 4) {
		return nil
	}
	from, err1 := p.number(1)
	to, err2 := p.number(2)
	pos, err3 := p.number(3)
	if err1 != nil || err2 != nil || err3 != nil || from == 0 || to < from {
		return errWire
	}
	if pos <= l.pos {
		return nil // repaired
	}
	l.pos = pos
	l.noticed(w, loss{lostRange{p.word(0), from, to}, pos})
	return nil
}

// noticed passes a room's own notice on to its members, unless all of them
// were told by this node before. Called with mu held.
func (l *lane) noticed(w *watched, g loss) {
	l.push(func(q *roomindex.Sequencer) { q.Advance(l.n, g.pos) })
	if !w.set {
		return // nobody has been here
	}
	w.know(g.lostRange)
	if !slices.ContainsFunc(w.told, func(r lostRange) bool { return r.covers(g.lostRange) }) {
		l.a.tellGap(w, g.lostRange)
	}
}

// claim writes to the rooms what this node knows them to have given out and
// lost. What is known already, and what stands, changes nothing.
func (l *lane) claim() {
	var args []any
	send := func() {
		if len(args) > 0 {
			keep := 2*l.a.o.LogAge + 2*time.Hour
			l.pipe.control(l.call(lua().loss, append([]any{keep.Milliseconds()}, args...)...))
			args = nil
		}
	}
	add := func(name string, r lostRange) {
		if args = append(args, name, r.epoch, r.from, r.to); len(args) >= 400 {
			send()
		}
	}
	l.mu.Lock()
	for name, w := range l.rooms {
		for _, r := range w.losses {
			add(name, r)
		}
	}
	l.mu.Unlock()
	l.witness.each(add)
	send()
}

// witness remembers, of rooms whether anybody is in them or not, which numbers
// this node knows to have been given out: for witnessAge at least, unless there
// are more than witnessRooms in that time. What a store loses is its latest.
type witness struct {
	mu       sync.Mutex
	now, old map[string][]lostRange // by full name; an epoch each, the newest last
	since    time.Time
}

const (
	witnessAge    = 5 * time.Minute
	witnessRooms  = 4096
	witnessEpochs = 8
)

func newWitness() *witness {
	return &witness{now: make(map[string][]lostRange), since: time.Now()}
}

func (x *witness) note(name, epoch string, seq uint64) {
	x.add(name, lostRange{epoch, seq, seq})
}

// keep remembers what a room that is watched no longer was known to have given
// out. Called with the lane's mu held.
func (x *witness) keep(name string, w *watched) {
	for _, r := range w.losses {
		x.add(name, r)
	}
	if n := len(w.marks); w.set && n > 0 {
		x.add(name, lostRange{w.epoch, min(w.marks[n-1].from, w.seq), w.seq})
	}
}

func (x *witness) add(name string, r lostRange) {
	if r.to == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	list, here := x.now[name]
	if !here {
		if now := time.Now(); len(x.now) >= witnessRooms || now.Sub(x.since) > witnessAge {
			x.old, x.now, x.since = x.now, make(map[string][]lostRange), now
		}
		list = slices.Clone(x.old[name])
	}
	if i := slices.IndexFunc(list, func(y lostRange) bool { return y.epoch == r.epoch }); i >= 0 {
		list[i].from, list[i].to = min(list[i].from, r.from), max(list[i].to, r.to)
	} else {
		if len(list) == witnessEpochs {
			list = slices.Delete(list, 0, 1)
		}
		list = append(list, r)
	}
	x.now[name] = list
}

func (x *witness) each(f func(name string, r lostRange)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, list := range x.now {
		for _, r := range list {
			f(name, r)
		}
	}
	for name, list := range x.old {
		if _, newer := x.now[name]; newer {
			continue
		}
		for _, r := range list {
			f(name, r)
		}
	}
}
