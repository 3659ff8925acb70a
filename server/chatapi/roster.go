package chatapi

import (
	"context"
	"slices"

	"github.com/antchat/antchat/server/chat"
)

// A member's presence is changed by the socket's own goroutine, which alone enters
// rooms and may wait for the store, and by whoever sees that the socket was put out
// of one, which does not wait (see exitLeft). No lock is held over a call of the
// store: whoever comes back from one looks whether its room is still the socket's.

// enter counts a named person as present in a room that its socket is in.
func (a *API) enter(ctx context.Context, m *member, room string) error {
	if m.guest() {
		return nil
	}
	m.roster.Lock()
	m.entering = room
	m.roster.Unlock()
	_, err := a.chat.Enter(ctx, room, m.handle, m.author())
	m.roster.Lock()
	defer m.roster.Unlock()
	m.entering = ""
	i, was := slices.BinarySearch(m.present, room)
	in := m.in(room)
	switch {
	case was && !in:
		a.exitLocked(m, room, true)
	case !was && (err != nil || !in):
		// After an error it may have happened all the same.
		a.chat.Exit(room, m.handle, m.socket.User(), true)
	case !was:
		m.present = slices.Insert(m.present, i, room)
		a.tellPresent(m, room, true)
	}
	return err
}

// exit takes enter back.
func (a *API) exit(m *member, room string, deliberate bool) {
	m.roster.Lock()
	defer m.roster.Unlock()
	a.exitLocked(m, room, deliberate)
}

func (a *API) exitLocked(m *member, room string, deliberate bool) {
	if i, found := slices.BinarySearch(m.present, room); found {
		m.present = slices.Delete(m.present, i, i+1)
		a.chat.Exit(room, m.handle, m.socket.User(), deliberate)
		a.tellPresent(m, room, false)
	}
}

// tellPresent calls the hook.
func (a *API) tellPresent(m *member, room string, joined bool) {
	if h := a.options.Hooks.Present; h != nil && !chat.IsDirect(room) {
		h(Presence{Room: room, User: chat.PublicID(m.socket.User()), Username: m.name, Connection: chat.PublicID(m.handle)}, joined)
	}
}

// exitAll takes every enter back.
func (a *API) exitAll(m *member, deliberate bool) {
	m.roster.Lock()
	defer m.roster.Unlock()
	for _, room := range slices.Clone(m.present) {
		a.exitLocked(m, room, deliberate)
	}
	m.left = true
}

// align makes a named person present where the socket is a member, and nowhere
// else. The two part when somebody else moves the socket (SocketsJoin,
// SocketsLeave): nobody is told of that, so it is looked for at each request.
func (a *API) align(ctx context.Context, m *member) error {
	for _, room := range a.exitLeft(m) {
		if err := a.enter(ctx, m, room); err != nil {
			return err
		}
	}
	return nil
}

// exitLeft is the half of align that waits for nothing, for any goroutine: it ends
// the presence in rooms that the socket is in no more. lacking are those that it is
// not present in yet.
func (a *API) exitLeft(m *member) (lacking []string) {
	m.roster.Lock()
	defer m.roster.Unlock()
	if m.guest() || m.left {
		return nil
	}
	rooms := chat.Rooms(m.socket.Rooms()) // ascending
	if slices.Equal(rooms, m.present) {
		return nil
	}
	for _, room := range slices.Clone(m.present) {
		if _, in := slices.BinarySearch(rooms, room); !in && room != m.entering {
			a.exitLocked(m, room, true)
		}
	}
	for _, room := range rooms {
		if _, present := slices.BinarySearch(m.present, room); !present {
			lacking = append(lacking, room)
		}
	}
	return lacking
}
