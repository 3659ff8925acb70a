package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/antchat/antchat/adapter"
)

// ErrNoMessage: there is no such message in the room, or not any more.
var ErrNoMessage = errors.New("chat: no such message")

// removedSuffix ends the event of a message that was removed. No client can write
// it: within a text its quotes would be escaped.
const removedSuffix = `,"removed":true}]`

// perTable is how many seqs of a room share a table of removed messages, so that
// none has more fields than a table may have.
const perTable = adapter.MaxFields / 2

func (c *Chat) removedTable(room string, seq uint64) string {
	return "removed " + c.namespace + " " + room + " " + strconv.FormatUint(seq/perTable, 10)
}

func removedField(epoch string, seq uint64) string { return epoch + ":" + strconv.FormatUint(seq, 10) }

// MessageBy is whose message stands at a seq, as a user id.
func (c *Chat) MessageBy(ctx context.Context, room, epoch string, seq uint64) (user, inEpoch string, err error) {
	if seq == 0 {
		return "", "", ErrNoMessage
	}
	after := seq - 1
	slice, err := c.store.Read(ctx, c.namespace, AdapterRoom(room), adapter.LogRead{After: &after, Epoch: epoch, Limit: 1})
	if err != nil {
		return "", "", fmt.Errorf("read message: %w", err)
	}
	if len(slice.Entries) == 0 {
		return "", "", ErrNoMessage
	}
	d := slice.Entries[0]
	if d.Seq != seq || !IsMessage(d) || epoch != "" && d.Epoch != epoch {
		return "", "", ErrNoMessage
	}
	return d.User, d.Epoch, nil
}

// Remove takes a message out of everybody's view: from now on no answer has its
// text, and the room is told. The store itself keeps it until the log is trimmed.
// Repeating it is safe. It is remembered for several times the log's age: a log is
// trimmed when it is written to, and one that nobody writes to stays for twice as
// long (adapter/redis).
func (c *Chat) Remove(ctx context.Context, by Moderator, room, epoch string, seq uint64) (Sent, error) {
	err := c.store.SetField(ctx, c.removedTable(room, seq), removedField(epoch, seq), []byte{'1'}, 4*c.limits.LogAge)
	if err != nil {
		return Sent{}, fmt.Errorf("remember removal: %w", err)
	}
	m := by.entry(room)
	m.Removed = seq
	// Whoever removes it again, it was removed once.
	return c.appendModeration(ctx, EntryRemoved, m, by, "\x00removed\x00"+removedField(epoch, seq))
}

// removals are the seqs that entries of a room say are removed, ascending.
func removals(entries []*adapter.Delivery) (seqs []uint64) {
	for _, d := range entries {
		if d.Event.Name != EntryRemoved || !Moderates(d) {
			continue
		}
		if m, err := decodeModeration(d); err == nil && !slices.Contains(seqs, m.Removed) {
			seqs = append(seqs, m.Removed)
		}
	}
	slices.Sort(seqs)
	return seqs
}

func decodeModeration(d *adapter.Delivery) (moderation, error) {
	var m moderation
	var event [2]json.RawMessage
	if err := json.Unmarshal(d.Event.Data, &event); err != nil {
		return m, fmt.Errorf("decode entry: %w", err)
	}
	if err := json.Unmarshal(event[1], &m); err != nil {
		return m, fmt.Errorf("decode entry: %w", err)
	}
	return m, nil
}

// Redacted is what was read of a room without the texts of removed messages.
func (c *Chat) Redacted(ctx context.Context, room string, entries []*adapter.Delivery) ([]*adapter.Delivery, error) {
	gone := make(map[string]bool)
	table := ""
	for _, d := range entries {
		if next := c.removedTable(room, d.Seq); next != table {
			table = next
			fields, err := c.store.Fields(ctx, table)
			if err != nil {
				return nil, fmt.Errorf("read removals: %w", err)
			}
			for field := range fields {
				gone[field] = true
			}
		}
	}
	if len(gone) == 0 {
		return entries, nil
	}
	out := slices.Clone(entries)
	for i, d := range out {
		if IsMessage(d) && gone[removedField(d.Epoch, d.Seq)] {
			out[i] = redacted(d)
		}
	}
	return out, nil
}

// Redact takes the texts of removed messages out of what a socket missed: the
// removal of each comes later in the same room, so it is in the list as well.
func Redact(missed []*adapter.Delivery) {
	type place struct {
		room, epoch string
		seq         uint64
	}
	var gone map[place]bool
	for _, d := range slices.Backward(missed) {
		switch {
		case d.Event.Name == EntryRemoved && Moderates(d):
			if m, err := decodeModeration(d); err == nil {
				if gone == nil {
					gone = make(map[place]bool)
				}
				gone[place{d.Room, d.Epoch, m.Removed}] = true
			}
		}
	}
	if gone == nil {
		return
	}
	for i, d := range missed {
		if IsMessage(d) && gone[place{d.Room, d.Epoch, d.Seq}] {
			missed[i] = redacted(d)
		}
	}
}

// redacted is a message without its text.
func redacted(d *adapter.Delivery) *adapter.Delivery {
	m, err := Decode(d)
	e := entry{Username: m.Username, Room: m.Room, ID: m.ID, User: m.User, Removed: true}
	var event adapter.Event
	if err == nil {
		event, err = encodeEntry(e)
	}
	if err != nil { // what this package wrote can be read
		event = adapter.Event{Name: EntryMessage, Data: []byte(entryOpen + `","username":"","room":"","id":"","user":""` + removedSuffix)}
	}
	copied := *d
	copied.Event = event
	return &copied
}

// IsRemoved says whether a message is one whose text was taken out.
func IsRemoved(d *adapter.Delivery) bool {
	return IsMessage(d) && len(d.Event.Data) > len(removedSuffix) &&
		string(d.Event.Data[len(d.Event.Data)-len(removedSuffix):]) == removedSuffix
}
