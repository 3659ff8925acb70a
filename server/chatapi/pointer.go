package chatapi

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/antchat/antchat/server/chat"
)

// read moves the person's read pointer in a room, on all its devices.
func (a *API) read(ctx context.Context, m *member, in ReadTo) (ReadTo, error) {
	room, err := a.readable(ctx, m, cmp.Or(in.Room, chat.Lobby))
	if err != nil {
		return ReadTo{}, err
	}
	at, err := a.chat.Read(ctx, m.socket.User(), room, in.Seq)
	if err != nil {
		return ReadTo{}, err
	}
	now := ReadTo{Room: room, Seq: at}
	a.tellOwn(ctx, m, eventRead, now)
	return now, nil
}

// myRooms are the rooms in which the person has a read pointer, and the direct ones that
// others began, ascending, with what is unread in each. Those that are closed to it by
// now are left out.
func (a *API) myRooms(ctx context.Context, m *member, in ListRooms) (RoomList, error) {
	pointers, err := a.chat.OwnRooms(ctx, m.socket.User())
	if err != nil {
		return RoomList{}, err
	}
	after := in.After
	if in.Cursor != "" {
		if after, err = a.chat.OpenRoom(ctx, in.Cursor); err != nil {
			return RoomList{}, err
		}
	}
	limit := a.chat.Limits().RoomsListed
	if in.Limit > 0 {
		limit = min(limit, in.Limit)
	}
	list := RoomList{Rooms: []ListedRoom{}}
	for _, room := range slices.Sorted(maps.Keys(pointers)) {
		if room <= after || !a.may(m, room, chat.Read) {
			continue
		}
		if len(list.Rooms) == limit {
			list.More = true
			if list.Next, err = a.chat.SealRoom(ctx, list.Rooms[limit-1].Room); err != nil {
				return RoomList{}, err
			}
			break
		}
		seq, people, err := a.chat.RoomHead(ctx, room)
		if err != nil {
			return RoomList{}, err
		}
		list.Rooms = append(list.Rooms, withPointer(ListedRoom{
			Room: room, NumUsers: people, Seq: seq, With: chat.Partner(room, m.socket.User()),
		}, pointers))
	}
	return list, nil
}

// withPointer adds what is read and unread.
func withPointer(r ListedRoom, pointers map[string]uint64) ListedRoom {
	if at, ok := pointers[r.Room]; ok {
		unread := chat.Unread(r.Seq, at)
		r.Read, r.Unread = &at, &unread
	}
	return r
}
