package adaptertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Settings are what a test needs an adapter to be set to. A zero field means
// the adapter's default.
type Settings struct {
	Window       time.Duration // recovery window
	Grace        time.Duration // of presence
	DedupeWindow time.Duration
	LogMax       int // entries per room; trimming may lag behind by a tenth
	// RecoverableMax bounds the recoverable emits kept for one room. Only
	// asked of adapters with Factory.CountsRecoverable.
	RecoverableMax int
}

// Factory makes fleets for the suite.
type Factory struct {
	// New makes a fleet of n running nodes and takes it down at the test's
	// end.
	New func(t testing.TB, n int, s Settings) Fleet
	// MaxNodes is how many nodes a fleet may have: the suite runs with one,
	// and with three if it can.
	MaxNodes int
	// CountsRecoverable: recoverable emits are bounded by count, so that
	// RecoverableMax means something.
	CountsRecoverable bool
}

// Fleet is a set of running nodes.
type Fleet interface {
	// Node is the adapter of node i. It changes with a restart.
	Node(i int) adapter.Adapter
}

// Restarter is a Fleet whose nodes can be closed and started again, with what
// they had stored.
type Restarter interface {
	// Restart closes node i in an orderly way and starts it anew.
	Restart(t testing.TB, i int)
}

// Killer is a Fleet whose nodes can die.
type Killer interface {
	// Kill ends node i without a word and puts a new one in its place.
	Kill(t testing.TB, i int)
}

// Faults is a Fleet that can be disturbed. Each fault lasts until it is called
// with its zero value.
type Faults interface {
	// Delay holds up everything between node i and the store.
	Delay(t testing.TB, i int, by time.Duration)
	// CutLink breaks the connection on which node i hears events; the
	// adapter mends it by itself.
	CutLink(t testing.TB, i int)
	// DuplicateReplies lets node i's requests reach the store twice.
	DuplicateReplies(t testing.TB, i int, on bool)
}

// patience is how long the suite waits for what must happen. Nothing is
// asserted about time otherwise, except that it passes.
const patience = 20 * time.Second

type test struct {
	name     string
	settings Settings
	run      func(r *rig)
	// needs says whether the fleet can do what the test is about.
	needs func(f Factory, fleet Fleet) bool
}

// Run runs the suite.
func Run(t *testing.T, f Factory) {
	f.run(t, membershipTests, broadcastTests, logTests, sessionTests, presenceTests, fleetTests, recordTests, tableTests,
		raceTests, recoveryTests, faultTests)
}

// RunLosses runs what needs a store that can lose: a Rewinder.
func RunLosses(t *testing.T, f Factory) { f.run(t, lossTests) }

func (f Factory) run(t *testing.T, groups ...[]test) {
	for _, nodes := range []int{1, 3} {
		if nodes > max(f.MaxNodes, 1) {
			continue
		}
		t.Run(fmt.Sprintf("nodes=%d", nodes), func(t *testing.T) {
			can := f.probe(t, nodes)
			for _, group := range groups {
				for _, c := range group {
					if c.needs != nil && !c.needs(f, can) {
						continue
					}
					t.Run(c.name, func(t *testing.T) {
						c.run(newRig(t, f, nodes, c.settings))
					})
				}
			}
		})
	}
}

// probe makes a fleet only to see what it can do.
func (f Factory) probe(t *testing.T, n int) (fleet Fleet) {
	t.Run("probe", func(t *testing.T) { fleet = f.New(t, n, Settings{}) })
	return fleet
}

func restarts(_ Factory, fleet Fleet) bool { _, ok := fleet.(Restarter); return ok }
func kills(_ Factory, fleet Fleet) bool    { _, ok := fleet.(Killer); return ok }
func faulty(_ Factory, fleet Fleet) bool   { _, ok := fleet.(Faults); return ok }

// rig is a fleet with a receiver on every node.
type rig struct {
	*testing.T
	factory  Factory
	settings Settings
	fleet    Fleet
	nodes    int
	ns       string
	recv     []*receiver
	sockets  int
}

func newRig(t *testing.T, f Factory, nodes int, s Settings) *rig {
	r := &rig{T: t, factory: f, settings: s, fleet: f.New(t, nodes, s), nodes: nodes, ns: "/"}
	r.recv = make([]*receiver, nodes)
	for i := range nodes {
		r.open(i)
	}
	return r
}

// open puts a new receiver on node i: at the start, and after a restart.
func (r *rig) open(i int) {
	r.recv[i] = &receiver{}
	r.fleet.Node(i).Open(r.ns, r.recv[i])
}

func (r *rig) ctx() context.Context { return r.Context() }

// node is the adapter of a node, counted around.
func (r *rig) node(i int) adapter.Adapter { return r.fleet.Node(i % r.nodes) }

// add makes a socket without a session on node i.
func (r *rig) add(i int, rooms ...string) *socket {
	r.Helper()
	r.sockets++
	s := newSocket(r, i%r.nodes, fmt.Sprintf("sock-%d", r.sockets))
	r.must(r.node(i).Add(r.ctx(), r.ns, s, nil))
	r.join(s, rooms...)
	return s
}

// addSession makes a socket with a session on node i.
func (r *rig) addSession(i int, rooms ...string) *socket {
	r.Helper()
	r.sockets++
	s := newSocket(r, i%r.nodes, fmt.Sprintf("sock-%d", r.sockets))
	o, err := r.node(i).Create(r.ctx(), adapter.Session{PID: "pid-" + s.id, SID: s.id, Namespace: r.ns, User: "user-" + s.id, Data: []byte(`{}`)})
	r.must(err)
	s.owner = &o
	r.must(r.node(i).Add(r.ctx(), r.ns, s, &o))
	r.join(s, rooms...)
	return s
}

func (r *rig) join(s *socket, rooms ...string) {
	r.Helper()
	if len(rooms) > 0 {
		_, err := r.node(s.node).Join(r.ctx(), r.ns, s, rooms, false, nil)
		r.must(err)
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			r.Fatalf("in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func event(name, text string) adapter.Event {
	return adapter.Event{Name: name, Data: fmt.Appendf(nil, "[%q,%q]", name, text)}
}

func to(ns string, rooms ...string) adapter.Target {
	return adapter.Target{Namespace: ns, Rooms: rooms}
}

// emit emits an event from node i to rooms.
func (r *rig) emit(i int, class adapter.Class, text string, rooms ...string) {
	r.Helper()
	r.must(r.node(i).Emit(r.ctx(), adapter.Emit{Target: to(r.ns, rooms...), Event: event("emit", text), Class: class}))
}

// append appends a message from node i.
func (r *rig) append(i int, room, text string) adapter.Appended {
	r.Helper()
	got, err := r.node(i).Append(r.ctx(), r.entry(room, text))
	r.must(err)
	return got
}

func (r *rig) entry(room, text string) adapter.Append {
	return adapter.Append{
		Namespace: r.ns, Room: room, Event: event("message", text),
		Sender: "sender", User: "ann", ID: text, Key: "ann/" + text, Digest: [16]byte{1},
	}
}

// settle waits until everything that was published before has reached the
// sockets: an ephemeral event to a socket of each node is behind it.
func (r *rig) settle() {
	r.Helper()
	for i := range r.nodes {
		s := r.add(i)
		r.sockets++
		for j := range r.nodes {
			r.emit(j, adapter.Ephemeral, "settle", s.id)
		}
		s.wait(r.nodes)
		r.node(i).Remove(r.ns, s)
	}
}
