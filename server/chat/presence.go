package chat

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/antchat/antchat/adapter"
)

// Roster is who is in a room: distinct people with a name.
type Roster struct {
	Room     string
	NumUsers int
	// Users are at most Limits.PeopleListed of them, in no meaningful order.
	Users []Listed
	// Next is the cursor of the next page, "" when there is none.
	Next string
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

// Who lists the beginning of a room's people.
func (c *Chat) Who(ctx context.Context, room string) (Roster, error) {
	return c.People(ctx, room, "", 0)
}

// People lists a room's people by page: those after a cursor, at most limit, which
// is Limits.PeopleListed when it is 0 or more than that. Whoever is there all the
// time that it takes to read all pages is listed once; others may be, or may not.
func (c *Chat) People(ctx context.Context, room, cursor string, limit int) (Roster, error) {
	if err := peopleCursor(cursor); err != nil {
		return Roster{}, err
	}
	if limit <= 0 || limit > c.limits.PeopleListed {
		limit = c.limits.PeopleListed
	}
	people, total, err := c.store.People(ctx, c.namespace, AdapterRoom(room), cursor, limit+1)
	if err != nil {
		return Roster{}, fmt.Errorf("list people: %w", err)
	}
	roster := Roster{Room: room, NumUsers: total, Users: make([]Listed, 0, min(limit, len(people)))}
	for _, p := range people[:min(len(people), limit)] {
		roster.Users = append(roster.Users, Listed{Username: p.Name, User: PublicID(p.User)})
	}
	if len(people) > limit {
		roster.Next = between(people[limit-1].User, people[limit].User)
	}
	return roster, nil
}

// between is the shortest text that b comes after, and a does not: a place between
// two users, of which it tells next to nothing. a is less than b.
func between(a, b string) string {
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if i+1 < len(b) {
		return b[:i+1] // more than a, and less than b
	}
	return a
}

// peopleCursor refuses what between never makes.
func peopleCursor(s string) error {
	if len(s) > maxUser || strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_'
	}) {
		return &Invalid{FieldCursor, "is none of a page of people"}
	}
	return nil
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
const maxScanned = 1000

// RoomsQuery asks for a page of the list of rooms: those after a room, or after the page
// that a cursor was given with. Limit 0 means 50.
type RoomsQuery struct {
	After, Cursor string
	Limit         int
}

// RoomsPage is a page of it. It may have fewer rooms than were asked for, or none,
// although there are more: those that were passed over may not be seen. Next is the
// cursor of the next page, "" with the last one.
type RoomsPage struct {
	Rooms []RoomInfo
	More  bool
	Next  string
}

// ListRooms lists rooms that have messages or people and that visible lets
// through, ascending by name. Direct rooms are never among them. After is normal. A
// cursor that is none is *[Invalid].
func (c *Chat) ListRooms(ctx context.Context, q RoomsQuery, visible func(room string) bool) (page RoomsPage, err error) {
	after := q.After
	if q.Cursor != "" {
		if after, err = c.OpenRoom(ctx, q.Cursor); err != nil {
			return RoomsPage{}, err
		}
	}
	limit := q.Limit
	if limit <= 0 {
		limit = roomsDefault
	}
	page, after, err = c.scanRooms(ctx, after, min(limit, c.limits.RoomsListed), visible)
	if err == nil && page.More {
		page.Next, err = c.SealRoom(ctx, after)
	}
	if err != nil {
		return RoomsPage{}, err
	}
	return page, nil
}

// scanRooms looks at maxScanned rooms, or a few more. last is where it ended.
func (c *Chat) scanRooms(ctx context.Context, after string, limit int, visible func(room string) bool) (page RoomsPage, last string, err error) {
	page = RoomsPage{Rooms: []RoomInfo{}}
	for scanned := 0; scanned < maxScanned; scanned += c.limits.RoomsListed {
		some, rest, err := c.allRooms(ctx, after, c.limits.RoomsListed)
		if err != nil {
			return RoomsPage{}, "", err
		}
		for _, info := range some {
			if IsDirect(info.Room) {
				// Past all of them at once: their names have no such character.
				after, rest = directPrefix+"~", true
				break
			}
			if visible(info.Room) {
				if len(page.Rooms) == limit {
					page.More = true
					return page, after, nil
				}
				page.Rooms = append(page.Rooms, info)
			}
			after = info.Room
		}
		if !rest {
			return page, after, nil
		}
	}
	page.More = true
	return page, after, nil
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
