package roomindex

import (
	"slices"
	"sync"

	"github.com/antchat/antchat/adapter"
)

// Index knows the local sockets of one namespace and their rooms.
//
// It has one owner, the sequencer: only the owner calls Add, Remove, Join,
// Leave and Select. Rooms, Session, Find, Known, RoomLen and Len may be called
// from any goroutine.
//
// A membership costs 40 bytes: a slot in the room's two parallel slices and a
// seat in the socket's list. A room costs 50 besides, and as its only member one
// has no slots.
type Index struct {
	// Written by the owner under mu; the owner reads without it, since nobody
	// else writes.
	mu      sync.RWMutex
	members *Table[member]
	rooms   *Table[room]
	all     room // never with only

	// Owned by the owner.
	scratch []adapter.Socket
	round   uint64 // of the last Select; see member.round
	watch   func(room string, open bool)
	changed []change // of rooms, not told yet; empty without watch
}

// change of a room: its first socket came, or its last one went. A socket's id
// is such a room.
type change struct {
	room string
	open bool
}

// room is a dense set: a single room's sockets are handed to the Receiver as
// the slice stands, with no walk and no allocation. Rooms of one, such as that of
// a person's own sockets, are many and are kept small.
type room struct {
	name string
	only *member // the one member; nil: there are lists
	*lists
}

type lists struct {
	sockets []adapter.Socket
	members []*member // parallel to sockets
}

// those are the room's sockets and members.
func (r *room) those() ([]adapter.Socket, []*member) {
	if r.only != nil {
		return r.only.itself()
	}
	return r.sockets, r.members
}

// list is the room's sockets.
func (r *room) list() []adapter.Socket {
	sockets, _ := r.those()
	return sockets
}

// itself is the member as a room of its own: its place in the namespace's.
func (m *member) itself() ([]adapter.Socket, []*member) {
	all, at := m.seats[0].room, m.seats[0].at
	return all.sockets[at : at+1 : at+1], all.members[at : at+1 : at+1]
}

type member struct {
	socket  adapter.Socket
	session *adapter.Owner
	seats   []seat // seats[0] is the namespace's own
	round   uint64 // last Select that took or refused this member
}

// seat is where a member sits in a room's slices.
type seat struct {
	room *room
	at   int32
}

// Found is a socket that Find came upon.
type Found struct {
	Socket adapter.Socket
	Rooms  []string // without the socket's own id
}

// NewIndex makes an empty index.
func NewIndex() *Index {
	return &Index{
		members: NewTable(func(m *member) string { return m.socket.ID() }),
		rooms:   NewTable(func(r *room) string { return r.name }),
		all:     room{lists: &lists{}},
	}
}

// Add makes a socket known under its id, in no room. A socket that already had
// the id is taken out and returned: the newer connection of a session replaces
// the older one. Adding a socket again changes nothing but its session.
func (x *Index) Add(s adapter.Socket, session *adapter.Owner) (replaced adapter.Socket) {
	id := s.ID()
	x.mu.Lock()
	defer x.tell()
	defer x.mu.Unlock()
	if old := x.members.Find(id); old != nil {
		if old.socket == s {
			old.session = session
			return nil
		}
		replaced = old.socket
		x.removeLocked(old)
	}
	m := &member{socket: s, session: session}
	x.members.Put(m)
	sit(m, &x.all)
	x.note(id, true)
	return replaced
}

// note keeps a change for tell, which must not run under mu: who is told may
// ask back.
func (x *Index) note(room string, open bool) {
	if x.watch != nil {
		x.changed = append(x.changed, change{room, open})
	}
}

func (x *Index) tell() {
	for _, c := range x.changed {
		x.watch(c.room, c.open)
	}
	x.changed = x.changed[:0]
}

// Remove forgets a socket and its rooms. It compares the socket itself, so
// that a replaced connection cannot take its successor out.
func (x *Index) Remove(s adapter.Socket) bool {
	m := x.members.Find(s.ID())
	if m == nil || m.socket != s {
		return false
	}
	x.mu.Lock()
	defer x.tell()
	defer x.mu.Unlock()
	x.removeLocked(m)
	return true
}

func (x *Index) removeLocked(m *member) {
	for len(m.seats) > 0 {
		x.rise(m, len(m.seats)-1)
	}
	id := m.socket.ID()
	x.members.Delete(id)
	x.note(id, false)
}

// Has reports whether this very socket is known. Owner only.
func (x *Index) Has(s adapter.Socket) bool {
	m := x.members.Find(s.ID())
	return m != nil && m.socket == s
}

// Join puts a known socket into rooms and returns those it was not in before.
// ok is false when the socket is not known.
func (x *Index) Join(s adapter.Socket, rooms []string) (joined []string, ok bool) {
	id := s.ID()
	m := x.members.Find(id)
	if m == nil || m.socket != s {
		return nil, false
	}
	x.mu.Lock()
	defer x.tell()
	defer x.mu.Unlock()
	m.seats = slices.Grow(m.seats, len(rooms))
	for _, name := range rooms {
		// The own id needs no seat: Select finds the socket by it.
		if name == id || m.seatIn(name) >= 0 {
			continue
		}
		r := x.rooms.Find(name)
		if r == nil {
			r = &room{name: name}
			x.rooms.Put(r)
			x.note(name, true)
		}
		sit(m, r)
		joined = append(joined, name)
	}
	return joined, true
}

// Leave takes a socket out of rooms and returns those it was in.
func (x *Index) Leave(s adapter.Socket, rooms []string) (left []string) {
	m := x.members.Find(s.ID())
	if m == nil || m.socket != s {
		return nil
	}
	x.mu.Lock()
	defer x.tell()
	defer x.mu.Unlock()
	for _, name := range rooms {
		if i := m.seatIn(name); i > 0 {
			x.rise(m, i)
			left = append(left, name)
		}
	}
	return left
}

// seatIn returns the index of the member's seat in a named room, or -1. A
// socket is in few rooms, so a scan beats a map and costs no memory.
func (m *member) seatIn(name string) int {
	for i := 1; i < len(m.seats); i++ {
		if m.seats[i].room.name == name {
			return i
		}
	}
	return -1
}

func sit(m *member, r *room) {
	if r.lists == nil && r.only == nil {
		r.only = m
		m.seats = append(m.seats, seat{room: r})
		return
	}
	if only := r.only; only != nil {
		r.only = nil
		r.lists = &lists{sockets: []adapter.Socket{only.socket}, members: []*member{only}}
	}
	m.seats = append(m.seats, seat{room: r, at: int32(len(r.sockets))})
	r.sockets = append(r.sockets, m.socket)
	r.members = append(r.members, m)
}

// rise gives up the member's seat i: the room's last member moves into the
// free place.
func (x *Index) rise(m *member, i int) {
	r, at := m.seats[i].room, int(m.seats[i].at)
	if r.only != nil {
		r.only = nil
	} else {
		r.remove(at)
	}
	end := len(m.seats) - 1
	m.seats[i] = m.seats[end]
	m.seats[end] = seat{}
	m.seats = m.seats[:end]
	if r != &x.all && (r.lists == nil || len(r.members) == 0) {
		x.rooms.Delete(r.name)
		x.note(r.name, false)
	}
}

// remove takes the member at a place of the lists out.
func (r *room) remove(at int) {
	last := len(r.members) - 1
	if at != last {
		moved := r.members[last]
		r.members[at], r.sockets[at] = moved, r.sockets[last]
		for j := range moved.seats {
			if moved.seats[j].room == r {
				moved.seats[j].at = int32(at)
				break
			}
		}
	}
	r.members[last], r.sockets[last] = nil, nil
	r.members, r.sockets = r.members[:last], r.sockets[:last]
	// A room that was once full must not hold its memory for ever.
	if c := cap(r.sockets); c > 64 && last < c/4 {
		r.sockets = append(make([]adapter.Socket, 0, c/2), r.sockets...)
		r.members = append(make([]*member, 0, c/2), r.members...)
	}
}

// Select returns the sockets of a target, each once. The slice is valid until
// the owner's next call and must not be changed. Select does not allocate once
// its scratch has grown.
func (x *Index) Select(t *adapter.Target) []adapter.Socket {
	if len(t.Except) == 0 {
		switch len(t.Rooms) {
		case 0:
			return x.all.sockets
		case 1:
			return x.one(t.Rooms[0])
		}
	}
	if list, ok := x.allButOne(t); ok {
		return list
	}
	clear(x.scratch) // keeps no removed socket alive
	x.scratch = x.scratch[:0]
	x.round++
	for _, name := range t.Except {
		if r := x.rooms.Find(name); r != nil {
			_, members := r.those()
			for _, m := range members {
				m.round = x.round
			}
		}
		if m := x.members.Find(name); m != nil {
			m.round = x.round
		}
	}
	if len(t.Rooms) == 0 {
		x.take(&x.all)
	}
	for _, name := range t.Rooms {
		if r := x.rooms.Find(name); r != nil {
			x.take(r)
		}
		if m := x.members.Find(name); m != nil && m.round != x.round {
			m.round = x.round
			x.scratch = append(x.scratch, m.socket)
		}
	}
	return x.scratch
}

// allButOne selects the commonest target with an exception, a room (or the
// namespace) without the socket that sent: two copies instead of a walk. ok is
// false when the target is not of that form.
func (x *Index) allButOne(t *adapter.Target) (list []adapter.Socket, ok bool) {
	if len(t.Except) != 1 || len(t.Rooms) > 1 || x.rooms.Find(t.Except[0]) != nil {
		return nil, false
	}
	r := &x.all
	if len(t.Rooms) == 1 {
		if x.members.Find(t.Rooms[0]) != nil {
			return nil, false
		}
		if r = x.rooms.Find(t.Rooms[0]); r == nil {
			return nil, true
		}
	}
	m := x.members.Find(t.Except[0])
	if m == nil {
		return r.list(), true
	}
	i := 0 // its seat in the namespace
	if r != &x.all {
		if i = m.seatIn(r.name); i < 0 {
			return r.list(), true
		}
	}
	if r.only != nil {
		return nil, true
	}
	at := m.seats[i].at
	clear(x.scratch)
	x.scratch = append(append(x.scratch[:0], r.sockets[:at]...), r.sockets[at+1:]...)
	return x.scratch, true
}

// one selects a single room, which may be a socket's own id.
func (x *Index) one(name string) []adapter.Socket {
	r, m := x.rooms.Find(name), x.members.Find(name)
	switch {
	case m == nil && r == nil:
		return nil
	case m == nil:
		return r.list()
	case r == nil:
		sockets, _ := m.itself()
		return sockets
	}
	// Somebody joined a room that is named as a socket's id.
	clear(x.scratch)
	x.scratch = append(x.scratch[:0], r.list()...)
	if m.seatIn(name) < 0 {
		x.scratch = append(x.scratch, m.socket)
	}
	return x.scratch
}

func (x *Index) take(r *room) {
	sockets, members := r.those()
	for i, m := range members {
		if m.round != x.round {
			m.round = x.round
			x.scratch = append(x.scratch, sockets[i])
		}
	}
}

// Rooms lists the rooms of a socket, without its own id, ascending; nil when
// the socket is not known.
func (x *Index) Rooms(id string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if m := x.members.Find(id); m != nil {
		return m.roomNames()
	}
	return nil
}

func (m *member) roomNames() []string {
	names := make([]string, 0, len(m.seats)-1)
	for _, s := range m.seats[1:] {
		names = append(names, s.room.name)
	}
	slices.Sort(names)
	return names
}

// Session tells the session that a socket was added with; ok is false when
// this very socket is not known.
func (x *Index) Session(s adapter.Socket) (session *adapter.Owner, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	m := x.members.Find(s.ID())
	if m == nil || m.socket != s {
		return nil, false
	}
	return m.session, true
}

// Find is Select for any goroutine: it allocates, and leaves the owner's
// scratch and rounds alone.
func (x *Index) Find(t *adapter.Target) []Found {
	x.mu.RLock()
	defer x.mu.RUnlock()
	seen := make(map[*member]bool)
	for _, name := range t.Except {
		if r := x.rooms.Find(name); r != nil {
			_, members := r.those()
			for _, m := range members {
				seen[m] = true
			}
		}
		if m := x.members.Find(name); m != nil {
			seen[m] = true
		}
	}
	var found []Found
	take := func(m *member) {
		if m != nil && !seen[m] {
			seen[m] = true
			found = append(found, Found{Socket: m.socket, Rooms: m.roomNames()})
		}
	}
	if len(t.Rooms) == 0 {
		for _, m := range x.all.members {
			take(m)
		}
	}
	for _, name := range t.Rooms {
		if r := x.rooms.Find(name); r != nil {
			_, members := r.those()
			for _, m := range members {
				take(m)
			}
		}
		take(x.members.Find(name))
	}
	return found
}

// Known reports whether a socket has the id.
func (x *Index) Known(id string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.members.Find(id) != nil
}

// Len is the number of sockets.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.members.Len()
}

// RoomCount is the number of rooms that have sockets here, the sockets' own ids
// not counted.
func (x *Index) RoomCount() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.rooms.Len()
}

// RoomLen is the number of sockets in a room.
func (x *Index) RoomLen(name string) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if r := x.rooms.Find(name); r != nil {
		return len(r.list())
	}
	return 0
}
