package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/antchat/antchat/deploy/load/swarm"
)

// load is many raw WebSocket clients and what they have to get. The first thing that goes wrong with one of them ends the
// measurement.
type load struct {
	swarm    *swarm.Swarm
	revision int  // of Engine.IO that its clients speak
	chat     bool // they speak the program's vocabulary: messages are logged, and acknowledged
	others   bool // as in the chat, a message's sender does not get it
	size     int  // bytes of a payload
	clients  []client
	rooms    []room
	failed   error // of a client

	ready   int // clients that are connected (and have joined, where asked)
	opening int // handshakes under way

	// The messages under way: indexed by number.
	messages    []published
	outstanding int // messages that somebody has not got yet
	unacked     int // chat: messages without an acknowledgement
	delivered   int
	repeated    int
	latency     *hdr.Histogram // of every delivery, in µs
	first       *hdr.Histogram // of each message's first delivery
	last        *hdr.Histogram // of its last
	acks        *hdr.Histogram // chat: of each message's acknowledgement
}

// room is a room and its members, by their place in clients.
type room struct {
	name    string
	members []int32
	sent    int   // messages
	slow    int32 // members that do not read
}

// published is a message: when, to which room, and how many have not got it.
type published struct {
	at            time.Time
	room, missing int32
}

// place is where a client belongs: a server's port, and a room or nowhere.
type place struct {
	port, room int32
	slow       bool // on a narrow link; it will not read
}

const nowhere = -1

type client struct {
	*swarm.Client
	place place    // what one that is slow gets does not count, and it may be closed
	seen  []uint64 // one bit per message number
}

func newLoad(revision int, spin bool) (*load, error) {
	l := &load{revision: revision, size: payloadSize, latency: newHistogram(), first: newHistogram(), last: newHistogram(), acks: newHistogram()}
	var err error
	l.swarm, err = swarm.New(l, swarm.Options{Spin: spin})
	return l, err
}

// newHistogram takes durations in µs of up to a minute, to three digits.
func newHistogram() *hdr.Histogram { return hdr.New(1, time.Minute.Microseconds(), 3) }

func observe(h *hdr.Histogram, d time.Duration) {
	// Beyond a minute is a minute.
	_ = h.RecordValue(min(max(d.Microseconds(), 1), time.Minute.Microseconds()))
}

// close drops every connection at once.
func (l *load) close() { l.swarm.Close() }

// connect opens a client for each place, at most atOnce handshakes at a time,
// and has it join its room. It returns when the last is connected.
func (l *load) connect(ctx context.Context, places []place, atOnce int) error {
	before := len(l.clients)
	l.clients = slices.Grow(l.clients, len(places))
	all := before + len(places)
	for i, p := range places {
		if p.room == nowhere {
			continue
		}
		for int(p.room) >= len(l.rooms) {
			l.rooms = append(l.rooms, room{name: "bench" + strconv.Itoa(len(l.rooms))})
		}
		l.rooms[p.room].members = append(l.rooms[p.room].members, int32(before+i))
		if p.slow {
			l.rooms[p.room].slow++
		}
	}
	deadline := time.Now().Add(2 * time.Minute)
	for l.ready < all {
		for l.opening < atOnce && len(l.clients) < all {
			p := places[len(l.clients)-before]
			at := swarm.Place{
				Server:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(p.port)),
				Revision: l.revision,
			}
			if p.slow {
				at.ReceiveBuffer, at.MaxSegment = 4096, 1460
			}
			c := l.swarm.NewClient(len(l.clients), at)
			if err := c.Open(); err != nil {
				return err
			}
			l.clients = append(l.clients, client{Client: c, place: p})
			l.opening++
		}
		if err := l.poll(100 * time.Millisecond); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d clients connected within two minutes", l.ready, all)
		}
	}
	return nil
}

// poll handles what has arrived, waiting at most wait for something.
func (l *load) poll(wait time.Duration) error { return errors.Join(l.swarm.Poll(wait), l.failed) }

// Connected implements swarm.Handler.
func (l *load) Connected(c *swarm.Client) {
	if at := l.clients[c.Index].place.room; at != nowhere {
		if l.chat {
			c.EmitAck(0, `["join room",{"room":"`+l.rooms[at].name+`","limit":1}]`)
		} else {
			c.EmitAck(0, `["join","`+l.rooms[at].name+`"]`)
		}
		return
	}
	l.joined()
}

// Ack implements swarm.Handler: of a join, which has the id 0, or of a message,
// whose number is one less than its id.
func (l *load) Ack(c *swarm.Client, id int, array []byte, now time.Time) {
	switch {
	case l.chat && bytes.Contains(array, []byte(`"error":{`)):
		l.fail(fmt.Errorf("client %d: %.200s", c.Index, array))
	case id == 0:
		l.joined()
	case id <= len(l.messages):
		l.unacked--
		observe(l.acks, now.Sub(l.messages[id-1].at))
	}
}

func (l *load) fail(err error) {
	if l.failed == nil {
		l.failed = err
	}
}

func (l *load) joined() {
	l.ready++
	l.opening--
}

// Closed implements swarm.Handler.
func (l *load) Closed(c *swarm.Client, err error) {
	if !l.clients[c.Index].place.slow {
		l.fail(fmt.Errorf("client %d: %w", c.Index, err))
	}
}

// Event implements swarm.Handler.
func (l *load) Event(of *swarm.Client, array []byte, now time.Time) {
	c := &l.clients[of.Index]
	if c.place.slow {
		return
	}
	number := messageNumber
	if l.chat {
		number = chatNumber
	}
	n := number(array)
	if n < 0 || n >= len(l.messages) || l.messages[n].room != c.place.room {
		l.fail(fmt.Errorf("client %d: an unexpected event: %.80q", of.Index, array))
		return
	}
	for len(c.seen) <= n/64 {
		c.seen = append(c.seen, 0)
	}
	if c.seen[n/64]&(1<<(n%64)) != 0 {
		l.repeated++
		return
	}
	c.seen[n/64] |= 1 << (n % 64)
	l.delivered++
	m := &l.messages[n]
	observe(l.latency, now.Sub(m.at))
	if m.missing == l.readers(&l.rooms[m.room]) {
		observe(l.first, now.Sub(m.at))
	}
	if m.missing--; m.missing == 0 {
		observe(l.last, now.Sub(m.at))
		l.outstanding--
	}
}

// readers is how many get a message of the room.
func (l *load) readers(r *room) int32 {
	n := int32(len(r.members)) - r.slow
	if l.others {
		n--
	}
	return n
}

// publish sends the next message to a room; the members take turns. when is
// the time that latencies count from.
func (l *load) publish(at int, when time.Time) {
	n, r := len(l.messages), &l.rooms[at]
	missing := l.readers(r)
	l.messages = append(l.messages, published{at: when, room: int32(at), missing: missing})
	if missing > 0 {
		l.outstanding++
	}
	c := &l.clients[r.members[(r.sent*7919)%len(r.members)]]
	for r.sent++; c.place.slow; r.sent++ {
		c = &l.clients[r.members[(r.sent*7919)%len(r.members)]]
	}
	if l.chat {
		l.unacked++
		c.EmitAck(n+1, `["new message",{"room":"`+r.name+`","message":"`+message(n, l.size)+`","id":"bench`+strconv.Itoa(n)+`"}]`)
		return
	}
	event := "msg"
	if l.others {
		event = "tell"
	}
	c.Emit(`["` + event + `","` + r.name + `","` + message(n, l.size) + `"]`)
}

// fanOut is one measured stretch of publishing.
type fanOut struct {
	From, Rooms int           // in turn to so many rooms, from this one on
	Window      int           // messages kept outstanding; used when Rate is 0
	Rate        float64       // messages a second
	WarmUp      time.Duration // not measured
	Measure     time.Duration
	// Until, if there, ends it instead once it is true. It is called often.
	Until func() bool
}

// drain is how long after the last message a delivery counts as late only.
const drain = time.Minute

// run publishes as o says. measured is called when the measured stretch
// begins and when it ends. It then waits for what is still under way and
// returns how many deliveries never came.
func (l *load) run(ctx context.Context, o fanOut, measured func() error) (lost int, err error) {
	start := time.Now()
	begun := false
	next := func(i int) int { return o.From + i%o.Rooms }
	for i := 0; ; {
		now := time.Now()
		if !begun && now.Sub(start) >= o.WarmUp {
			begun = true
			l.latency.Reset()
			l.first.Reset()
			l.last.Reset()
			l.acks.Reset()
			l.delivered = 0
			if err := measured(); err != nil {
				return 0, err
			}
		}
		if now.Sub(start) >= o.WarmUp+o.Measure || o.Until != nil && o.Until() {
			break
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		wait := 100 * time.Millisecond
		if o.Rate > 0 {
			for {
				due := start.Add(time.Duration(float64(i) / o.Rate * float64(time.Second)))
				if wait = due.Sub(now); wait > 0 {
					break
				}
				l.publish(next(i), due)
				i++
			}
		} else {
			for l.outstanding < o.Window {
				l.publish(next(i), time.Now())
				i++
			}
		}
		if err := l.poll(wait); err != nil {
			return 0, err
		}
	}
	if err := measured(); err != nil {
		return 0, err
	}
	for deadline := time.Now().Add(drain); l.outstanding+l.unacked > 0 && time.Now().Before(deadline); {
		if err := l.poll(100 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	for _, m := range l.messages {
		lost += int(m.missing)
	}
	return lost, nil
}

// idle keeps the connections open for d, answering heartbeats.
func (l *load) idle(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.poll(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
