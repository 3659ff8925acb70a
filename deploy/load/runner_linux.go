package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/antchat/antchat/deploy/load/result"
	"github.com/antchat/antchat/deploy/load/swarm"
)

// runner is one run. One goroutine owns all of it: that which calls run.
type runner struct {
	o      *options
	part   *part // nil: this is the whole run
	words  vocabulary
	swarm  *swarm.Swarm
	name   string // of this run; begins the rooms' names
	start  time.Time
	noted  int // losses that were told in detail
	random *rand.Rand

	members []*member
	rooms   []*room

	ready     int // members that are connected and have joined
	opening   int // handshakes under way
	again     queue
	nextAck   int
	underway  int // messages that somebody has not got yet
	steady    bool
	measuring bool
	expectEnd func(m *member) bool // closes that belong to the mode

	counts   counts
	verdicts result.Verdicts
	delivery *hdr.Histogram // µs, of every delivery of the measured time
	first    *hdr.Histogram // of each message's first delivery
	ackTimes *hdr.Histogram
	connects *hdr.Histogram
	scrolls  *hdr.Histogram
	recent   *hdr.Histogram // since the last sample
	watch    *watch
}

// newRunner makes a run, or the part p of one (nil: it is the whole).
func newRunner(o *options, p *part) (*runner, error) {
	number := 0
	if p != nil {
		number = p.number
	}
	r := &runner{
		o: o, part: p, words: plain{}, start: time.Now(),
		random: rand.New(rand.NewPCG(1, 2+uint64(number))), // the same run each time
		name:   "load" + strconv.FormatInt(time.Now().UnixMilli(), 36) + "-" + strconv.Itoa(number),
		counts: counts{Counts: newCounts()},
	}
	if o.Vocabulary == "antchat" {
		r.words = antchat{}
	}
	for _, h := range []**hdr.Histogram{&r.delivery, &r.first, &r.ackTimes, &r.connects, &r.scrolls, &r.recent} {
		*h = newHistogram()
	}
	var err error
	if r.swarm, err = swarm.New(r, swarm.Options{Spin: o.Spin, Query: "recovery=1"}); err != nil {
		return nil, err
	}
	if o.Faults {
		r.expectEnd = func(*member) bool { return true }
	}
	r.watch = newWatch(r)
	if p != nil {
		p.begin(r)
	}
	for n := range o.Rooms {
		r.rooms = append(r.rooms, &room{index: n, name: r.name + "-" + strconv.Itoa(n)})
	}
	for i := range o.Clients {
		m := &member{Client: r.swarm.NewClient(i, r.place(i))}
		m.KeepOffset = o.Mode == "chat" || o.Mode == "storm"
		if o.Mode != "idle" {
			at := r.rooms[i%len(r.rooms)]
			if at.speaker == nil {
				at.speaker, m.speaker = m, true
				// Where it is safe from the server that is killed.
				if o.Kill != 0 {
					m.Move(swarm.Place{Server: o.servers[0]})
				}
			}
			m.in = []*membership{{room: at}}
		}
		r.members = append(r.members, m)
	}
	return r, nil
}

// place spreads clients over servers, sources, revisions and transports, each
// evenly within the others.
func (r *runner) place(i int) swarm.Place {
	servers := r.o.servers
	if r.o.OnKilled > 0 {
		// The last ones are on the last server.
		if last := len(servers) - 1; i < r.o.Clients-r.o.OnKilled {
			servers = servers[:last]
		} else {
			servers = servers[last:]
		}
	}
	p := swarm.Place{Server: servers[i%len(servers)], Path: r.o.path, Revision: 4}
	turn := i / len(servers)
	if r.o.Sources > 1 {
		p.Source = netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + turn%r.o.Sources)})
	}
	if r.o.Revision == "3" || r.o.Revision == "mixed" && turn%2 == 1 {
		p.Revision = 3
	}
	if r.o.Transport == "polling" || r.o.Transport == "mixed" && turn/2%2 == 1 {
		p.Polling = true
	}
	return p
}

// micros is the time of the run.
func (r *runner) micros(at time.Time) int64 { return at.Sub(r.start).Microseconds() }

// loop runs until end, or until done says so. step does what is due and says
// when it wants to be called again.
func (r *runner) loop(ctx context.Context, end time.Time, done func() bool, step func(now time.Time) time.Time) error {
	for {
		now := time.Now()
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if !now.Before(end) || done != nil && done() {
			return nil
		}
		next := now.Add(100 * time.Millisecond)
		if due := r.reopen(now); due.Before(next) {
			next = due
		}
		if step != nil {
			if due := step(now); due.Before(next) {
				next = due
			}
		}
		if err := r.watch.sample(now); err != nil {
			return err
		}
		if err := r.swarm.Poll(max(time.Until(next), 0)); err != nil {
			return err
		}
	}
}

// open begins a member's connection.
func (r *runner) open(m *member) error {
	m.began = time.Now()
	if err := m.Open(); err != nil {
		return fmt.Errorf("client %d: %w", m.Index, err)
	}
	m.opening = true
	r.opening++
	return nil
}

func (r *runner) opened(m *member) {
	if m.opening {
		m.opening = false
		r.opening--
	}
}

// connectAll opens every member, o.Opening at a time.
func (r *runner) connectAll(ctx context.Context) error {
	next := 0
	var failure error
	err := r.loop(ctx, time.Now().Add(r.o.Limit), func() bool { return r.ready == len(r.members) || failure != nil }, func(now time.Time) time.Time {
		for ; r.opening < r.o.Opening && next < len(r.members); next++ {
			if failure = r.open(r.members[next]); failure != nil {
				break
			}
		}
		if failed := sum(r.counts.Closed) + sum(r.counts.Refused); r.counts.Connects == 0 && failed > 2*min(len(r.members), r.o.Opening) {
			failure = fmt.Errorf("%d attempts, no success", failed)
		}
		return now.Add(time.Second)
	})
	return errors.Join(err, failure)
}

// Connected implements swarm.Handler.
func (r *runner) Connected(c *swarm.Client) {
	m := r.members[c.Index]
	r.opened(m)
	r.counts.Connects++
	r.counts.connectsTick++
	_ = r.connects.RecordValue(max(time.Since(m.began).Microseconds(), 1))
	m.tries = 0
	m.counted = true
	if c.Recovered {
		r.counts.Recovered++
	}
	for _, at := range m.in {
		if at.in = at.in && c.Recovered; at.in {
			at.room.joined++
		} else {
			r.join(m, at)
		}
	}
	r.settle(m)
	r.resend(m)
}

// join asks for a room; what the member had seen of it is asked for too, where
// the server can tell.
func (r *runner) join(m *member, at *membership) {
	at.joining = true
	if !r.words.acked() {
		at.track = track{} // what is missed meanwhile is missed
	}
	r.ask(m, forJoin, at.room, 0, r.words.join(at.room.name, at.track.last, at.epoch))
}

// settle counts a member as ready once it is in all its rooms.
func (r *runner) settle(m *member) {
	for _, at := range m.in {
		if at.joining {
			return
		}
	}
	if !m.ready {
		m.ready = true
		r.ready++
	}
}

// ask emits with an acknowledgement.
func (r *runner) ask(m *member, what askedFor, in *room, n uint64, array string) {
	r.nextAck = (r.nextAck + 1) % 100_000_000
	m.asked = append(m.asked, asked{r.nextAck, what, in, n, time.Now()})
	m.EmitAck(r.nextAck, array)
}

// Ack implements swarm.Handler.
func (r *runner) Ack(c *swarm.Client, id int, array []byte, now time.Time) {
	m := r.members[c.Index]
	i := slices.IndexFunc(m.asked, func(a asked) bool { return a.id == id })
	if i < 0 {
		return
	}
	a := m.asked[i]
	m.asked = slices.Delete(m.asked, i, i+1)
	got, err := answer(array)
	switch {
	case err != nil:
		r.counts.Refused[err.Error()]++
		return
	case got.Error != nil && got.Error.Retryable:
		r.counts.Unavailable++
		if a.what == forJoin || a.what == forMessage {
			r.drop(m) // it comes back, and asks again
		}
		return
	case got.Error != nil:
		r.counts.Refused[got.Error.Code]++
		return
	}
	switch a.what {
	case forJoin:
		r.counts.Joins++
		r.joinedRoom(m, a.room, got)
	case forMessage:
		r.counts.Acked++
		_ = r.ackTimes.RecordValue(max(now.Sub(a.at).Microseconds(), 1))
		delete(m.unacked, spoken{a.room, a.n})
		a.room.head = max(a.room.head, got.Seq)
		if at := m.place(a.room); at != nil {
			at.track.own(got.Seq)
		}
	case forHistory:
		r.counts.Scrolls++
		_ = r.scrolls.RecordValue(max(now.Sub(a.at).Microseconds(), 1))
	}
}

// joinedRoom takes the answer to a join: where the room stands, and what was
// missed.
func (r *runner) joinedRoom(m *member, in *room, got joined) {
	at := m.place(in)
	if at == nil {
		return
	}
	at.joining, at.in = false, true
	in.joined++
	if r.words.acked() {
		switch {
		case at.epoch != got.Epoch || !at.track.begun:
			at.track.begin(got.Seq)
		case got.More:
			r.counts.Unproven++ // more than one answer holds
			at.track.begin(got.Seq)
		default:
			for _, message := range got.Messages {
				at.track.listed(message.Seq, &r.verdicts)
			}
		}
		at.epoch = got.Epoch
	}
	r.settle(m)
}

// resend says again what the member said and has no acknowledgement for.
func (r *runner) resend(m *member) {
	for what, array := range m.unacked {
		r.ask(m, forMessage, what.room, what.n, array)
	}
}

// Event implements swarm.Handler.
func (r *runner) Event(c *swarm.Client, array []byte, now time.Time) {
	body, seq, ok := r.words.heard(array)
	if !ok {
		return
	}
	index, n, sent, ok := readText(body)
	if !ok || index >= len(r.rooms) {
		return
	}
	m, in := r.members[c.Index], r.rooms[index]
	at := m.place(in)
	if at == nil || !at.in {
		return
	}
	number := n
	if r.words.acked() {
		number = seq
		in.head = max(in.head, seq)
	}
	if !at.track.got(number, &r.verdicts) {
		return
	}
	r.counts.deliveriesTick++
	took := max(r.micros(now)-sent, 1)
	_ = r.recent.RecordValue(took)
	if r.measuring {
		r.counts.Deliveries++
		_ = r.delivery.RecordValue(took)
	}
	if r.o.Rate == 0 && n > 0 && n <= uint64(len(in.under)) {
		if in.under[n-1]--; in.under[n-1] == 0 {
			r.underway--
		}
	}
}

// publish has a room's speaker, or somebody else, say the next message. when is
// the time that latencies count from.
func (r *runner) publish(in *room, m *member, when time.Time) bool {
	if !m.Connected() || !m.ready {
		return false
	}
	in.sent++
	n := in.sent
	array := r.words.say(in.name, text(in.index, n, r.micros(when), r.o.Size), r.name+"-"+strconv.Itoa(in.index)+"-"+strconv.FormatUint(n, 10))
	r.counts.sentTick++
	if r.measuring {
		r.counts.Sent++
	}
	if r.o.Rate == 0 {
		expect := in.joined
		if r.words.acked() {
			expect-- // not the sender
		}
		in.under = append(in.under, int32(expect))
		if expect > 0 {
			r.underway++
		}
	}
	if !r.words.acked() {
		in.head = n
		m.Emit(array)
		return true
	}
	if m.unacked == nil {
		m.unacked = make(map[spoken]string)
	}
	m.unacked[spoken{in, n}] = array
	r.ask(m, forMessage, in, n, array)
	return true
}

// Closed implements swarm.Handler.
func (r *runner) Closed(c *swarm.Client, err error) {
	m := r.members[c.Index]
	r.lost(m)
	var refused *swarm.Refused
	wait := time.Duration(0)
	switch {
	case errors.As(err, &refused):
		r.counts.Refused[strconv.Itoa(refused.Status)]++
		wait = refused.RetryAfter
	default:
		r.counts.Closed[short(err)]++
		if r.steady && (r.expectEnd == nil || !r.expectEnd(m)) {
			r.counts.Unexpected++
		}
	}
	if m.slow {
		return // it has been closed as it should be
	}
	r.comeBack(m, wait)
}

// short is an error without what differs from one client to the next.
func short(err error) string {
	text := err.Error()
	return text[:min(len(text), 120)]
}

// lost takes the member out of what counts.
func (r *runner) lost(m *member) {
	r.opened(m)
	m.asked = nil
	if m.ready {
		m.ready = false
		r.ready--
	}
	for _, at := range m.in {
		if at.in && m.counted {
			at.room.joined--
		}
		at.joining = false
	}
	m.counted = false
}

// drop cuts a member off, as a lost network does; it comes back.
func (r *runner) drop(m *member) {
	r.lost(m)
	m.Drop()
	r.counts.Drops++
	r.comeBack(m, 0)
}

// finish counts what never came, and who is not there.
func (r *runner) finish() {
	for _, m := range r.members {
		if m.slow {
			continue
		}
		if !m.ready {
			r.counts.Away++
			continue
		}
		for _, at := range m.in {
			before := r.verdicts.Lost
			at.track.end(at.room.head, &r.verdicts)
			if r.verdicts.Lost > before {
				r.noteLoss(m, at, "at the end")
			}
		}
	}
}

// noteLoss says who lacks what, for the first few.
func (r *runner) noteLoss(m *member, at *membership, when string) {
	if r.noted++; r.noted > 10 {
		return
	}
	some := slices.Sorted(maps.Keys(at.track.missing))
	_, _ = fmt.Fprintf(os.Stderr, "load: %s client %d lacks %d of room %s %s: %v; it has %d, the room %d\n",
		time.Now().UTC().Format(time.TimeOnly), m.Index, len(some), at.room.name, when, some[:min(len(some), 5)], at.track.last, at.room.head)
}
