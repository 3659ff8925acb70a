package redis

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
)

// presence is this node's part of who is where: the store hears only of a
// user's first local socket in a room and of the last one's end (DELIVERY,
// "Presence"). The store's order is that of the pipe, into which changes go
// under mu.
type presence struct {
	mu      sync.Mutex
	here    map[seat]*present
	leaving []leaver // by their ends: all wait equally long
}

type seat struct{ namespace, room, user string }

type present struct {
	name    string
	sockets []string // few: a scan beats a map
	leaves  time.Time
}

type leaver struct {
	seat
	until time.Time
}

func (a *Adapter) presenceCall(op string, s seat, name string) (*lane, []any) {
	l := a.laneOf(s.namespace, s.room)
	return l, l.call(lua().presence, op, fullName(s.namespace, s.room), s.user, name)
}

// Enter implements adapter.Presence.
func (a *Adapter) Enter(ctx context.Context, namespace, room, socketID string, p adapter.Person) (int, error) {
	if err := a.usable(ctx); err != nil {
		return 0, err
	}
	s := seat{namespace, room, p.User}
	l, cmd := a.presenceCall("add", s, p.Name)
	type result struct {
		v   any
		err error
	}
	answer := make(chan result, 1)
	a.presence.mu.Lock()
	who := a.presence.here[s]
	if who == nil {
		who = &present{}
		a.presence.here[s] = who
	}
	write := len(who.sockets) == 0 && who.leaves.IsZero() || who.name != p.Name
	who.name, who.leaves = p.Name, time.Time{}
	if !slices.Contains(who.sockets, socketID) {
		who.sockets = append(who.sockets, socketID)
	}
	if write {
		l.pipe.pushNow(&op{cmd: cmd, deadline: time.Now().Add(a.o.Timeout), done: func(v any, err error) { answer <- result{v, err} }})
	}
	a.presence.mu.Unlock()
	if !write {
		_, n, err := a.People(ctx, namespace, room, "", 0)
		return n, err
	}
	var err error
	select {
	case r := <-answer:
		if err = r.err; err == nil {
			got, _ := asReply(r.v)
			if got.text(0) == "ok" {
				return int(got.number(1)), nil
			}
			a.reaped(lifeOf(cmd))
			err = adapter.ErrFenced
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	a.Exit(namespace, room, socketID, p.User, false)
	return 0, a.outcome("enter", err)
}

// Exit implements adapter.Presence.
func (a *Adapter) Exit(namespace, room, socketID, user string, grace bool) {
	if a.closing.Load() {
		return
	}
	grace = grace && a.o.Grace > 0
	s := seat{namespace, room, user}
	p := a.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.here[s]
	if who == nil {
		return
	}
	i := slices.Index(who.sockets, socketID)
	if i >= 0 {
		who.sockets = slices.Delete(who.sockets, i, i+1)
	}
	switch {
	case len(who.sockets) > 0:
	case !grace && (i >= 0 || !who.leaves.IsZero()):
		a.exitLocked(s)
	case i >= 0:
		who.leaves = time.Now().Add(a.o.Grace)
		p.leaving = append(p.leaving, leaver{s, who.leaves})
	}
}

// clear forgets everybody: the store has taken all of it away.
func (p *presence) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.here)
	p.leaving = nil
}

func (a *Adapter) exitLocked(s seat) {
	delete(a.presence.here, s)
	l, cmd := a.presenceCall("remove", s, "")
	l.pipe.control(cmd)
}

// expirePresence ends the graces that are over.
func (a *Adapter) expirePresence(now time.Time) {
	p := a.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.leaving) && !p.leaving[n].until.After(now) {
		x := p.leaving[n]
		n++
		// Came back, perhaps left again: then the later entry counts.
		if who := p.here[x.seat]; who != nil && who.leaves.Equal(x.until) {
			a.exitLocked(x.seat)
		}
	}
	p.leaving = slices.Delete(p.leaving, 0, n)
}

// People implements adapter.Presence.
func (a *Adapter) People(ctx context.Context, namespace, room, after string, limit int) ([]adapter.Person, int, error) {
	if err := a.usable(ctx); err != nil {
		return nil, 0, err
	}
	low := "-"
	if after != "" {
		low = "(" + after
	}
	v, err := a.laneOf(namespace, room).eval(ctx, true, lua().people, "room", fullName(namespace, room), low, max(limit, 0))
	if err != nil {
		return nil, 0, a.outcome("list people", err)
	}
	r, err := asReply(v)
	if err != nil || len(r)%2 != 1 {
		return nil, 0, a.outcome("list people", errWire)
	}
	people := make([]adapter.Person, 0, len(r)/2)
	for i := 1; i+1 < len(r); i += 2 {
		people = append(people, adapter.Person{User: r.text(i), Name: r.text(i + 1)})
	}
	return people, int(r.number(0)), nil
}

// PresentRooms implements adapter.Presence.
func (a *Adapter) PresentRooms(ctx context.Context, namespace, after string, limit int) ([]adapter.RoomCount, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	out := []adapter.RoomCount{}
	limit = min(max(limit, 0), a.o.MaxRead)
	for _, l := range a.lanes {
		got, err := l.page(ctx, lua().people, "rooms", namespace, after, limit, 2)
		if err != nil {
			return nil, a.outcome("list rooms", err)
		}
		for r := range slices.Chunk(got, 2) {
			out = append(out, adapter.RoomCount{Room: roomOf(namespace, r.text(0)), Count: int(r.number(1))})
		}
	}
	slices.SortFunc(out, func(x, y adapter.RoomCount) int { return cmp.Compare(x.Room, y.Room) })
	return out[:min(limit, len(out))], nil
}
