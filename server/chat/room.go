package chat

import "strings"

// Lobby is the room in which everyone starts.
const Lobby = "lobby"

// roomPrefix keeps chat rooms apart from socket ids, which are rooms to the
// adapter too: without it, joining a room called like somebody's socket id
// would read that socket's private events.
const roomPrefix = "chat:"

// AdapterRoom is the adapter's name of a chat room. It and [RoomName] are the
// only places that know the prefix.
func AdapterRoom(room string) string { return roomPrefix + room }

// RoomName is the chat room of an adapter's room; ok is false when that is
// none.
func RoomName(adapterRoom string) (room string, ok bool) {
	return strings.CutPrefix(adapterRoom, roomPrefix)
}

// OutsideRoom is the adapter's name of the chat room that somebody beside this
// program calls name, which is no client's word and was not checked. What can
// be no chat room is one that nobody is in.
func OutsideRoom(name string) string {
	if room, err := defaultLimits.Room(name); err == nil {
		name = room
	}
	return AdapterRoom(name)
}

var defaultLimits = Limits{}.withDefaults()

// Rooms are the chat rooms among an adapter's rooms, in their order.
func Rooms(adapterRooms []string) []string {
	rooms := make([]string, 0, len(adapterRooms))
	for _, r := range adapterRooms {
		if room, ok := RoomName(r); ok {
			rooms = append(rooms, room)
		}
	}
	return rooms
}
