package chatapi

import (
	"context"
	"slices"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// holder is the member as the rules see it.
func (m *member) holder() chat.Holder {
	h := chat.Holder{User: m.socket.User()}
	if m.token != nil {
		h.Subject, h.Claims = m.token.subject, m.token.claims
	}
	return h
}

// may says whether a member has a right in a room, whose name is normal.
func (a *API) may(m *member, room string, what chat.Rights) bool {
	return a.rules.Of(m.holder(), room).May(what)
}

// rightsIn names what a member may do in a room.
func (a *API) rightsIn(m *member, room string) []string {
	names := []string{}
	for _, r := range []struct {
		right chat.Rights
		name  string
	}{{chat.Read, "read"}, {chat.Write, "write"}, {chat.Moderate, "moderate"}} {
		if a.may(m, room, r.right) {
			names = append(names, r.name)
		}
	}
	return names
}

// room is the room that a request names, if the member has the right there.
func (a *API) room(m *member, name string, what chat.Rights) (string, error) {
	room, err := a.chat.Limits().RoomFor(m.socket.User(), name)
	if err != nil {
		return "", err
	}
	if !a.may(m, room, what) {
		return "", chat.ErrForbidden
	}
	return room, nil
}

// memberRoom is room for what only members may do there.
func (a *API) memberRoom(m *member, name string, what chat.Rights) (string, error) {
	room, err := a.room(m, name, what)
	if err == nil && !m.in(room) {
		err = chat.ErrNotMember
	}
	return room, err
}

// allows says whether a session may be continued: only if all its rooms are still
// open to the person, who was put out of none of them meanwhile. Otherwise the client begins a new one, and asks for each
// room again, so that no part of it is missing without a word.
func (a *API) allows(m *member, user string, rooms []string) bool {
	h := m.holder()
	h.User = user
	for _, room := range chat.Rooms(rooms) {
		if !a.rules.Of(h, room).May(chat.Read) || !m.held.Until(chat.Ban, room).IsZero() || !m.held.Until(chat.Kick, room).IsZero() {
			return false
		}
	}
	return true
}

// firstRooms are those that a new socket is in: its person's own, and the lobby.
func (a *API) firstRooms(m *member) []string {
	rooms := []string{personalRoom(m.socket)}
	if a.may(m, chat.Lobby, chat.Read) && m.held.Until(chat.Ban, chat.Lobby).IsZero() {
		rooms = append(rooms, lobbyRoom)
	}
	return append(rooms, m.muteRooms(rooms)...)
}

// muteRooms are the mute rooms of those rooms in which the person is muted.
func (m *member) muteRooms(adapterRooms []string) (rooms []string) {
	for _, room := range m.held.Muted() {
		if slices.Contains(adapterRooms, chat.AdapterRoom(room)) {
			rooms = append(rooms, chat.MuteRoom(room))
		}
	}
	return rooms
}

// personalRoom is the adapter's name of the room of all of a person's sockets.
func personalRoom(s *socketio.Socket) string { return chat.PersonalRoom(chat.PublicID(s.User())) }

// tellOwn tells the person's other sockets what one of them has done.
func (a *API) tellOwn(ctx context.Context, m *member, name string, payload any) {
	if err := a.ns.To(personalRoom(m.socket)).Except(m.socket.ID()).Ephemeral().EmitEvent(ctx, event(name, payload)); err != nil {
		a.options.Logger.Debug("own sockets not told", "event", name, "err", err)
	}
}
