package adaptertest

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/antchat/antchat/adapter"
)

// Rewinder is a Fleet whose store can lose what it has acknowledged.
type Rewinder interface {
	// Save keeps a copy of what the store holds now. Rewind puts the store
	// back to it, and may be called again.
	Save(t testing.TB)
	Rewind(t testing.TB)
	// Wipe makes the store forget everything, at once.
	Wipe(t testing.TB)
}

func rewinds(_ Factory, fleet Fleet) bool { _, ok := fleet.(Rewinder); return ok }

// lossTests are the rule "never silence" (DELIVERY, "Epoch") as a random test
// of the contract. Visitors come and go, some with sessions, some with the last
// seq that they were shown, while the store is put back again and again. In
// the end each has been shown or told of every acknowledged message since it
// joined: shown if the log has it, told if it has not, and nothing is called
// lost that is there.
var lossTests = []test{
	{name: "random losses", needs: rewinds, run: func(r *rig) {
		for name, value := range map[string]string{"rapid.checks": "4", "rapid.steps": "60"} {
			if f := flag.Lookup(name); f != nil && f.Value.String() == f.DefValue {
				was := f.DefValue
				r.must(f.Value.Set(value))
				defer func() { _ = f.Value.Set(was) }()
			}
		}
		run := 0
		rapid.Check(r.T, func(t *rapid.T) {
			run++
			w := &losing{r: r, run: run, store: r.fleet.(Rewinder)}
			w.play(t)
		})
	}},
	{name: "a loss while away", needs: rewinds, run: func(r *rig) {
		// The plainest case: who was away, and had seen nothing of what was
		// lost, is told all the same.
		store := r.fleet.(Rewinder)
		w := &losing{r: r, store: store}
		stays := w.newVisitor(0, false)
		away, apart := w.newVisitor(1, true), w.newVisitor(2, false)
		for _, v := range []*visitor{stays, away, apart} {
			w.join(v, "a")
		}
		w.append(0, "a")
		w.settleAll()
		store.Save(r.T)
		for _, v := range []*visitor{away, apart} {
			v.leave(true)
		}
		w.append(1, "a")
		w.append(0, "a")
		stays.await("a", 3)
		store.Rewind(r.T)
		w.append(0, "a")
		stays.await("a", 4)
		w.check(r.T)
		for _, v := range []*visitor{away, apart} {
			if told := v.rooms["a"].told; len(told) == 0 || told[0].From != 2 || told[0].To != 3 {
				r.Errorf("told %+v", told)
			}
		}
	}},
}

// place names one entry of a room's log for ever.
type place struct {
	epoch string
	seq   uint64
}

// visit is what a visitor has of a room.
type visit struct {
	since  int   // index of the first message after the join
	cursor place // the last message shown, or where the room stood at the join
	shown  map[place]bool
	live   map[place]bool // those of them that came as events
	told   []adapter.Gap
	in     bool // the answer to the join was read
}

func (v *visit) isTold(p place) bool {
	for _, g := range v.told {
		if g.Epoch == p.epoch && g.From <= p.seq && p.seq <= g.To {
			return true
		}
	}
	return false
}

// visitor is a client that comes back: with its session and offset, or, when
// it has none, with epoch and seq.
type visitor struct {
	w        *losing
	s        *socket
	recovers bool
	here     bool
	read     int
	offset   *adapter.Position
	rooms    map[string]*visit
}

type losing struct {
	r        *rig
	run      int
	store    Rewinder
	saved    bool
	sent     []sentTo
	visitors []*visitor
	history  []string
}

// note keeps what has happened, for whoever must find out why.
func (w *losing) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf(format, args...))
}

type sentTo struct {
	room string
	at   place
}

// stubborn repeats what the store's absence has refused.
func (w *losing) stubborn(what string, f func() error) {
	w.r.Helper()
	for end := time.Now().Add(3 * patience); ; time.Sleep(10 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if !errors.Is(err, adapter.ErrUnavailable) && !errors.Is(err, adapter.ErrFenced) && !errors.Is(err, adapter.ErrUnknownSocket) || time.Now().After(end) {
			w.r.Fatalf("%s: %v", what, err)
		}
	}
}

func (w *losing) append(node int, room string) {
	w.r.Helper()
	e := w.r.entry(room, fmt.Sprintf("%d.%d", w.run, len(w.sent)))
	w.stubborn("append", func() error {
		got, err := w.r.node(node).Append(w.r.ctx(), e)
		if err == nil {
			w.note("message %d of %s at %v", len(w.sent), room, place{got.Epoch, got.Seq})
			w.sent = append(w.sent, sentTo{room, place{got.Epoch, got.Seq}})
		}
		return err
	})
}

func (w *losing) newVisitor(node int, recovers bool) *visitor {
	v := &visitor{w: w, recovers: recovers, rooms: map[string]*visit{}}
	w.visitors = append(w.visitors, v)
	v.fresh(node)
	return v
}

// fresh makes a new socket, with a new session for those that have one.
func (v *visitor) fresh(node int) {
	r := v.w.r
	r.sockets++
	id := fmt.Sprintf("visitor-%d-%d", v.w.run, r.sockets)
	n := node % r.nodes
	v.s, v.read, v.offset = newSocket(r, n, id), 0, nil
	if v.recovers {
		v.w.stubborn("create", func() error {
			o, err := r.node(n).Create(r.ctx(), adapter.Session{PID: "pid-" + id, SID: id, Namespace: r.ns})
			if errors.Is(err, adapter.ErrConflict) { // the answer was lost
				o, err = adapter.Owner{PID: "pid-" + id, Token: 1}, nil
			}
			v.s.owner = &o
			return err
		})
	}
	v.w.stubborn("add", func() error { return r.node(n).Add(r.ctx(), r.ns, v.s, v.s.owner) })
	v.here = true
}

// leave ends the connection; with notice its node knows.
func (v *visitor) leave(notice bool) {
	if !v.here {
		return
	}
	v.here = false
	v.w.note("%s leaves, told %v", v.s.id, notice)
	if notice {
		n := v.w.r.node(v.s.node)
		if v.s.owner != nil {
			n.Gone(*v.s.owner)
		}
		n.Remove(v.w.r.ns, v.s)
	}
}

// take reads at most n frames of what the socket was sent.
func (v *visitor) take(n int) {
	for frames := v.s.got(); v.read < len(frames) && n > 0; n-- {
		f := frames[v.read]
		v.read++
		switch {
		case f.room != "":
			v.rooms[f.room].in = true
		case f.gap != nil:
			if at := v.rooms[f.gap.Room]; at != nil {
				at.told = append(at.told, *f.gap)
			}
		case f.d != nil:
			at, p := v.rooms[f.d.Room], place{f.d.Epoch, f.d.Seq}
			if at == nil {
				v.w.r.Errorf("%s got a message of %q, where it is not", v.s.id, f.d.Room)
				continue
			}
			at.shown[p] = true
			if at.in || f.ack != "" {
				// What comes before the join's answer does not say how far it
				// has come.
				at.cursor = p
			}
			if f.ack != "" {
				continue // an answer has no offset, and may repeat
			}
			if at.live[p] {
				v.w.r.Errorf("%s was shown %v of %s twice", v.s.id, p, f.d.Room)
			}
			at.live[p] = true
			offset := f.pos
			v.offset = &offset
		}
	}
}

// join enters a room, or enters it again after what was shown last.
func (w *losing) join(v *visitor, room string) {
	r, at := w.r, v.rooms[room]
	read := &adapter.LogRead{Limit: 1}
	if at != nil {
		read = &adapter.LogRead{After: u(at.cursor.seq), Epoch: at.cursor.epoch, Limit: 1000}
	}
	w.stubborn("join", func() error {
		cut, err := r.node(v.s.node).Join(r.ctx(), r.ns, v.s, []string{room}, true, read)
		if err != nil {
			if cut != nil {
				v.s.release(cut.Position)
			}
			if v.s.isFenced() || errors.Is(err, adapter.ErrFenced) || errors.Is(err, adapter.ErrUnknownSocket) {
				v.leave(true)
				v.back(v.s.node)
			}
			return err
		}
		var frames []frame
		if at == nil {
			at = &visit{since: len(w.sent), cursor: place{cut.Read.Epoch, cut.Read.Head}, shown: map[place]bool{}, live: map[place]bool{}}
			v.rooms[room] = at
		} else {
			for _, g := range append(cut.Read.Lost, gapsOf(cut.Read)...) {
				frames = append(frames, frame{gap: &g})
			}
			for _, d := range cut.Read.Entries {
				frames = append(frames, frame{d: d, pos: d.Position, ack: "read"})
			}
		}
		at.in = false
		v.s.release(cut.Position, append(frames, frame{ack: "join", room: room})...)
		w.note("%s in %s at %v of %+v, %d entries, gap %v, lost %v", v.s.id, room, at.cursor, *read, len(cut.Read.Entries), cut.Read.Gap, cut.Read.Lost)
		return nil
	})
}

func gapsOf(s *adapter.LogSlice) []adapter.Gap {
	if s.Gap == nil {
		return nil
	}
	return []adapter.Gap{*s.Gap}
}

// back connects again.
func (v *visitor) back(node int) {
	w, r := v.w, v.w.r
	v.here = false
	if !v.recovers {
		v.fresh(node)
		v.rejoin()
		return
	}
	w.stubborn("recover", func() error {
		rec, o, err := r.node(node).Claim(r.ctx(), r.ns, v.s.owner.PID)
		if err == nil {
			s := newSocket(r, node%r.nodes, rec.SID)
			s.owner = &o
			var replay *adapter.Replay
			if replay, err = r.node(node).Resume(r.ctx(), r.ns, s, o, v.offset); err == nil {
				frames := []frame{{ack: "accept"}}
				for _, g := range replay.Lost {
					frames = append(frames, frame{gap: &g})
				}
				for _, d := range replay.Missed {
					frames = append(frames, frame{d: d, pos: d.Position})
				}
				s.release(replay.Position, frames...)
				v.s, v.read, v.here = s, 0, true
				w.note("%s recovered from %v in %v, missed %d, lost %v", s.id, v.offset, replay.Rooms, len(replay.Missed), replay.Lost)
				for _, room := range worldRooms {
					at := v.rooms[room]
					switch {
					case at == nil:
					case !at.in:
						w.join(v, room) // it never knew that it had joined
					case !slices.Contains(replay.Rooms, room):
						r.Errorf("%s was recovered without %q, which it had joined", s.id, room)
					}
				}
				return nil
			}
		}
		if errors.Is(err, adapter.ErrUnrecoverable) {
			v.fresh(node)
			v.rejoin()
			return nil
		}
		return err
	})
}

func (v *visitor) rejoin() {
	for _, room := range worldRooms {
		if v.rooms[room] != nil {
			v.w.join(v, room)
		}
	}
}

// await waits for a number of messages of a room.
func (v *visitor) await(room string, n int) {
	v.w.r.until(fmt.Sprintf("%d messages", n), func() bool {
		v.take(1 << 30)
		return len(v.rooms[room].shown) >= n
	})
}

func (w *losing) play(t *rapid.T) {
	r := w.r
	r.ns = fmt.Sprintf("/loss-%d", w.run)
	for i := range r.nodes {
		r.open(i)
	}
	node := rapid.IntRange(0, r.nodes-1)
	rooms := worldRooms[:2]
	for i := range 4 {
		v := w.newVisitor(node.Draw(t, "node"), i%2 == 0)
		w.join(v, rooms[i/2])
	}
	room, who := rapid.SampledFrom(rooms), rapid.IntRange(0, len(w.visitors)-1)
	appends := func(t *rapid.T) { w.append(node.Draw(t, "node"), room.Draw(t, "room")) }
	rare := func(f func()) func(*rapid.T) {
		return func(t *rapid.T) {
			if rapid.IntRange(0, 2).Draw(t, "seldom") == 0 {
				f()
			}
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"append": appends, "append more": appends, "append again": appends,
		"receive": func(t *rapid.T) {
			w.visitors[who.Draw(t, "visitor")].take(rapid.IntRange(1, 6).Draw(t, "frames"))
		},
		"leave": func(t *rapid.T) { w.visitors[who.Draw(t, "visitor")].leave(rapid.Bool().Draw(t, "notice")) },
		"come back": func(t *rapid.T) {
			w.visitors[who.Draw(t, "visitor")].back(node.Draw(t, "node"))
		},
		"join":   func(t *rapid.T) { w.enter(w.visitors[who.Draw(t, "visitor")], room.Draw(t, "room")) },
		"save":   func(*rapid.T) { w.store.Save(r.T); w.saved = true; w.note("save") },
		"settle": func(*rapid.T) { w.settleAll() },
		"rewind": rare(func() {
			if w.saved {
				w.store.Rewind(r.T)
				w.note("rewind")
			}
		}),
		"wipe": rare(func() {
			// What was wiped and told does not come back.
			w.store.Wipe(r.T)
			w.saved = false
			w.note("wipe")
		}),
	})
	w.check(t)
	for i := range r.nodes {
		r.node(i).CloseNamespace(r.ns)
	}
}

func (w *losing) enter(v *visitor, room string) {
	if v.here && !v.s.isFenced() {
		w.join(v, room)
	}
}

// settleAll waits until those who are here have what was sent last.
func (w *losing) settleAll() {
	for i := range w.r.nodes {
		w.stubborn("settle", func() error {
			if st := w.r.node(i).Status(); !st.Ready {
				return fmt.Errorf("%s: %w", st.Reason, adapter.ErrUnavailable)
			}
			return nil
		})
	}
}

// check brings everybody back and compares.
func (w *losing) check(t interface{ Fatalf(string, ...any) }) {
	w.settleAll()
	for i, v := range w.visitors {
		v.take(1 << 30)
		v.leave(true)
		v.back(i)
	}
	var bad string
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if bad = w.wrong(); bad == "" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s, after\n%s", bad, strings.Join(w.history, "\n"))
		}
	}
	if w.r.Failed() {
		t.Fatalf("see above")
	}
}

// wrong says what somebody was neither shown nor told of.
func (w *losing) wrong() string {
	there := make(map[string]map[place]bool)
	for _, room := range worldRooms {
		there[room] = make(map[place]bool)
		w.stubborn("read", func() error {
			s, err := w.r.node(0).Read(w.r.ctx(), w.r.ns, room, adapter.LogRead{After: u(0), Limit: 1000})
			if err == nil {
				for _, d := range s.Entries {
					there[room][place{d.Epoch, d.Seq}] = true
				}
			}
			return err
		})
	}
	for i, v := range w.visitors {
		if v.s.isFenced() {
			v.back(i)
		}
		v.take(1 << 30)
		for n, m := range w.sent {
			at := v.rooms[m.room]
			if at == nil || n < at.since {
				continue
			}
			switch standing := there[m.room][m.at]; {
			case standing && !at.shown[m.at]:
				return fmt.Sprintf("%s was never shown %v of %s, message %d; it stands at %v", v.s.id, m.at, m.room, n, at.cursor)
			case standing && at.isTold(m.at):
				return fmt.Sprintf("%s was told that %v of %s is lost, and it is there", v.s.id, m.at, m.room)
			case !standing && !at.isTold(m.at):
				return fmt.Sprintf("%s was not told that %v of %s, message %d, is lost (shown: %v; told %v)", v.s.id, m.at, m.room, n, at.shown[m.at], at.told)
			}
		}
	}
	return ""
}
