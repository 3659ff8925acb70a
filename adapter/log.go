package adapter

import (
	"context"
	"time"
)

// Log is the room log: one dense sequence per room, bounded by count and age,
// deduplicated by key.
type Log interface {
	// Append adds an event to a room's log and publishes it to the room's
	// members. When it returns without error the entry is durable as the
	// store promises (local: synced to disk; Redis: DELIVERY, "Append"). A
	// known key with the same digest returns the first answer with Duplicate
	// set and publishes nothing.
	//
	// Errors: ErrUnavailable (outcome unknown; repeat with the same key),
	// ErrFenced, ErrFull, ErrConflict, ErrClosed. Appends of one caller, one
	// after the other, keep their order.
	Append(ctx context.Context, a Append) (Appended, error)
	// Read reads a part of a room's log. A room that was never written to
	// reads as empty, with its epoch "".
	Read(ctx context.Context, namespace, room string, r LogRead) (*LogSlice, error)
	// LogRooms lists rooms that have a log, ascending by name, strictly after
	// the given one, at most limit.
	LogRooms(ctx context.Context, namespace, after string, limit int) ([]RoomHead, error)
	// Head is a room's epoch and last seq; zero for a room never written to.
	Head(ctx context.Context, namespace, room string) (RoomHead, error)
}

// Append is one entry to be written.
type Append struct {
	Namespace, Room string
	Event           Event
	Sender          string // socket id, "" when no socket sent it
	User            string
	ID              string // the client's own id
	// Key deduplicates within the room: sender identity and client id, never
	// the socket id. Empty: not deduplicated.
	Key string
	// Digest of what the client sent: the same key with another digest is
	// refused.
	Digest [16]byte
	// Owner, when not nil, is compared: a fenced session cannot write.
	Owner *Owner
	// Trace names the trace that this is part of: see [Delivery.Trace].
	Trace string
}

// Appended is the answer to an Append.
type Appended struct {
	Epoch     string
	Seq       uint64
	Lane      int
	Pos       uint64
	Time      time.Time
	Duplicate bool
}

// LogRead says which entries to read. Entries come ascending by seq.
type LogRead struct {
	// After, when not nil, reads forward: entries with a seq above it.
	// Otherwise the newest entries are read, those below Before if that is
	// not 0.
	After  *uint64
	Before uint64
	// Epoch that After or Before belongs to. "" means the room's current one.
	// If After is not valid in that epoch, the slice says which range is lost.
	Epoch string
	// Limit bounds the entries returned; at least 1.
	Limit int
}

// LogSlice is a part of a room's log.
type LogSlice struct {
	Room    string
	Epoch   string // of the head
	Head    uint64 // last seq of the room (up to the cut, for a Join)
	Entries []*Delivery
	// More: further entries remain in the direction of reading (older ones
	// when reading the newest, newer ones when reading After).
	More bool
	// Gap, when not nil, is a range that was asked for and is lost for good:
	// trimmed away, or of an epoch that is gone.
	Gap *Gap
	// Lost, of a read of what comes After, are ranges that the store gave out
	// and lost, as far as that was noticed only after the entry After was
	// written: whoever was away has not been told. They are not in Gap. One
	// who was told may be told again.
	Lost []Gap
}

// RoomHead is a room and where its log stands.
type RoomHead struct {
	Room  string
	Epoch string
	Seq   uint64
}
