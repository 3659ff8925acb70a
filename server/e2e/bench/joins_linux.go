package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/antchat/antchat/deploy/load/swarm"
)

// The joins: a room of so many people on two nodes, and joinProbes more, who join
// it, leave it, and, members again, lose their connection and recover. All have a
// name, so they are announced as people are.
const (
	joinRoom    = "joins"
	joinProbes  = 100
	joinPace    = 20 * time.Millisecond // from one probe to the next, as long as few are under way
	joinAtOnce  = 4
	joinPatient = 4 * time.Minute
)

// Ids of acknowledgements.
const (
	ackName = iota
	ackEnter
	ackProbe // of what is measured
)

// joiners is the members and, last, the probes.
type joiners struct {
	swarm   *swarm.Swarm
	clients []*swarm.Client
	members int
	place   func(i int) swarm.Place

	ready  int // have a name, and members are in the room
	failed error
	// patience is how long a look for what has arrived may take.
	patience time.Duration

	took     *hdr.Histogram
	started  []time.Time // by probe
	under    int         // probes under way
	done     int
	recovers bool // a probe is done when its session is back
}

func growJoins(ctx context.Context, g *grower, sizes []int) error {
	for _, n := range sizes {
		err := g.with(ctx, 2, func(f *fleet, _ *load) error { return g.join(ctx, f, n) })
		if err != nil {
			return fmt.Errorf("%d: %w", n, err)
		}
	}
	return nil
}

func (g *grower) join(ctx context.Context, f *fleet, members int) error {
	j := &joiners{members: members, started: make([]time.Time, joinProbes), place: func(i int) swarm.Place {
		port := uint16(f.nodes[i%len(f.nodes)].port)
		return swarm.Place{Server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
	}}
	var err error
	if j.swarm, err = swarm.New(j, swarm.Options{Spin: g.spin, Query: "recovery=1"}); err != nil {
		return err
	}
	defer j.swarm.Close()
	if err := j.connect(ctx); err != nil {
		return err
	}
	of := shape{Users: float64(members), Rooms: 1, Joined: 1, Nodes: 2, Copies: 2}
	probe := func(name string, do func(c *swarm.Client) error) error {
		if err := j.wait(ctx, g.pause); err != nil {
			return err
		}
		j.took, j.done = newHistogram(), 0
		s, err := f.during(func() error { return errors.Join(j.probe(ctx, do), j.wait(ctx, g.pause/3)) })
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		g.add("joins", float64(members), of, name+" ms", milliseconds(j.took, 0.50))
		g.add("joins", float64(members), of, name+" us", 1e6*s.nodes.Seconds()/joinProbes)
		return nil
	}
	ask := func(event string) func(c *swarm.Client) error {
		return func(c *swarm.Client) error {
			c.EmitAck(ackProbe, `["`+event+`",{"room":"`+joinRoom+`"}]`)
			return nil
		}
	}
	if err := probe("join", ask("join room")); err != nil {
		return err
	}
	if err := probe("leave", ask("leave room")); err != nil {
		return err
	}
	j.took, j.done = newHistogram(), 0
	if err := j.probe(ctx, ask("join room")); err != nil {
		return err
	}
	// Without an offset there is nothing to recover from.
	j.clients[0].EmitAck(ackName, `["new message",{"room":"`+joinRoom+`","message":"here we are"}]`)
	offsets := func() bool {
		for _, c := range j.clients[members:] {
			if len(c.Offset) == 0 {
				return false
			}
		}
		return true
	}
	if err := j.until(ctx, "an offset", offsets); err != nil {
		return err
	}
	for _, c := range j.clients[members:] {
		c.Drop()
	}
	j.recovers = true
	return probe("recover", (*swarm.Client).Open)
}

// connect connects everybody.
func (j *joiners) connect(ctx context.Context) error {
	all := j.members + joinProbes
	return j.until(ctx, "everybody to be connected", func() bool {
		for len(j.clients)-j.ready < 64 && len(j.clients) < all && j.failed == nil {
			c := j.swarm.NewClient(len(j.clients), j.place(len(j.clients)))
			c.KeepOffset = c.Index >= j.members
			j.failed = c.Open()
			j.clients = append(j.clients, c)
		}
		return j.ready == all
	})
}

// probe has each probe do it, one after the other.
func (j *joiners) probe(ctx context.Context, do func(c *swarm.Client) error) error {
	next, start := 0, time.Now()
	due := func() time.Time { return start.Add(time.Duration(next) * joinPace) }
	return j.until(ctx, "probes", func() bool {
		for ; j.under < joinAtOnce && next < joinProbes && !due().After(time.Now()) && j.failed == nil; next++ {
			j.started[next] = time.Now()
			j.under++
			j.failed = do(j.clients[j.members+next])
		}
		j.patience = 100 * time.Millisecond
		if next < joinProbes && j.under < joinAtOnce {
			j.patience = time.Until(due())
		}
		return j.done == joinProbes
	})
}

func (j *joiners) until(ctx context.Context, what string, done func() bool) error {
	j.patience = 100 * time.Millisecond
	for end := time.Now().Add(joinPatient); !done(); {
		if time.Now().After(end) {
			return fmt.Errorf("waited in vain for %s", what)
		}
		if err := errors.Join(j.swarm.Poll(max(0, j.patience)), j.failed, ctx.Err()); err != nil {
			return err
		}
	}
	return j.failed
}

func (j *joiners) wait(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	return j.until(ctx, "time", func() bool { return time.Now().After(end) })
}

func (j *joiners) finished(c *swarm.Client, now time.Time) {
	observe(j.took, now.Sub(j.started[c.Index-j.members]))
	j.under--
	j.done++
}

// Connected implements swarm.Handler.
func (j *joiners) Connected(c *swarm.Client) {
	switch {
	case !j.recovers:
		c.EmitAck(ackName, fmt.Sprintf(`["add user","person %d"]`, c.Index))
	case !c.Recovered:
		j.failed = errors.New("a session was not recovered")
	default:
		j.finished(c, time.Now())
	}
}

// Ack implements swarm.Handler.
func (j *joiners) Ack(c *swarm.Client, id int, array []byte, now time.Time) {
	switch {
	case bytes.Contains(array, []byte(`"error":{`)):
		j.failed = fmt.Errorf("%.200s", array)
	case id == ackProbe:
		j.finished(c, now)
	case id == ackName && c.Index < j.members && j.ready < j.members+joinProbes:
		c.EmitAck(ackEnter, `["join room",{"room":"`+joinRoom+`","limit":1}]`)
	default:
		j.ready++
	}
}

// Event implements swarm.Handler: of messages and announcements only their cost
// counts.
func (j *joiners) Event(*swarm.Client, []byte, time.Time) {}

// Closed implements swarm.Handler.
func (j *joiners) Closed(c *swarm.Client, err error) {
	j.failed = fmt.Errorf("client %d: %w", c.Index, err)
}
