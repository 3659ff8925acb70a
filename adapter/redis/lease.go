package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// linkWatch is what a lane's beats have found of its link: since when nothing has
// come on it, and how many of them Redis has answered meanwhile. It belongs to
// beatLoop.
type linkWatch struct {
	gen, heard uint64
	answers    int
	since      time.Time
}

const (
	// maxSilence is how long nothing may come on a link while Redis answers, and
	// silentBeats the beats that it answers in that time: a node that was stopped
	// itself has heard nothing either.
	maxSilence  = 3 * time.Second
	silentBeats = 2
)

// silent is called when Redis has answered a beat, which it published too. A link
// whose reader has a message in hand is behind, not dead: all of it is there, in order.
func (s *linkWatch) silent(l *lane, gen uint64) bool {
	if heard := l.heard.Load(); l.inHand.Load() || s.gen != gen || s.heard != heard {
		*s = linkWatch{gen: gen, heard: heard, since: time.Now()}
		return false
	}
	s.answers++
	return s.answers >= silentBeats && time.Since(s.since) > maxSilence
}

// beatPatience is how long a beat may take. One that Redis answers late has renewed
// the lease all the same, so it is worth more than a new one behind it.
func (o *Options) beatPatience() time.Duration { return max(o.Beat, o.Lease/3) }

// beat keeps a lane's lease and sees that its link is alive (DELIVERY,
// "Link", "Ownership").
func (l *lane) beatLoop() {
	var watch linkWatch
	var suspects []string
	for {
		suspects = l.beat(&watch, suspects)
		select {
		case <-time.After(l.a.o.Beat - l.a.o.Beat/8 + rand.N(l.a.o.Beat/8+1)):
		case <-l.a.beatNow[l.n]:
		case <-l.a.ctx.Done():
			return
		}
	}
}

// beat returns whose leases are overdue. Whoever was so at the beat before as well,
// one of suspects, is reaped: when it was Redis or this machine that slept, the
// others' beats have come in between.
func (l *lane) beat(watch *linkWatch, suspects []string) (overdue []string) {
	// The pipe is kept awake too: a connection that is only found dead by the
	// next message costs that message its time.
	l.pipe.pushNow(&op{cmd: []any{"PING"}, once: true, deadline: time.Now().Add(l.a.o.Beat)})
	ctx, cancel := context.WithTimeout(l.a.ctx, l.a.o.beatPatience())
	defer cancel()
	life := l.a.incarnation()
	asked := time.Now()
	v, err := l.evalBy(ctx, l.own(beats), true, lua().beat, l.a.node, l.a.o.Lease.Milliseconds())
	var r reply
	if err == nil {
		r, err = asReply(v)
	}
	l.mu.Lock()
	alive := err == nil && r.text(0) == "ok"
	switch {
	case err != nil:
		// While Redis does not answer, a link that is silent is not to blame: what it
		// brings afterwards is whole, and a repair would be made when Redis has most to do.
		l.beatErr = l.a.conn.redact(err).Error()
		l.steady = time.Time{}
	case alive && l.state == linkLive && r.number(2) != l.start:
		l.loseLocked("a new era began")
	case alive && l.state == linkLive && l.pos > r.number(1) && l.lastBeat.Before(asked):
		l.loseLocked("what came after a beat is here, and the beat is not")
	case alive && l.state != linkDown && watch.silent(l, l.gen):
		l.loseLocked("no beat came")
	}
	if err == nil {
		l.beatErr = ""
		if l.steady.IsZero() {
			l.steady = time.Now()
		}
	}
	// When Redis was away nobody could renew: the others get a whole lease to
	// come back before this node takes them for dead.
	mayReap := err == nil && time.Since(l.steady) > l.a.o.Lease
	live := l.state == linkLive
	l.mu.Unlock()
	switch {
	case err != nil:
		l.a.note("beat", err)
	case r.text(0) == "dead":
		l.a.reaped(life)
	default:
		if live && l.stale.Swap(false) {
			l.a.spawn(l.rewrite)
		}
		if !mayReap {
			return nil
		}
		ripe := ""
		for i := range r.list(3) {
			who := r.list(3).text(i)
			if who == l.a.incarnation() {
				continue
			}
			overdue = append(overdue, who)
			if ripe == "" && slices.Contains(suspects, who) {
				ripe = who
			}
		}
		if left := r.list(4); ripe == "" && len(left) > 0 {
			ripe = left.text(0)
		}
		if ripe != "" && l.reaping.CompareAndSwap(false, true) {
			if !l.a.spawn(func() { defer l.reaping.Store(false); l.reap(ripe) }) {
				l.reaping.Store(false)
			}
		}
	}
	return overdue
}

const (
	// reapChunk is how many sessions, sockets and people one call ends.
	reapChunk = 100
	// maxReapPause bounds the pause after a call, which is as long as it took: what
	// the dead have left must not slow down the living.
	maxReapPause = time.Second
)

// reap ends an overdue incarnation, in chunks. One node of the fleet does it at a
// time, and one incarnation after the other: after a time in which nobody was served,
// most of those who are overdue are about to come back.
func (l *lane) reap(who string) {
	for n := 0; ; n++ {
		began := time.Now()
		v, err := l.evalBy(l.a.ctx, l.own(upkeep), true, lua().reap, who, l.a.o.Lease.Milliseconds(), l.a.o.Window.Milliseconds(), reapChunk)
		if err != nil {
			l.a.note("reap", err)
			return
		}
		left, _ := v.(int64)
		if n == 0 && left > 0 {
			l.a.o.Logger.Info("a node's lease ran out", "node", who, "lane", l.n)
		}
		if left <= 0 { // ended, or another node is at it
			return
		}
		select {
		case <-time.After(min(time.Since(began), maxReapPause)):
		case <-l.a.ctx.Done():
			return
		}
	}
}

// fenceStep is how many connections a reaped node closes at a time; it takes half a
// lease for all of them. Their clients come back, and all at once they would be the next
// thing that nobody can bear. Until then they are served as between expiry and reaping:
// tokens say whose a session is.
const fenceStep = 64

// reaped is called when the store says that this incarnation is dead: it was
// asleep for longer than its lease. Everything it had belongs to others now:
// all transports are closed, and a new incarnation begins.
// life is the incarnation that was told so: an answer to a former one says
// nothing of this one.
func (a *Adapter) reaped(life string) {
	if life != a.incarnation() || a.fencing.Swap(true) {
		return
	}
	if !a.spawn(func() {
		defer a.fencing.Store(false)
		a.o.Logger.Warn("this node had been reaped; its connections are closed", "incarnation", a.incarnation())
		if h := a.o.Hooks.Fenced; h != nil {
			h()
		}
		// As disown does, and before anything can be written in the new life's name.
		a.owned.clear()
		a.presence.clear()
		a.renew()
		for _, ch := range a.beatNow {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
		a.fenceAll()
	}) {
		a.fencing.Store(false)
	}
}

// fenceAll ends the cuts under way and the transports of all sockets that are here now.
func (a *Adapter) fenceAll() {
	type place struct {
		namespace string
		socket    adapter.Socket
	}
	found := make(chan []place, 1)
	if !a.seq.Push(roomindex.Func(func(q *roomindex.Sequencer) {
		var all []place
		for _, op := range a.tracked() {
			if op.socket != nil {
				op.over = true
				a.disown(op.session)
				op.fail(adapter.ErrFenced)
			}
		}
		for _, ns := range a.openNamespaces() {
			n := q.Namespace(ns)
			if n == nil {
				continue // closed meanwhile
			}
			for _, s := range n.Index.Select(&adapter.Target{Namespace: ns}) {
				all = append(all, place{ns, s})
			}
		}
		found <- all
	})) {
		return
	}
	all := <-found
	pause := a.o.Lease / 2 / time.Duration(len(all)/fenceStep+1)
	for n := 0; n < len(all); {
		part := all[n:min(n+fenceStep, len(all))]
		n += len(part)
		a.seq.Push(roomindex.Func(func(q *roomindex.Sequencer) {
			for _, x := range part {
				n := q.Namespace(x.namespace)
				if n == nil {
					continue
				}
				if o, here := n.Index.Session(x.socket); here {
					a.disown(o)
					a.fenceSocket(q, x.namespace, x.socket)
				}
			}
		}))
		if n == len(all) {
			return
		}
		select {
		case <-time.After(pause):
		case <-a.ctx.Done():
			return
		}
	}
}

// disown makes this node forget a session before its connection is fenced, so
// that the end of the connection is not taken for the end of the session: its
// client comes back for it.
func (a *Adapter) disown(o *adapter.Owner) {
	if o != nil {
		a.owned.drop(o.PID, o.Token)
	}
}

// rewriteStep is how many commands of a rewriting are in the pipe at a time: messages
// wait behind so many, and not behind all that a node has.
const rewriteStep = 128

// passed waits until what was pushed into the lane's pipe before is done with.
func (l *lane) passed() {
	done := make(chan struct{})
	l.pipe.pushNow(pingOp(func() { close(done) }))
	<-done // also of a pipe that is closed
}

// rewrite writes what this node knows again: the store has lost something, or
// may have (DELIVERY, "Presence"). Every part is idempotent.
func (l *lane) rewrite() {
	l.rewriting.Lock()
	defer l.rewriting.Unlock()
	a := l.a
	l.claim()
	// Presence: what is here, and what the store has of this node and is not.
	if err := l.forgetPresence(); err != nil {
		l.stale.Store(true)
	}
	a.presence.mu.Lock()
	seats := slices.Collect(maps.Keys(a.presence.here))
	a.presence.mu.Unlock()
	for part := range slices.Chunk(seats, rewriteStep) {
		a.presence.mu.Lock()
		for _, s := range part {
			who := a.presence.here[s]
			if who == nil {
				continue // left meanwhile, which is in the pipe
			}
			if at, cmd := a.presenceCall("add", s, who.name); at == l {
				l.pipe.control(cmd)
			}
		}
		a.presence.mu.Unlock()
		l.passed()
	}
	// Sessions.
	restore := func(pid string, s *ownedSession) {
		if !s.claimed.IsZero() {
			return
		}
		args := []any{"restore", pid, l.hasPID(pid), s.token, s.rec.Namespace, s.rec.SID, s.rec.User, s.rec.Data}
		args = append(args, "s", s.start[l.n])
		for room, pos := range s.rooms {
			if a.laneOf(s.rec.Namespace, room) == l {
				args = append(args, "r:"+room, pos)
			}
		}
		l.pipe.control(l.call(lua().session, args...))
	}
	for part := range slices.Chunk(a.owned.pids(), rewriteStep) {
		a.owned.some(part, restore)
		l.passed()
	}
	for part := range slices.Chunk(a.owned.parted(), rewriteStep) {
		for _, x := range part {
			restore(x.pid, x.s)
			l.pipe.control(l.call(lua().session, "gone", x.pid, l.hasPID(x.pid), x.s.token, a.o.Window.Milliseconds()))
		}
		l.passed()
	}
	// Sockets' ids.
	a.seq.Push(roomindex.Func(func(*roomindex.Sequencer) {
		var args []any
		send := func() {
			if len(args) > 0 {
				l.pipe.control(l.call(lua().sockets, args...))
				args = nil
			}
		}
		for name, h := range a.homes {
			ns, _, _ := strings.Cut(name, ",")
			if a.laneOf(ns, h.socket.ID()) == l {
				if args = append(args, name, h.op); len(args) >= 1000 {
					send()
				}
			}
		}
		send()
	}))
}

// forgetPresence removes what the store has of this node's presence that is
// not so.
func (l *lane) forgetPresence() error {
	var cursor uint64
	for {
		members, next, err := l.presencePage(cursor)
		if err != nil {
			return err
		}
		l.a.presence.mu.Lock()
		for _, m := range members {
			size, rest, _ := strings.Cut(m, ":")
			var n int
			if _, err := fmt.Sscanf(size, "%d", &n); err != nil || n > len(rest) {
				continue
			}
			ns, room, _ := strings.Cut(rest[:n], ",")
			s := seat{ns, room, rest[n:]}
			if l.a.presence.here[s] == nil {
				_, cmd := l.a.presenceCall("remove", s, "")
				l.pipe.control(cmd)
			}
		}
		l.a.presence.mu.Unlock()
		l.passed()
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (l *lane) presencePage(cursor uint64) (members []string, next uint64, err error) {
	ctx, cancel := context.WithTimeout(l.a.ctx, l.a.o.Timeout)
	defer cancel()
	client, err := l.a.conn.client(ctx, l.n, upkeep, len(l.a.lanes))
	if err != nil {
		return nil, 0, err
	}
	return client.SScan(ctx, l.base+"pn:"+l.a.incarnation(), cursor, "", rewriteStep).Result()
}

// fencePID ends the connection of a session that is another's by now.
func (a *Adapter) fencePID(pid string, token uint64) {
	a.owned.mu.Lock()
	s := a.owned.byPID[pid]
	if s == nil || s.token >= token {
		a.owned.mu.Unlock()
		return
	}
	namespace, sid := s.rec.Namespace, s.rec.SID
	delete(a.owned.byPID, pid)
	a.owned.mu.Unlock()
	a.fence(namespace, sid, token)
}

// fence ends the connection of a socket whose session has a newer token.
func (a *Adapter) fence(namespace, sid string, token uint64) {
	a.seq.Push(roomindex.Func(func(q *roomindex.Sequencer) {
		for _, op := range a.tracked() {
			if op.socket != nil && op.namespace == namespace && op.socket.ID() == sid && op.session != nil && op.session.Token < token {
				op.over = true
				op.fail(adapter.ErrFenced)
			}
		}
		n := q.Namespace(namespace)
		if n == nil {
			return
		}
		for _, s := range slices.Clone(n.Index.Select(&adapter.Target{Rooms: []string{sid}})) {
			if s.ID() != sid {
				continue // somebody in a room of that name
			}
			if o, ok := n.Index.Session(s); ok && o != nil && o.Token < token {
				a.owned.drop(o.PID, o.Token)
				a.fenceSocket(q, namespace, s)
			}
		}
	}))
}

// apart takes what has no place in the order of events off the link.
func (a *Adapter) apart(_ *lane, p *parcel) {
	switch p.kind {
	case kindFence:
		token, err1 := p.number(0)
		size, err2 := p.number(1)
		if err1 != nil || err2 != nil || size > uint64(len(p.body)) {
			a.drop("malformed fence")
			return
		}
		a.fence(string(p.body[:size]), string(p.body[size:]), token)
	case kindReply:
		a.replied(p)
	}
}

// checkSetup compares the fleet's number of lanes with this node's.
func (l *lane) checkSetup(ctx context.Context) error {
	first := l.a.lanes[0]
	v, err := first.evalBy(ctx, first.own(upkeep), true, lua().setup, len(l.a.lanes))
	if err != nil {
		return err
	}
	if got := asText(v); got != fmt.Sprint(len(l.a.lanes)) {
		return errors.New("this fleet has " + got + " lanes, and this node is set to another number")
	}
	return nil
}
