package chatapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
)

// memberships are the rooms that this node's users are in, over all the sockets of
// each, so that Limits.RoomsPerUser holds. The lobby, in which everybody is put, does
// not count.
//
// Of each user's rooms on a node a twentieth of the limit is free. What goes beyond is
// told to the fleet, which counts distinct rooms: presence turned around, with the user
// as the place and the rooms as those who are there. So it is kept under the node's
// lease, and ends with the node. Whoever is in few rooms costs no round trip, and a
// user of N nodes may exceed the limit by N twentieths.
//
// Safe for concurrent use; no lock is held over a call of the store.
type memberships struct {
	most   int
	free   int    // 0 where nobody else counts
	node   string // this node's in the fleet's count
	mu     sync.Mutex
	byUser map[string][]membership // guarded by mu
}

// membership is a room of a user's on this node.
type membership struct {
	room    string
	sockets int
	told    bool // the fleet knows it
}

func newMemberships(most int, shared bool) *memberships {
	m := &memberships{most: most, node: rand.Text()[:12], byUser: make(map[string][]membership)}
	if shared {
		m.free = max(1, most/20)
	}
	return m
}

// add counts a socket in a room. tell is set when the fleet must be asked, and full
// when this node alone knows that it is too much.
func (m *memberships) add(user, room string, forced bool) (tell, full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rooms := m.byUser[user]
	free := m.most
	if m.free > 0 {
		free = m.free
	}
	untold := 0
	for i := range rooms {
		if rooms[i].room == room {
			rooms[i].sockets++
			return false, false
		}
		if !rooms[i].told {
			untold++
		}
	}
	if m.free > 0 {
		tell = untold >= free
	} else if len(rooms) >= free && !forced {
		return false, true
	}
	m.byUser[user] = append(rooms, membership{room: room, sockets: 1, told: tell})
	return tell, false
}

// remove takes add back, and says whether the fleet must be told.
func (m *memberships) remove(user, room string) (tell bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rooms := m.byUser[user]
	i := slices.IndexFunc(rooms, func(one membership) bool { return one.room == room })
	if i < 0 {
		return false
	}
	if rooms[i].sockets--; rooms[i].sockets > 0 {
		return false
	}
	tell = rooms[i].told
	if rooms = slices.Delete(rooms, i, i+1); len(rooms) > 0 {
		m.byUser[user] = rooms
	} else {
		delete(m.byUser, user)
	}
	return tell
}

// users is how many users have rooms.
func (m *memberships) users() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.byUser)
}

// memberPlace is the adapter's name of the place that a user's rooms are counted at.
// It is in no namespace of sockets.
func (a *API) memberPlace(user string) (namespace, place string) {
	return "rooms of " + a.ns.Name(), chat.PublicID(user)
}

// admitRoom counts a room that a member is about to join, or refuses it with
// ErrTooManyRooms. forced is for one that it is in already. For the socket's own
// goroutine, as is all that adds.
func (a *API) admitRoom(ctx context.Context, m *member, room string, forced bool) error {
	m.roster.Lock()
	_, was := slices.BinarySearch(m.counted, room)
	done := was || m.gone || room == chat.Lobby
	m.roster.Unlock()
	if done {
		return nil
	}
	user := m.socket.User()
	tell, full := a.memberships.add(user, room, forced)
	if full {
		a.tooManyRooms(ScopeUser)
		return chat.ErrTooManyRooms
	}
	if tell {
		namespace, place := a.memberPlace(user)
		n, err := a.store.Enter(ctx, namespace, place, a.memberships.node, adapter.Person{User: room})
		switch {
		case err != nil:
			err = fmt.Errorf("count room: %w", err)
		case !forced && n+a.memberships.free > a.memberships.most:
			a.tooManyRooms(ScopeUser)
			err = chat.ErrTooManyRooms
		}
		if err != nil {
			a.uncount(user, room)
			return err
		}
	}
	m.roster.Lock()
	defer m.roster.Unlock()
	if room != m.joining && !m.in(room) {
		a.uncount(user, room) // put out meanwhile
		return nil
	}
	i, _ := slices.BinarySearch(m.counted, room)
	m.counted = slices.Insert(m.counted, i, room)
	m.keep()
	return nil
}

func (a *API) tooManyRooms(scope Scope) {
	if h := a.options.Hooks.TooManyRooms; h != nil {
		h(scope)
	}
}

// leftRoom takes admitRoom back.
func (a *API) leftRoom(m *member, room string) {
	m.roster.Lock()
	defer m.roster.Unlock()
	if i, was := slices.BinarySearch(m.counted, room); was {
		m.counted = slices.Delete(m.counted, i, i+1)
		a.uncount(m.socket.User(), room)
	}
}

func (a *API) uncount(user, room string) {
	if a.memberships.remove(user, room) {
		namespace, place := a.memberPlace(user)
		a.store.Exit(namespace, place, a.memberships.node, room, false)
	}
}

// admitJoin is admitRoom for a join that begins; joinEnded is its end.
func (a *API) admitJoin(ctx context.Context, m *member, room string) error {
	if err := a.recount(ctx, m); err != nil {
		return err
	}
	m.roster.Lock()
	m.joining = room
	m.roster.Unlock()
	err := a.admitRoom(ctx, m, room, false)
	if err != nil {
		m.joinEnded()
	}
	return err
}

func (m *member) joinEnded() {
	m.roster.Lock()
	defer m.roster.Unlock()
	m.joining = ""
}

// recount makes what is counted of a member what it is in: somebody else may have
// moved its socket. For the socket's own goroutine.
func (a *API) recount(ctx context.Context, m *member) error {
	a.uncountLeft(m)
	for _, room := range chat.Rooms(m.socket.Rooms()) {
		if err := a.admitRoom(ctx, m, room, true); err != nil {
			return err
		}
	}
	return nil
}

// uncountLeft takes rooms out of the count that the member is in no more.
func (a *API) uncountLeft(m *member) {
	m.roster.Lock()
	defer m.roster.Unlock()
	rooms := chat.Rooms(m.socket.Rooms()) // ascending
	m.counted = slices.DeleteFunc(m.counted, func(room string) bool {
		_, in := slices.BinarySearch(rooms, room)
		if in || room == m.joining {
			return false
		}
		a.uncount(m.socket.User(), room)
		return true
	})
}

// countAgain counts the rooms of a socket that continues a session: it may be that its
// person has others by now. It is put out of those that are too many.
func (a *API) countAgain(ctx context.Context, m *member) error {
	for _, room := range chat.Rooms(m.socket.Rooms()) {
		err := a.admitRoom(ctx, m, room, false)
		if errors.Is(err, chat.ErrTooManyRooms) {
			if err = a.leave(ctx, m, room); err == nil {
				err = m.socket.Emit(eventRoomClosed, RoomClosed{Room: room, Code: CodeTooManyRooms})
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// uncountAll is the end of a member.
func (a *API) uncountAll(m *member) {
	m.roster.Lock()
	defer m.roster.Unlock()
	for _, room := range m.counted {
		a.uncount(m.socket.User(), room)
	}
	m.counted, m.gone = nil, true
}
