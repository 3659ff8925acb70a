package chatapi

import (
	"context"
	"slices"

	"github.com/antchat/antchat/server/chat"
)

// enter counts a named person as present in a room.
func (a *API) enter(ctx context.Context, m *member, room string) error {
	m.roster.Lock()
	defer m.roster.Unlock()
	return a.enterLocked(ctx, m, room)
}

func (a *API) enterLocked(ctx context.Context, m *member, room string) error {
	if m.guest() {
		return nil
	}
	i, was := slices.BinarySearch(m.present, room)
	if !was {
		m.present = slices.Insert(m.present, i, room)
	}
	_, err := a.chat.Enter(ctx, room, m.handle, m.author())
	switch {
	case err != nil && !was:
		a.dropLocked(m, room, true) // it may have happened all the same
	case !was:
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
	if a.dropLocked(m, room, deliberate) {
		a.tellPresent(m, room, false)
	}
}

// dropLocked is exitLocked without a word; was says whether it was there.
func (a *API) dropLocked(m *member, room string, deliberate bool) (was bool) {
	if i, found := slices.BinarySearch(m.present, room); found {
		m.present = slices.Delete(m.present, i, i+1)
		a.chat.Exit(room, m.handle, m.socket.User(), deliberate)
		return true
	}
	return false
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
// SocketsLeave): nobody is told of that, so it is looked for at each request, and
// when a moderator puts a socket out of a room. It waits for the store with the
// member's lock held, which keeps up only the member itself.
func (a *API) align(ctx context.Context, m *member) error {
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
		if _, in := slices.BinarySearch(rooms, room); !in {
			a.exitLocked(m, room, true)
		}
	}
	for _, room := range rooms {
		if _, present := slices.BinarySearch(m.present, room); present {
			continue
		}
		if err := a.enterLocked(ctx, m, room); err != nil {
			return err
		}
	}
	return nil
}
