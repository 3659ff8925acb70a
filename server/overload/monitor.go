package overload

import (
	"sync/atomic"
	"time"
)

// Step is one thing that is not done any more.
type Step uint8

// The steps, in the order in which they should be reached.
const (
	Connections Step = iota // new sessions
	Ephemeral               // events that are kept nowhere
	Reads                   // what only asks
	Writes                  // messages, joins, names
)

// Steps is the number of steps.
const Steps = int(Writes) + 1

// String is the step's name in settings and metrics.
func (s Step) String() string {
	return [Steps]string{"connections", "ephemeral", "reads", "writes"}[s]
}

// Limit is where a step begins: at either of the two. Zero means that this one
// begins none.
type Limit struct {
	Memory float64 // share of the limit, above 0 and up to 1
	Delay  time.Duration
}

// Reading is one look at the node.
type Reading struct {
	Memory float64 // share of the limit; 0 without one
	Delay  time.Duration
	// Store is how long what waits for the store has waited: see [Options].
	Store time.Duration
}

// Options configures [New]. The zero value of each optional field means the
// default that it names.
type Options struct {
	Limits [Steps]Limit
	// Every is the time between two readings. Default 500 ms.
	Every time.Duration
	// Read is asked for each of them, on the monitor's goroutine. Default: the
	// process's own, see the package's doc.
	Read func() Reading
	// Store, when set, says how long the first of what waits to be sent to the store
	// has waited. It counts as delay for Connections alone: whoever is connected is
	// served before others are admitted.
	Store func() time.Duration
	Hooks Hooks
}

// Hooks tell what happens, on the monitor's goroutine. Any of them may be nil;
// they must not block.
type Hooks struct {
	// Read: every reading.
	Read func(Reading)
	// Changed: a step began (sheds) or ended.
	Changed func(step Step, sheds bool, r Reading)
}

const (
	// rise is how many readings in a row begin a step: one may be an accident.
	rise = 2
	// calm is how many in a row end it, below calmShare of its limits: what
	// comes back must not bring the overload back at once.
	calm      = 4
	calmShare = 0.9
)

// Monitor watches the node. Its methods may be called concurrently.
type Monitor struct {
	o     Options
	sheds [Steps]atomic.Bool
	stop  chan struct{} // closed by Close
	done  chan struct{} // closed by run

	// Owned by run: readings in a row, over the limit or below it.
	over, below [Steps]int
}

// New starts a monitor. Close ends it.
func New(o Options) *Monitor {
	if o.Every <= 0 {
		o.Every = 500 * time.Millisecond
	}
	if o.Read == nil {
		o.Read = newGauge(o.Every).read
	}
	m := &Monitor{o: o, stop: make(chan struct{}), done: make(chan struct{})}
	go m.run()
	return m
}

// Sheds says whether a step is not to be done now.
func (m *Monitor) Sheds(s Step) bool { return m.sheds[s].Load() }

// Close ends the monitor and waits for it. It may be called once.
func (m *Monitor) Close() {
	close(m.stop)
	<-m.done
}

func (m *Monitor) run() {
	defer close(m.done)
	tick := time.NewTicker(m.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
			r := m.o.Read()
			if m.o.Store != nil {
				r.Store = m.o.Store()
			}
			m.look(r)
		}
	}
}

func (m *Monitor) look(r Reading) {
	if m.o.Hooks.Read != nil {
		m.o.Hooks.Read(r)
	}
	for i, limit := range m.o.Limits {
		felt := r
		if Step(i) == Connections {
			felt.Delay = max(r.Delay, r.Store)
		}
		switch {
		case limit.reached(felt, 1):
			m.over[i], m.below[i] = m.over[i]+1, 0
		case limit.reached(felt, calmShare):
			m.over[i], m.below[i] = 0, 0
		default:
			m.over[i], m.below[i] = 0, m.below[i]+1
		}
		sheds := m.sheds[i].Load()
		if !sheds && m.over[i] >= rise || sheds && m.below[i] >= calm {
			m.sheds[i].Store(!sheds)
			if m.o.Hooks.Changed != nil {
				m.o.Hooks.Changed(Step(i), !sheds, r)
			}
		}
	}
}

// reached compares a reading with a share of the limits.
func (l Limit) reached(r Reading, share float64) bool {
	return l.Memory > 0 && r.Memory >= l.Memory*share || l.Delay > 0 && float64(r.Delay) >= float64(l.Delay)*share
}
