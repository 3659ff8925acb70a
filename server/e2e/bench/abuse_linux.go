package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/antchat/antchat/deploy/load/process"
	"github.com/antchat/antchat/deploy/load/swarm"
)

// The abuse: people who write in the lobby, and one more who asks for more than
// anybody may, there or in another room. Ours is the program with its default limits.
const (
	abusePeople = 200
	abuseRate   = 50   // messages a second of all people together
	abuserRate  = 1000 // requests a second of the one
	fairRate    = 10   // what fairness.messages_socket lets through by default
	// abuserShare is how many of its answered requests must be refusals, or nothing
	// was limited.
	abuserShare = 0.8
	abuserText  = "and another"
	elsewhere   = "elsewhere" // a room with nobody else
	// abuseRounds: each has every kind once, so that what the machine does meanwhile
	// meets all, and the median of the rounds counts.
	abuseRounds = 6
)

// crowd is those people and the one, who comes anew to each stretch.
type crowd struct {
	server *server
	swarm  *swarm.Swarm
	people []*swarm.Client
	one    *swarm.Client
	ready  int
	failed error

	sent      []time.Time // the people's messages, by number
	from      int         // the first that is measured
	delivered int         // of these
	latency   *hdr.Histogram

	answered, refused int // of the one's, in this stretch
}

func abuse(ctx context.Context, f *fleet, _ *load, o options, add func(string, float64)) error {
	c := &crowd{server: f.nodes[0], latency: newHistogram()}
	var err error
	if c.swarm, err = swarm.New(c, swarm.Options{Spin: o.spin}); err != nil {
		return err
	}
	defer c.swarm.Close()
	for range abusePeople {
		one, err := c.join(ctx)
		if err != nil {
			return err
		}
		c.people = append(c.people, one)
	}
	kinds := []*ask{{name: "calm"}, {name: "elsewhere", rate: abuserRate, room: elsewhere}, {name: "fair", rate: fairRate}, {name: "flood", rate: abuserRate}}
	for round := range abuseRounds {
		for i := range kinds {
			k := kinds[(round+i)%len(kinds)]
			if err := c.stretch(ctx, o.measure/2, k); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	p99 := make(map[string]float64)
	for _, k := range kinds {
		p99[k.name] = median(k.p99)
		add("abuse "+k.name+" p50", median(k.p50))
		add("abuse "+k.name+" p99", p99[k.name])
		add("abuse "+k.name+" cpu", median(k.cpu))
		if k.rate == abuserRate {
			add("abuse "+k.name+" answered", median(k.answered))
		}
		if k.name != "calm" {
			add("abuse "+k.name+" change", 100*(p99[k.name]-p99["calm"])/p99["calm"])
		}
	}
	return nil
}

// ask is what the one does meanwhile.
type ask struct {
	name string
	rate float64 // messages a second; 0: nothing
	room string  // "": the lobby

	// By round: in ms, % of a core, and answers a second.
	p50, p99, cpu, answered []float64
}

// join connects one more.
func (c *crowd) join(ctx context.Context) (*swarm.Client, error) {
	at := swarm.Place{Server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(c.server.port))}
	one, want := c.swarm.NewClient(len(c.people), at), c.ready+1
	if err := one.Open(); err != nil {
		return nil, err
	}
	return one, c.until(ctx, "somebody to be connected", func() bool { return c.ready == want })
}

// stretch has the people write, and measures how long their messages take.
func (c *crowd) stretch(ctx context.Context, measure time.Duration, of *ask) error {
	var err error
	if c.one, err = c.join(ctx); err != nil {
		return err
	}
	defer c.one.Drop() // and what it has not been able to send
	c.one.EmitAck(0, `["join room","`+elsewhere+`"]`)
	request := `["new message",{"room":"` + cmp.Or(of.room, "lobby") + `","message":"` + abuserText + `"}]`
	c.answered, c.refused = 0, 0
	start, begin := time.Now(), time.Time{}
	if of.rate < abuserRate {
		begin = start.Add(warmUp)
	}
	begun, answered := false, 0
	var before process.Usage
	people, requests := 0, 0
	due := func(n int, rate float64) time.Time {
		return start.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	}
	for {
		now := time.Now()
		if begin.IsZero() && c.refused > 0 { // what the one may have at once is used up
			begin = now.Add(warmUp)
		}
		if begin.IsZero() && now.Sub(start) > time.Minute {
			return errors.New("nothing was refused for a minute")
		}
		if !begun && !begin.IsZero() && !now.Before(begin) {
			begun, c.from, c.delivered = true, len(c.sent), 0
			answered, c.refused = c.answered, 0
			c.latency.Reset()
			if before, err = c.server.usage(); err != nil {
				return err
			}
		}
		if begun && now.Sub(begin) >= measure {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		next := due(people, abuseRate)
		for ; !next.After(now); next = due(people, abuseRate) {
			c.people[(people*67)%abusePeople].Emit(`["new message","` + message(len(c.sent), payloadSize) + `"]`)
			c.sent = append(c.sent, next)
			people++
		}
		if of.rate > 0 {
			more := due(requests, of.rate)
			for ; !more.After(now); more = due(requests, of.rate) {
				requests++
				c.one.EmitAck(requests, request)
			}
			if more.Before(next) {
				next = more
			}
		}
		if err := c.poll(time.Until(next)); err != nil {
			return err
		}
	}
	after, err := c.server.usage()
	if err != nil {
		return err
	}
	answered = c.answered - answered
	if of.rate == abuserRate && c.refused < int(abuserShare*float64(answered)) {
		return fmt.Errorf("only %d of %d answers to one client were refusals", c.refused, answered)
	}
	// Nobody gets one's own.
	want := (len(c.sent) - c.from) * (abusePeople - 1)
	err = c.until(ctx, "every delivery", func() bool { return c.delivered >= want })
	if err == nil && c.delivered > want {
		err = errors.New("deliveries were repeated")
	}
	of.p50 = append(of.p50, milliseconds(c.latency, 0.50))
	of.p99 = append(of.p99, milliseconds(c.latency, 0.99))
	of.cpu = append(of.cpu, 100*float64(after.CPU-before.CPU)/float64(measure))
	of.answered = append(of.answered, float64(answered)/measure.Seconds())
	return err
}

// until polls for as long as it takes, up to a minute.
func (c *crowd) until(ctx context.Context, what string, done func() bool) error {
	for end := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(end) {
			return fmt.Errorf("waited in vain for %s", what)
		}
		if err := errors.Join(c.poll(100*time.Millisecond), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowd) poll(wait time.Duration) error {
	return errors.Join(c.swarm.Poll(max(0, wait)), c.failed)
}

// Connected implements swarm.Handler.
func (c *crowd) Connected(*swarm.Client) { c.ready++ }

// Closed implements swarm.Handler.
func (c *crowd) Closed(of *swarm.Client, err error) {
	if c.failed == nil {
		c.failed = fmt.Errorf("client %d: %w", of.Index, err)
	}
}

// Ack implements swarm.Handler: of the one's requests.
func (c *crowd) Ack(_ *swarm.Client, _ int, array []byte, _ time.Time) {
	c.answered++
	if bytes.Contains(array, []byte(`"rate_limited"`)) {
		c.refused++
	}
}

// Event implements swarm.Handler.
func (c *crowd) Event(to *swarm.Client, array []byte, now time.Time) {
	_, text, found := bytes.Cut(array, []byte(`"message":"`))
	if !found || bytes.HasPrefix(text, []byte(abuserText)) || to == c.one {
		return
	}
	n, err := strconv.Atoi(string(text[:min(messageDigits, len(text))]))
	if err != nil || n < 0 || n >= len(c.sent) {
		c.failed = fmt.Errorf("an unexpected event: %.80q", array)
		return
	}
	if n < c.from {
		return
	}
	c.delivered++
	observe(c.latency, now.Sub(c.sent[n]))
}
