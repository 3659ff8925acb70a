package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// beat keeps a lane's lease and sees that its link is alive (DELIVERY,
// "Link", "Ownership").
func (l *lane) beatLoop() {
	for {
		l.beat()
		select {
		case <-time.After(l.a.o.Beat - l.a.o.Beat/8 + rand.N(l.a.o.Beat/8+1)):
		case <-l.a.beatNow[l.n]:
		case <-l.a.ctx.Done():
			return
		}
	}
}

func (l *lane) beat() {
	// The pipe is kept awake too: a connection that is only found dead by the
	// next message costs that message its time.
	l.pipe.pushNow(&op{cmd: []any{"PING"}, once: true, deadline: time.Now().Add(l.a.o.Beat)})
	ctx, cancel := context.WithTimeout(l.a.ctx, l.a.o.Beat)
	defer cancel()
	life := l.a.incarnation()
	v, err := l.eval(ctx, true, lua().beat, l.a.node, l.a.o.Lease.Milliseconds())
	var r reply
	if err == nil {
		r, err = asReply(v)
	}
	l.mu.Lock()
	silent := l.state != linkDown && time.Since(l.lastBeat) > l.a.o.Beat+3*time.Second
	newEra := err == nil && r.text(0) == "ok" && l.state == linkLive && r.number(2) != l.start
	switch {
	case err != nil:
		l.beatErr = l.a.conn.redact(err).Error()
		l.steady = time.Time{}
	case silent:
		l.loseLocked("no beat came")
	case newEra:
		l.loseLocked("a new era began")
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
		for i := range r.list(3) {
			if !mayReap {
				break
			}
			if who := r.list(3).text(i); who != l.a.incarnation() {
				l.reap(who)
			}
		}
	}
}

// reap ends an overdue incarnation, in chunks.
func (l *lane) reap(who string) {
	l.a.o.Logger.Info("a node's lease ran out", "node", who, "lane", l.n)
	for range 1000 {
		v, err := l.eval(l.a.ctx, true, lua().reap, who, l.a.o.Lease.Milliseconds(), l.a.o.Window.Milliseconds(), 100)
		if err != nil {
			l.a.note("reap", err)
			return
		}
		if left, _ := v.(int64); left == 0 {
			return
		}
	}
}

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
		a.owned.clear() // as disown does; what comes until the fence passes is seen there
		a.renew()
		passed := make(chan struct{})
		if !a.seq.Push(roomindex.Func(func(q *roomindex.Sequencer) {
			defer close(passed)
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
				for _, s := range slices.Clone(n.Index.Select(&adapter.Target{Namespace: ns})) {
					o, _ := n.Index.Session(s)
					a.disown(o)
					a.fenceSocket(q, ns, s)
				}
			}
		})) {
			return
		}
		<-passed
		a.presence.mu.Lock()
		clear(a.presence.here)
		a.presence.leaving = nil
		a.presence.mu.Unlock()
		for _, ch := range a.beatNow {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}) {
		a.fencing.Store(false)
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

// rewrite writes what this node knows again: the store has lost something, or
// may have (DELIVERY, "Presence"). Every part is idempotent.
func (l *lane) rewrite() {
	a := l.a
	l.claim()
	// Presence: what is here, and what the store has of this node and is not.
	if err := l.forgetPresence(); err != nil {
		l.stale.Store(true)
	}
	a.presence.mu.Lock()
	for s, who := range a.presence.here {
		if at, cmd := a.presenceCall("add", s, who.name); at == l {
			l.pipe.control(cmd)
		}
	}
	a.presence.mu.Unlock()
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
	a.owned.each(restore)
	a.owned.eachLeft(func(pid string, s *ownedSession) {
		restore(pid, s)
		l.pipe.control(l.call(lua().session, "gone", pid, l.hasPID(pid), s.token, a.o.Window.Milliseconds()))
	})
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
	ctx, cancel := context.WithTimeout(l.a.ctx, l.a.o.Timeout)
	defer cancel()
	client, err := l.a.conn.pool(ctx, l.n, l.a.o.Connections)
	if err != nil {
		return err
	}
	var cursor uint64
	for {
		members, next, err := client.SScan(ctx, l.base+"pn:"+l.a.incarnation(), cursor, "", 500).Result()
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
		if cursor = next; cursor == 0 {
			return nil
		}
	}
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
	v, err := l.a.lanes[0].eval(ctx, true, lua().setup, len(l.a.lanes))
	if err != nil {
		return err
	}
	if got := asText(v); got != fmt.Sprint(len(l.a.lanes)) {
		return errors.New("this fleet has " + got + " lanes, and this node is set to another number")
	}
	return nil
}
