package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Direct rooms that others began with a user are in a table of their own, by when:
// whatever strangers do, it takes nothing from what the user itself reads.

// metTable has the direct rooms that others began with the user of a public id.
func (c *Chat) metTable(public string) string { return "met " + c.namespace + " " + public }

// maxStale is how many of a full table's rooms are looked at for one that is empty:
// the oldest, whose messages have been trimmed if any have.
const maxStale = 10

// KnowPartner notes a direct room that somebody began with the user of a public id. In
// a full table it takes the place of an old room without any messages left; listed is
// false when there is none, and then the room is only not listed.
func (c *Chat) KnowPartner(ctx context.Context, public, room string, now time.Time) (listed bool, err error) {
	table, since := c.metTable(public), strconv.AppendInt(nil, now.UnixMilli(), 10)
	err = c.store.SetField(ctx, table, room, since, pointerKeep)
	if errors.Is(err, adapter.ErrFull) {
		var made bool
		if made, err = c.makePlace(ctx, table); err != nil || !made {
			return false, err
		}
		err = c.store.SetField(ctx, table, room, since, pointerKeep)
	}
	switch {
	case errors.Is(err, adapter.ErrFull):
		return false, nil // somebody else took the place
	case err != nil:
		return false, fmt.Errorf("know room: %w", err)
	}
	return true, nil
}

// makePlace removes one of the oldest rooms of a table, if it is empty.
func (c *Chat) makePlace(ctx context.Context, table string) (made bool, err error) {
	fields, err := c.store.Fields(ctx, table)
	if err != nil {
		return false, fmt.Errorf("read direct rooms: %w", err)
	}
	type met struct {
		room  string
		since int64
	}
	rooms := make([]met, 0, len(fields))
	for room, value := range fields {
		since, _ := strconv.ParseInt(string(value), 10, 64) // what is no number is oldest
		rooms = append(rooms, met{room, since})
	}
	slices.SortFunc(rooms, func(a, b met) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.room, b.room))
	})
	for _, one := range rooms[:min(maxStale, len(rooms))] {
		left, err := c.store.Read(ctx, c.namespace, AdapterRoom(one.room), adapter.LogRead{Limit: 1})
		if err != nil {
			return false, fmt.Errorf("read direct room: %w", err)
		}
		if len(left.Entries) > 0 {
			continue
		}
		if err := c.store.SetField(ctx, table, one.room, nil, 0); err != nil {
			return false, fmt.Errorf("forget direct room: %w", err)
		}
		return true, nil
	}
	return false, nil
}

// OwnRooms are a user's rooms with its read pointers: those that it has read in, or
// written directly in, and the direct rooms that others began, read up to 0.
func (c *Chat) OwnRooms(ctx context.Context, user string) (map[string]uint64, error) {
	rooms, err := c.Pointers(ctx, user)
	if err != nil {
		return nil, err
	}
	fields, err := c.store.Fields(ctx, c.metTable(PublicID(user)))
	if err != nil {
		return nil, fmt.Errorf("read direct rooms: %w", err)
	}
	for room := range fields {
		if _, known := rooms[room]; !known {
			rooms[room] = 0
		}
	}
	return rooms, nil
}
