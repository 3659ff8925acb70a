package chat

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/antchat/antchat/adapter"
)

// pointerKeep is how long a user's read pointers are kept after the last one
// moved.
const pointerKeep = 366 * 24 * time.Hour

// passingKeep is that for users that cannot come back as themselves: they would
// fill the store with what nobody asks for again.
const passingKeep = 24 * time.Hour

// keepOf is how long a user's read pointers are kept.
func keepOf(user string) time.Duration {
	if Proven(user) {
		return pointerKeep
	}
	return passingKeep
}

// readTable has a user's read pointers, by room.
func (c *Chat) readTable(user string) string { return "read " + c.namespace + " " + PublicID(user) }

// Read notes that a user has read a room up to a message, and returns up to where
// that is now: a pointer only moves forward, and not beyond the last message.
func (c *Chat) Read(ctx context.Context, user, room string, seq uint64) (uint64, error) {
	head, err := c.store.Head(ctx, c.namespace, AdapterRoom(room))
	if err != nil {
		return 0, fmt.Errorf("read room: %w", err)
	}
	seq = min(seq, head.Seq)
	at, err := c.store.RaiseField(ctx, c.readTable(user), room, seq, keepOf(user))
	if err != nil {
		return 0, fmt.Errorf("move pointer: %w", err)
	}
	if at <= head.Seq {
		return at, nil
	}
	// Another device was faster, with a message that has come since. Or the room's
	// numbers were lost and began again.
	if head, err = c.store.Head(ctx, c.namespace, AdapterRoom(room)); err != nil {
		return 0, fmt.Errorf("read room: %w", err)
	}
	if at <= head.Seq {
		return at, nil
	}
	if err := c.store.SetField(ctx, c.readTable(user), room, strconv.AppendUint(nil, seq, 10), keepOf(user)); err != nil {
		return 0, fmt.Errorf("move pointer: %w", err)
	}
	return seq, nil
}

// Know makes a room one of a user's own, read up to nothing if it is new.
func (c *Chat) Know(ctx context.Context, user, room string) error {
	_, err := c.store.RaiseField(ctx, c.readTable(user), room, 0, keepOf(user))
	if errors.Is(err, adapter.ErrFull) {
		return nil // the table is: the room is only not listed
	}
	if err != nil {
		return fmt.Errorf("know room: %w", err)
	}
	return nil
}

// Pointers are a user's read pointers by room: of those that it has read in, or
// has written a direct message in.
func (c *Chat) Pointers(ctx context.Context, user string) (map[string]uint64, error) {
	fields, err := c.store.Fields(ctx, c.readTable(user))
	if err != nil {
		return nil, fmt.Errorf("read pointers: %w", err)
	}
	at := make(map[string]uint64, len(fields))
	for room, value := range fields {
		if n, err := strconv.ParseUint(string(value), 10, 64); err == nil {
			at[room] = n
		}
	}
	return at, nil
}

// Unread is how many messages of a room come after a pointer. Entries of
// moderators count too.
func Unread(seq, pointer uint64) uint64 {
	if pointer > seq {
		return seq // of numbers that were lost
	}
	return seq - pointer
}

// RoomHead is where a room stands.
func (c *Chat) RoomHead(ctx context.Context, room string) (seq uint64, people int, err error) {
	head, err := c.store.Head(ctx, c.namespace, AdapterRoom(room))
	if err != nil {
		return 0, 0, fmt.Errorf("read room: %w", err)
	}
	_, people, err = c.store.People(ctx, c.namespace, AdapterRoom(room), "", 0)
	if err != nil {
		return 0, 0, fmt.Errorf("count people: %w", err)
	}
	return head.Seq, people, nil
}
