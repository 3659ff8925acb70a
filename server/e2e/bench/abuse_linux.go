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
// anybody may, there or in another room. What it may, it gets: so there is a
// stretch in which it asks for just that. Ours is the program with its default limits.
const (
	abusePeople = 200
	abuseRate   = 50   // messages a second of all people together
	abuserRate  = 1000 // requests a second of the one
	fairRate    = 50   // what fairness.messages_socket lets through by default
	// abuserShare is how many of these must be refused, or nothing was limited.
	abuserShare = 0.8
	abuserText  = "and another"
	elsewhere   = "elsewhere" // a room with nobody else
)

// crowd is those people and, last, the one.
type crowd struct {
	server  *server
	swarm   *swarm.Swarm
	clients []*swarm.Client
	ready   int
	failed  error

	sent      []time.Time // the people's messages, by number
	from      int         // the first that is measured
	delivered int         // of these
	latency   *hdr.Histogram

	asked, refused int // of the abuser
}

func abuse(ctx context.Context, f *fleet, _ *load, o options, add func(string, float64)) error {
	c := &crowd{server: f.nodes[0], latency: newHistogram()}
	var err error
	if c.swarm, err = swarm.New(c, swarm.Options{Spin: o.spin}); err != nil {
		return err
	}
	defer c.swarm.Close()
	at := swarm.Place{Server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(f.nodes[0].port))}
	for i := range abusePeople + 1 {
		client := c.swarm.NewClient(i, at)
		if err := client.Open(); err != nil {
			return err
		}
		c.clients = append(c.clients, client)
	}
	if err := c.until(ctx, "everybody to be connected", func() bool { return c.ready == len(c.clients) }); err != nil {
		return err
	}
	c.clients[abusePeople].EmitAck(0, `["join room","`+elsewhere+`"]`)
	kinds := []*ask{{name: "calm"}, {name: "elsewhere", rate: abuserRate, room: elsewhere}, {name: "fair", rate: fairRate}, {name: "flood", rate: abuserRate}}
	for _, k := range kinds {
		k.latency = newHistogram()
	}
	// In turn, so that what the machine does meanwhile meets all.
	for range 2 {
		for _, k := range kinds {
			if err := c.stretch(ctx, o.measure/2, k); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	if c.refused < int(abuserShare*float64(c.asked)) {
		return fmt.Errorf("only %d of %d requests of one client were refused", c.refused, c.asked)
	}
	p99 := make(map[string]float64)
	for _, k := range kinds {
		p99[k.name] = milliseconds(k.latency, 0.99)
		add("abuse "+k.name+" p50", milliseconds(k.latency, 0.50))
		add("abuse "+k.name+" p99", p99[k.name])
		add("abuse "+k.name+" cpu", 100*float64(k.cpu)/float64(2*(o.measure/2)))
	}
	change := func(key, from, to string) { add("abuse "+key, 100*(p99[to]-p99[from])/p99[from]) }
	change("elsewhere change", "calm", "elsewhere")
	change("flood beyond", "fair", "flood")
	change("flood change", "calm", "flood")
	return nil
}

// ask is what the one does meanwhile.
type ask struct {
	name    string
	rate    float64 // messages a second; 0: nothing
	room    string  // "": the lobby
	latency *hdr.Histogram
	cpu     time.Duration // of the server
}

// stretch has the people write, and measures how long their messages take.
func (c *crowd) stretch(ctx context.Context, measure time.Duration, of *ask) error {
	request := `["new message",{"room":"` + cmp.Or(of.room, "lobby") + `","message":"` + abuserText + `"}]`
	start, begun := time.Now(), false
	var before process.Usage
	people, requests := 0, 0
	due := func(n int, rate float64) time.Time {
		return start.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	}
	for {
		now := time.Now()
		if !begun && now.Sub(start) >= warmUp { // what the abuser may have at once is used up
			begun, c.from = true, len(c.sent)
			c.latency.Reset()
			var err error
			if before, err = c.server.usage(); err != nil {
				return err
			}
		}
		if now.Sub(start) >= warmUp+measure {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		next := due(people, abuseRate)
		for ; !next.After(now); next = due(people, abuseRate) {
			c.clients[(people*67)%abusePeople].Emit(`["new message","` + message(len(c.sent), payloadSize) + `"]`)
			c.sent = append(c.sent, next)
			people++
		}
		if of.rate > 0 {
			more := due(requests, of.rate)
			for ; !more.After(now); more = due(requests, of.rate) {
				c.clients[abusePeople].EmitAck(requests, request)
				requests++
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
	of.cpu += after.CPU - before.CPU
	// Nobody gets one's own.
	err = c.until(ctx, "every delivery", func() bool { return c.delivered >= len(c.sent)*abusePeople })
	if err == nil && c.delivered > len(c.sent)*abusePeople {
		err = errors.New("deliveries were repeated")
	}
	of.latency.Merge(c.latency)
	if of.rate == abuserRate {
		c.asked += requests
	}
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

// Ack implements swarm.Handler: of the abuser's requests.
func (c *crowd) Ack(_ *swarm.Client, _ int, array []byte, _ time.Time) {
	if bytes.Contains(array, []byte(`"rate_limited"`)) {
		c.refused++
	}
}

// Event implements swarm.Handler.
func (c *crowd) Event(_ *swarm.Client, array []byte, now time.Time) {
	_, text, found := bytes.Cut(array, []byte(`"message":"`))
	if !found || bytes.HasPrefix(text, []byte(abuserText)) {
		return
	}
	n, err := strconv.Atoi(string(text[:min(messageDigits, len(text))]))
	if err != nil || n < 0 || n >= len(c.sent) {
		c.failed = fmt.Errorf("an unexpected event: %.80q", array)
		return
	}
	c.delivered++
	if n < c.from {
		return
	}
	observe(c.latency, now.Sub(c.sent[n]))
}
