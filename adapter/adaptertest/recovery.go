package adaptertest

import (
	"flag"
	"fmt"
	"slices"
	"strconv"

	"pgregory.net/rapid"

	"github.com/antchat/antchat/adapter"
)

// recoveryTests are the rules of DELIVERY ("Cut", "Recovery") as a random test
// of the contract: clients join, receive at their own pace, lose connections
// with and without their node noticing, and recover anywhere with the offset
// of the last event they read; nodes restart or die under them. In the end
// each client has seen, of every room it joined, exactly what was published
// since, once and in order.
var recoveryTests = []test{
	{name: "random clients", settings: Settings{LogMax: 1000}, run: func(r *rig) {
		run := 0
		// rapid's own defaults, 100 runs of 30 steps, are for small cases; here
		// it takes a longer life for clients to get into trouble. What the
		// command line says counts.
		for name, value := range map[string]string{"rapid.checks": "30", "rapid.steps": "120"} {
			if f := flag.Lookup(name); f != nil && f.Value.String() == f.DefValue {
				was := f.DefValue
				r.must(f.Value.Set(value))
				defer func() { _ = f.Value.Set(was) }()
			}
		}
		rapid.Check(r.T, func(t *rapid.T) {
			run++
			w := &world{r: r, run: run}
			w.play(t)
		})
	}},
}

// published is an event of the model, in the order of publication.
type published struct {
	room, text string
	class      adapter.Class
}

// player is a client with what it is owed.
type player struct {
	*client
	since     map[string]int // room → index of the first event after the join
	uncertain map[string]bool
}

// world is one run: a fresh namespace on the fleet.
type world struct {
	r       *rig
	run     int
	events  []published
	players []*player
}

var worldRooms = []string{"a", "b", "c", "d"}

func (w *world) play(t *rapid.T) {
	r := w.r
	r.ns = fmt.Sprintf("/run-%d", w.run)
	for i := range r.nodes {
		r.open(i)
	}
	for range 4 {
		s := r.addSession(rapid.IntRange(0, r.nodes-1).Draw(t, "node"))
		w.players = append(w.players, &player{client: newClient(r, s), since: map[string]int{}, uncertain: map[string]bool{}})
	}
	node := rapid.IntRange(0, r.nodes-1)
	room := rapid.SampledFrom(worldRooms)
	who := rapid.IntRange(0, len(w.players)-1)
	publish := func(class adapter.Class) func(*rapid.T) {
		return func(t *rapid.T) { w.publish(node.Draw(t, "node"), room.Draw(t, "room"), class) }
	}
	actions := map[string]func(*rapid.T){
		"append":      publish(adapter.Logged),
		"append more": publish(adapter.Logged),
		"recoverable": publish(adapter.Recoverable),
		"ephemeral":   publish(adapter.Ephemeral),
		"join": func(t *rapid.T) {
			w.join(w.players[who.Draw(t, "client")], room.Draw(t, "room"))
		},
		"receive": func(t *rapid.T) {
			w.players[who.Draw(t, "client")].receive(rapid.IntRange(1, 8).Draw(t, "frames"))
		},
		"lose": func(t *rapid.T) {
			if p := w.players[who.Draw(t, "client")]; !p.lost {
				p.lose()
			}
		},
		"connect": func(t *rapid.T) {
			w.connect(w.players[who.Draw(t, "client")], node.Draw(t, "node"))
		},
	}
	if _, ok := r.fleet.(Restarter); ok {
		actions["restart"] = func(t *rapid.T) {
			// Seldom: one is worth many other steps.
			if rapid.IntRange(0, 5).Draw(t, "seldom") == 0 {
				w.restart(node.Draw(t, "node"), func(i int) { r.restart(i) })
			}
		}
	}
	if k, ok := r.fleet.(Killer); ok {
		actions["kill"] = func(t *rapid.T) {
			if rapid.IntRange(0, 5).Draw(t, "seldom") == 0 {
				w.restart(node.Draw(t, "node"), func(i int) { k.Kill(r.T, i); r.open(i) })
			}
		}
	}
	if f, ok := r.fleet.(Faults); ok {
		actions["cut link"] = func(t *rapid.T) { f.CutLink(r.T, node.Draw(t, "node")) }
	}
	t.Repeat(actions)
	w.check(t)
	for i := range r.nodes {
		r.node(i).CloseNamespace(r.ns)
	}
}

func (w *world) publish(node int, room string, class adapter.Class) {
	text := fmt.Sprintf("%d", len(w.events))
	if class == adapter.Logged {
		w.r.append(node, room, text)
	} else {
		w.r.emit(node, class, text, room)
	}
	w.events = append(w.events, published{room: room, text: text, class: class})
}

func (w *world) join(p *player, room string) {
	if p.lost || p.s.isFenced() {
		return
	}
	at := len(w.events)
	cut, err := w.r.node(p.s.node).Join(w.r.ctx(), w.r.ns, p.s, []string{room}, true, nil)
	if cut != nil {
		p.s.release(cut.Position, frame{ack: "join " + room})
	}
	if err != nil {
		// A lost link ends the transport; whether the join counts is open.
		if _, faults := w.r.fleet.(Faults); !faults {
			w.r.Fatalf("join: %v", err)
		}
		p.uncertain[room] = true
		p.lose()
		return
	}
	if _, ok := p.since[room]; !ok {
		p.since[room] = at
	}
}

func (w *world) connect(p *player, node int) {
	if err := p.client.connect(node); err != nil {
		w.r.Fatalf("recovery: %v", err)
	}
}

// restart ends a node under its clients.
func (w *world) restart(node int, how func(i int)) {
	how(node)
	for _, p := range w.players {
		if p.s.node == node {
			p.lost = true
		}
	}
}

func (w *world) check(t *rapid.T) {
	for i, p := range w.players {
		w.connect(p, i)
	}
	w.r.settle()
	for _, p := range w.players {
		p.drain()
		p.ordered()
		for _, room := range worldRooms {
			if p.uncertain[room] {
				continue
			}
			since, joined := p.since[room]
			var want, got []string
			for i, e := range w.events {
				if joined && e.room == room && e.class != adapter.Ephemeral && i >= since {
					want = append(want, e.text)
				}
			}
			for _, f := range p.seen {
				i, err := strconv.Atoi(text(f.d.Event))
				if err != nil {
					t.Fatalf("event %s", f.d.Event.Data)
				}
				if w.events[i].room == room && f.d.Class != adapter.Ephemeral {
					got = append(got, text(f.d.Event))
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s, room %s since event %d:\nsaw    %q\nwanted %q", p.s.id, room, since, got, want)
			}
		}
	}
	if w.r.Failed() {
		t.FailNow()
	}
}
