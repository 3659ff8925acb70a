package local

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// presence counts distinct people per room. Changes are pushed to the
// sequencer under mu, so that their order and their counts agree.
type presence struct {
	seq        *roomindex.Sequencer
	graceMilli int64

	mu    sync.Mutex
	rooms map[roomKey]*presentRoom
	names map[string][]string // by namespace, ascending
	// leaving are people whose last socket was lost, in the order of their
	// ends: all wait equally long, so a queue does what a heap would.
	leaving queue[leaver]
}

type presentRoom struct {
	key    roomKey
	people []*present // ascending by user
}

type present struct {
	person  adapter.Person
	sockets []string // few: a scan beats a map
	leaves  int64    // when the grace ends, Unix milliseconds; 0 while there is a socket
}

type leaver struct {
	key   roomKey
	user  string
	until int64
}

func newPresence(seq *roomindex.Sequencer, graceMilli int64) *presence {
	return &presence{
		seq: seq, graceMilli: graceMilli,
		rooms: make(map[roomKey]*presentRoom), names: make(map[string][]string),
	}
}

func byUser(p *present, user string) int { return strings.Compare(p.person.User, user) }

func (r *presentRoom) find(user string) (int, *present) {
	i, ok := slices.BinarySearchFunc(r.people, user, byUser)
	if !ok {
		return i, nil
	}
	return i, r.people[i]
}

func (p *presence) changeLocked(r *presentRoom, person adapter.Person, joined bool) {
	p.seq.Push(&roomindex.Presence{
		Namespace: r.key.namespace, Room: r.key.room, Person: person, Joined: joined, Count: len(r.people),
	})
}

func (p *presence) enter(key roomKey, socketID string, person adapter.Person) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rooms[key]
	if r == nil {
		r = &presentRoom{key: key}
		p.rooms[key] = r
		names := p.names[key.namespace]
		i, _ := slices.BinarySearch(names, key.room)
		p.names[key.namespace] = slices.Insert(names, i, key.room)
	}
	i, who := r.find(person.User)
	if who == nil {
		who = &present{person: person, sockets: []string{socketID}}
		r.people = slices.Insert(r.people, i, who)
		p.changeLocked(r, person, true)
		return len(r.people)
	}
	who.person, who.leaves = person, 0
	if !slices.Contains(who.sockets, socketID) {
		who.sockets = append(who.sockets, socketID)
	}
	return len(r.people)
}

func (p *presence) exit(key roomKey, socketID, user string, grace bool, nowMilli int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rooms[key]
	if r == nil {
		return
	}
	_, who := r.find(user)
	if who == nil {
		return
	}
	i := slices.Index(who.sockets, socketID)
	if i >= 0 {
		who.sockets = slices.Delete(who.sockets, i, i+1)
	}
	switch {
	case len(who.sockets) > 0:
	case !grace && (i >= 0 || who.leaves > 0):
		p.removeLocked(r, user)
	case i >= 0:
		who.leaves = nowMilli + p.graceMilli
		p.leaving.push(leaver{key: key, user: user, until: who.leaves})
	}
}

func (p *presence) removeLocked(r *presentRoom, user string) {
	i, who := r.find(user)
	r.people = slices.Delete(r.people, i, i+1)
	p.changeLocked(r, who.person, false)
	if len(r.people) > 0 {
		return
	}
	delete(p.rooms, r.key)
	names := p.names[r.key.namespace]
	if i, ok := slices.BinarySearch(names, r.key.room); ok {
		names = slices.Delete(names, i, i+1)
	}
	if len(names) == 0 {
		delete(p.names, r.key.namespace)
	} else {
		p.names[r.key.namespace] = names
	}
}

// expire ends the graces that are over.
func (p *presence) expire(nowMilli int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.leaving.len() > 0 && p.leaving.front().until <= nowMilli {
		l := p.leaving.front()
		p.leaving.pop()
		if r := p.rooms[l.key]; r != nil {
			// Came back, perhaps left again: then the later entry counts.
			if _, who := r.find(l.user); who != nil && who.leaves == l.until {
				p.removeLocked(r, l.user)
			}
		}
	}
}

// Enter implements adapter.Presence.
func (a *Adapter) Enter(ctx context.Context, namespace, room, socketID string, p adapter.Person) (int, error) {
	if err := a.usable(ctx); err != nil {
		return 0, err
	}
	if err := a.seq.Admit(ctx); err != nil {
		return 0, err
	}
	return a.presence.enter(roomKey{namespace, room}, socketID, p), nil
}

// Exit implements adapter.Presence.
func (a *Adapter) Exit(namespace, room, socketID, user string, grace bool) {
	a.presence.exit(roomKey{namespace, room}, socketID, user, grace && a.o.Grace > 0, a.nowMilli())
}

// People implements adapter.Presence.
func (a *Adapter) People(ctx context.Context, namespace, room, after string, limit int) ([]adapter.Person, int, error) {
	if err := a.usable(ctx); err != nil {
		return nil, 0, err
	}
	p := a.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rooms[roomKey{namespace, room}]
	if r == nil {
		return nil, 0, nil
	}
	i, who := r.find(after)
	if who != nil && after != "" {
		i++
	}
	rest := r.people[i:]
	rest = rest[:min(max(limit, 0), len(rest))]
	people := make([]adapter.Person, 0, len(rest))
	for _, who := range rest {
		people = append(people, who.person)
	}
	return people, len(r.people), nil
}

// PresentRooms implements adapter.Presence.
func (a *Adapter) PresentRooms(ctx context.Context, namespace, after string, limit int) ([]adapter.RoomCount, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	p := a.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	names := page(p.names[namespace], after, limit)
	out := make([]adapter.RoomCount, 0, len(names))
	for _, name := range names {
		out = append(out, adapter.RoomCount{Room: name, Count: len(p.rooms[roomKey{namespace, name}].people)})
	}
	return out, nil
}
