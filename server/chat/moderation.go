package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Entries of a room's log that are not messages: what moderators did. Whoever
// reads the log, live or later, agrees on them as on messages.
const (
	EntryRemoved  = "message removed"
	EntryMuted    = "user muted"
	EntryUnmuted  = "user unmuted"
	EntryKicked   = "user kicked"
	EntryBanned   = "user banned"
	EntryUnbanned = "user unbanned"
)

var moderations = []string{EntryRemoved, EntryMuted, EntryUnmuted, EntryKicked, EntryBanned, EntryUnbanned}

// Moderation is one of those entries as everyone sees it.
type Moderation struct {
	Room string `json:"room"`
	// Username and User are the moderator's.
	Username string `json:"username"`
	User     string `json:"user"`
	// Removed is the seq of the removed message, in Epoch; 0 with other entries.
	Removed uint64 `json:"removed,omitempty"`
	// Target is the public id of whom it is about, "" with EntryRemoved.
	Target string `json:"target,omitempty"`
	// Until is the end of a mute or ban, in milliseconds since 1970.
	Until  int64  `json:"until,omitempty"`
	Reason string `json:"reason,omitempty"`
	Seq    uint64 `json:"seq"`
	Epoch  string `json:"epoch"`
	TS     int64  `json:"ts"`
}

// moderation is the stored part.
type moderation struct {
	Room     string `json:"room"`
	Username string `json:"username"`
	User     string `json:"user"`
	Removed  uint64 `json:"removed,omitempty"`
	Target   string `json:"target,omitempty"`
	Until    int64  `json:"until,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// Moderates says whether a delivery is an entry of a moderator.
func Moderates(d *adapter.Delivery) bool {
	if d.Class != adapter.Logged || !bytes.HasSuffix(d.Event.Data, []byte("}]")) {
		return false
	}
	for _, name := range moderations {
		if d.Event.Name == name {
			return true
		}
	}
	return false
}

// appendModeration writes the entry into its room's log.
func (c *Chat) appendModeration(ctx context.Context, name string, m moderation, by Moderator, key string) (Sent, error) {
	data, err := json.Marshal([]any{name, m})
	if err != nil {
		return Sent{}, fmt.Errorf("encode entry: %w", err)
	}
	a, err := c.store.Append(ctx, adapter.Append{
		Namespace: c.namespace, Room: AdapterRoom(m.Room), Event: adapter.Event{Name: name, Data: data},
		Sender: by.Socket, User: by.User, Key: key, Owner: by.Owner,
	})
	if err != nil {
		return Sent{}, fmt.Errorf("append entry: %w", err)
	}
	return Sent{Room: m.Room, Epoch: a.Epoch, Seq: a.Seq, Time: a.Time, Duplicate: a.Duplicate}, nil
}

// Moderator is who acts. Whether it may is the caller's to know.
type Moderator struct {
	Author
	Socket string // sent it, or ""
	Owner  *adapter.Owner
}

func (m Moderator) entry(room string) moderation {
	return moderation{Room: room, Username: m.Name, User: PublicID(m.User)}
}

// SanctionKind is what a moderator does to somebody.
type SanctionKind string

// The kinds. A kick only ends membership; it is remembered for as long as a lost
// session may come back.
const (
	Mute SanctionKind = "mute"
	Ban  SanctionKind = "ban"
	Kick SanctionKind = "kick"
)

var sanctionEntries = map[SanctionKind][2]string{
	Mute: {EntryMuted, EntryUnmuted}, Ban: {EntryBanned, EntryUnbanned}, Kick: {EntryKicked, EntryKicked},
}

// MaxSanction is how long a mute or ban lasts at most, and maxReason bounds the
// reason, in characters.
const (
	MaxSanction = 366 * 24 * time.Hour
	maxReason   = 200
)

// Sanction mutes, bans or kicks the person of a public id in a room until a time.
// It is remembered first and then told, so that nobody slips through between.
func (c *Chat) Sanction(ctx context.Context, by Moderator, kind SanctionKind, room, target, reason string, now, until time.Time) (Sent, error) {
	if !IsPublicID(target) {
		return Sent{}, &Invalid{FieldUser, "must be a user's public id"}
	}
	if len([]rune(reason)) > maxReason {
		return Sent{}, &Invalid{FieldReason, fmt.Sprintf("must have at most %d characters", maxReason)}
	}
	if err := printable(FieldReason, reason); err != nil {
		return Sent{}, err
	}
	if until.After(now.Add(MaxSanction)) {
		until = now.Add(MaxSanction)
	}
	value, err := json.Marshal(sanction{Until: until.UnixMilli()})
	if err != nil {
		return Sent{}, fmt.Errorf("encode sanction: %w", err)
	}
	if err := c.remember(ctx, target, string(kind)+":"+room, value, now, until); err != nil {
		return Sent{}, fmt.Errorf("remember %s: %w", kind, err)
	}
	m := by.entry(room)
	m.Target, m.Reason = target, reason
	if kind != Kick {
		m.Until = until.UnixMilli()
	}
	return c.appendModeration(ctx, sanctionEntries[kind][0], m, by, "")
}

// Pardon takes a mute or ban back.
func (c *Chat) Pardon(ctx context.Context, by Moderator, kind SanctionKind, room, target string) (Sent, error) {
	if !IsPublicID(target) {
		return Sent{}, &Invalid{FieldUser, "must be a user's public id"}
	}
	if err := c.store.SetField(ctx, c.userTable(target), string(kind)+":"+room, nil, 0); err != nil {
		return Sent{}, fmt.Errorf("forget %s: %w", kind, err)
	}
	m := by.entry(room)
	m.Target = target
	return c.appendModeration(ctx, sanctionEntries[kind][1], m, by, "")
}

// Bar keeps the person of a public id out of the whole chat until a time. It is
// for operators, and in no room's log.
func (c *Chat) Bar(ctx context.Context, target string, now, until time.Time) error {
	if !IsPublicID(target) {
		return &Invalid{FieldUser, "must be a user's public id"}
	}
	var value []byte // none: admit again
	if until.After(now) {
		until = minTime(until, now.Add(MaxSanction))
		value = fmt.Appendf(nil, `{"until":%d}`, until.UnixMilli())
	}
	if err := c.remember(ctx, target, barField, value, now, until); err != nil {
		return fmt.Errorf("remember bar: %w", err)
	}
	return nil
}

const barField = "bar"

// remember sets a field of a user's table. Where that is full, what has ended goes
// first; an operator's bar has a place in any case, or who may moderate a thousand
// rooms could keep somebody from being kept out.
func (c *Chat) remember(ctx context.Context, target, field string, value []byte, now, until time.Time) error {
	table := c.userTable(target)
	set := func() error { return c.store.SetField(ctx, table, field, value, until.Sub(now)) }
	err := set()
	if !errors.Is(err, adapter.ErrFull) {
		return err
	}
	fields, readErr := c.store.Fields(ctx, table)
	if readErr != nil {
		return readErr
	}
	ended, first, firstEnds := 0, "", int64(math.MaxInt64)
	for name, value := range fields {
		var one sanction
		if json.Unmarshal(value, &one) != nil {
			continue // of another version
		}
		if one.Until > now.UnixMilli() {
			if one.Until < firstEnds && name != field {
				first, firstEnds = name, one.Until
			}
			continue
		}
		if err := c.store.SetField(ctx, table, name, nil, 0); err != nil {
			return err
		}
		ended++
	}
	switch {
	case ended > 0:
	case field == barField && first != "":
		if err := c.store.SetField(ctx, table, first, nil, 0); err != nil {
			return err
		}
	default:
		return err // the table is full, or the store is
	}
	return set()
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// sanction is the stored form.
type sanction struct {
	Until int64 `json:"until"` // milliseconds since 1970
}

// userTable has what is remembered of a user.
func (c *Chat) userTable(public string) string { return "user " + c.namespace + " " + public }

// Sanctions are what holds against somebody now. The zero value is nothing.
type Sanctions struct {
	until map[string]time.Time // by kind:room; "bar"
}

// SanctionsOn reads what holds against the person of a public id.
func (c *Chat) SanctionsOn(ctx context.Context, target string, now time.Time) (Sanctions, error) {
	fields, err := c.store.Fields(ctx, c.userTable(target))
	if err != nil {
		return Sanctions{}, fmt.Errorf("read sanctions: %w", err)
	}
	var s Sanctions
	for field, value := range fields {
		var one sanction
		if json.Unmarshal(value, &one) != nil { // of another version
			continue
		}
		if until := time.UnixMilli(one.Until); until.After(now) {
			if s.until == nil {
				s.until = make(map[string]time.Time)
			}
			s.until[field] = until
		}
	}
	return s, nil
}

// Until is when a sanction in a room ends; zero when there is none.
func (s Sanctions) Until(kind SanctionKind, room string) time.Time {
	return s.until[string(kind)+":"+room]
}

// Barred is until when the person is kept out of the whole chat; zero if it is
// not.
func (s Sanctions) Barred() time.Time { return s.until[barField] }

// Muted are the rooms in which the person is muted.
func (s Sanctions) Muted() (rooms []string) {
	for field := range s.until {
		if room, ok := strings.CutPrefix(field, string(Mute)+":"); ok {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// mutePrefix begins the adapter's name of the room that a muted user's sockets
// are in for each room in which they are muted: so every node knows, at once and
// without asking.
const mutePrefix = "mute:"

// MuteRoom is the adapter's name of the room of those muted in a chat room.
func MuteRoom(room string) string { return mutePrefix + room }
