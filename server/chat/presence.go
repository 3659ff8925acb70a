package chat

import (
	"cmp"
	"context"
	"fmt"

	"github.com/antchat/antchat/adapter"
)

// Roster is who is in a room: distinct people with a name.
type Roster struct {
	Room     string
	NumUsers int
	// Users are at most Limits.PeopleListed of them, in no meaningful order.
	Users []Listed
}

// Listed is a person as others see one. Two people may have the same name.
type Listed struct {
	Username string `json:"username"`
	// User is the person's public id.
	User string `json:"user"`
}

// Enter counts a person's socket as present in a room and returns how many
// people are there. handle names the socket's connection: a socket that was
// recovered enters with another one, so that the end of its former connection,
// whenever it is noticed, takes nothing from it.
func (c *Chat) Enter(ctx context.Context, room, handle string, a Author) (int, error) {
	n, err := c.store.Enter(ctx, c.namespace, AdapterRoom(room), handle, adapter.Person{User: a.User, Name: a.Name})
	if err != nil {
		return 0, fmt.Errorf("enter room: %w", err)
	}
	return n, nil
}

// Exit takes Enter back. A deliberate leave counts at once; a lost connection
// after the grace time, so that a reconnect is no news.
func (c *Chat) Exit(room, handle, user string, deliberate bool) {
	c.store.Exit(c.namespace, AdapterRoom(room), handle, user, !deliberate)
}

// Who lists a room's people.
func (c *Chat) Who(ctx context.Context, room string) (Roster, error) {
	people, total, err := c.store.People(ctx, c.namespace, AdapterRoom(room), "", c.limits.PeopleListed)
	if err != nil {
		return Roster{}, fmt.Errorf("list people: %w", err)
	}
	users := make([]Listed, 0, len(people))
	for _, p := range people[:min(len(people), c.limits.PeopleListed)] {
		users = append(users, Listed{Username: p.Name, User: PublicID(p.User)})
	}
	return Roster{Room: room, NumUsers: total, Users: users}, nil
}

// Count is how many people a room has.
func (c *Chat) Count(ctx context.Context, room string) (int, error) {
	_, total, err := c.store.People(ctx, c.namespace, AdapterRoom(room), "", 0)
	if err != nil {
		return 0, fmt.Errorf("count people: %w", err)
	}
	return total, nil
}

// News is what a room is to be told of a change of presence.
type News struct {
	Room   string
	Joined bool
	// Username came or left; NumUsers are there now.
	Username string
	User     string // public id
	NumUsers int
	// Counted: the room is too big for single announcements. Only its number
	// goes out, now and then ([Counts]).
	Counted bool
}

// Announce applies the announcement policy. ok is false for what is no chat
// room.
func (c *Chat) Announce(p adapter.PresenceChange) (n News, ok bool) {
	room, ok := RoomName(p.Room)
	if !ok {
		return News{}, false
	}
	size := p.Count // the larger of before and after, so that in and out weigh the same
	if !p.Joined {
		size++
	}
	return News{
		Room: room, Joined: p.Joined, Username: p.Person.Name, User: PublicID(p.Person.User), NumUsers: p.Count,
		Counted: size > c.limits.AnnounceMax,
	}, true
}

// Counts gathers the numbers of big rooms until they are told. It holds one
// number per room that changed. Not safe for concurrent use.
type Counts struct{ rooms map[string]int }

// Add notes a room's number; a later one replaces it. first is true when there
// was nothing to tell before.
func (c *Counts) Add(room string, numUsers int) (first bool) {
	if c.rooms == nil {
		c.rooms = make(map[string]int)
	}
	first = len(c.rooms) == 0
	c.rooms[room] = numUsers
	return first
}

// Forget drops a room's number, since the room was told a later one by itself.
func (c *Counts) Forget(room string) { delete(c.rooms, room) }

// Take hands over what is to be told and begins anew.
func (c *Counts) Take() map[string]int {
	rooms := c.rooms
	c.rooms = nil
	return rooms
}

// Len is the number of rooms to be told of.
func (c *Counts) Len() int { return len(c.rooms) }

// RoomInfo is one line of the list of rooms.
type RoomInfo struct {
	Room     string `json:"room"`
	NumUsers int    `json:"numUsers"`
	// Seq is the last message's, 0 for a room without any.
	Seq uint64 `json:"seq"`
}

// maxScanned bounds the rooms that one page of the list looks at for those that
// may be seen.
const maxScanned = 10_000

// ListRooms lists rooms that have messages or people and that visible lets
// through, ascending by name, strictly after the given one. Direct rooms are
// never among them.
func (c *Chat) ListRooms(ctx context.Context, after string, limit int, visible func(room string) bool) (rooms []RoomInfo, more bool, err error) {
	if limit <= 0 {
		limit = roomsDefault
	}
	limit = min(limit, c.limits.RoomsListed)
	rooms = []RoomInfo{}
	for scanned := 0; scanned < maxScanned; scanned += c.limits.RoomsListed {
		page, rest, err := c.allRooms(ctx, after, c.limits.RoomsListed)
		if err != nil {
			return nil, false, err
		}
		for _, info := range page {
			if IsDirect(info.Room) {
				// Past all of them at once: their names have no such character.
				after, rest = directPrefix+"~", true
				break
			}
			after = info.Room
			if !visible(info.Room) {
				continue
			}
			if len(rooms) == limit {
				return rooms, true, nil
			}
			rooms = append(rooms, info)
		}
		if !rest {
			return rooms, false, nil
		}
	}
	return rooms, true, nil
}

// allRooms is a page of all rooms there are.
func (c *Chat) allRooms(ctx context.Context, after string, limit int) (rooms []RoomInfo, more bool, err error) {
	from := AdapterRoom(after)
	heads, err := c.store.LogRooms(ctx, c.namespace, from, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("list rooms: %w", err)
	}
	counts, err := c.store.PresentRooms(ctx, c.namespace, from, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("list rooms: %w", err)
	}
	// Both lists hold one more than is wanted, so whatever comes first in the
	// union is complete from both sides.
	rooms = make([]RoomInfo, 0, min(limit, len(heads)+len(counts)))
	for len(heads) > 0 || len(counts) > 0 {
		var order int // < 0: the log's list is ahead
		switch {
		case len(counts) == 0:
			order = -1
		case len(heads) == 0:
			order = 1
		default:
			order = cmp.Compare(heads[0].Room, counts[0].Room)
		}
		var info RoomInfo
		name := ""
		if order <= 0 {
			name, info.Seq, heads = heads[0].Room, heads[0].Seq, heads[1:]
		}
		if order >= 0 {
			name, info.NumUsers, counts = counts[0].Room, counts[0].Count, counts[1:]
		}
		room, ok := RoomName(name)
		if !ok {
			break // past the chat's rooms: names ascend
		}
		if len(rooms) == limit {
			return rooms, true, nil
		}
		info.Room = room
		rooms = append(rooms, info)
	}
	return rooms, false, nil
}
