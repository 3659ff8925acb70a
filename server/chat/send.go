package chat

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Log is what the chat needs of the room log.
type Log interface {
	Append(ctx context.Context, a adapter.Append) (adapter.Appended, error)
	Read(ctx context.Context, namespace, room string, r adapter.LogRead) (*adapter.LogSlice, error)
	LogRooms(ctx context.Context, namespace, after string, limit int) ([]adapter.RoomHead, error)
	Head(ctx context.Context, namespace, room string) (adapter.RoomHead, error)
}

// Store is what the chat needs of an adapter.
type Store interface {
	Log
	adapter.Presence
	adapter.Tables
	Count(ctx context.Context, key string, n int64, window time.Duration) (int64, error)
}

// Chat is the domain over a store. It is immutable and safe for concurrent use.
type Chat struct {
	namespace string
	store     Store
	limits    Limits
	seal      atomic.Pointer[cipher.AEAD] // of cursors; nil until one is needed
}

// New makes the chat of one namespace.
func New(namespace string, store Store, limits Limits) *Chat {
	return &Chat{namespace: namespace, store: store, limits: limits.withDefaults()}
}

// Limits are those in force.
func (c *Chat) Limits() Limits { return c.limits }

// Outgoing is a message that somebody wants to send.
type Outgoing struct {
	From Author
	Room string
	Text string
	// ID is the client's own and makes a retry safe; empty: not deduplicated.
	ID string
	// Public, when not empty, is shown to others in place of ID.
	Public string
	// Socket sent it, or "". Owner, when not nil, fences an old connection.
	Socket string
	Owner  *adapter.Owner
}

// Sent says where a message stands in its room's log.
type Sent struct {
	ID, Room, Epoch string
	Seq             uint64
	Time            time.Time
	Text            string // as it was stored
	// Duplicate: the message had been sent before; nobody gets it again.
	Duplicate bool
}

// Send checks a message, appends it to its room's log, and returns when it is
// as durable as the store promises. Members get it through the adapter.
// Whether the sender may write to the room is the caller's to know.
//
// Errors: [*Invalid], and those of adapter.Log.Append, wrapped. After
// adapter.ErrUnavailable the same message may be sent again with the same ID.
func (c *Chat) Send(ctx context.Context, m Outgoing) (Sent, error) {
	room, err := c.limits.Room(m.Room)
	if err != nil {
		return Sent{}, err
	}
	text, err := c.limits.Text(m.Text)
	if err != nil {
		return Sent{}, err
	}
	if err := c.limits.ID(m.ID); err != nil {
		return Sent{}, err
	}
	id, key := m.ID, ""
	if id != "" {
		key = dedupeKey(m.From.User, id)
	} else {
		id = rand.Text()
	}
	if m.Public != "" {
		id = m.Public
	}
	event, err := encodeEntry(entry{Message: text, Username: m.From.Name, Room: room, ID: id, User: PublicID(m.From.User)})
	if err != nil {
		return Sent{}, err
	}
	a, err := c.store.Append(ctx, adapter.Append{
		Namespace: c.namespace, Room: AdapterRoom(room), Event: event,
		Sender: m.Socket, User: m.From.User, ID: id,
		Key: key, Digest: digest(text), Owner: m.Owner,
	})
	if err != nil {
		return Sent{}, fmt.Errorf("append message: %w", err)
	}
	return Sent{ID: id, Room: room, Epoch: a.Epoch, Seq: a.Seq, Time: a.Time, Text: text, Duplicate: a.Duplicate}, nil
}

// dedupeKey is the sender's identity and its own id; the room is the log's. A
// user id has no NUL and is of one length per kind, so two pairs never make
// one key.
func dedupeKey(user, id string) string { return user + "\x00" + id }

// digest of what the client said: the same id with another text is refused.
// The name is left out, since a person may be renamed between two tries.
func digest(text string) (d [16]byte) {
	sum := sha256.Sum256([]byte(text))
	copy(d[:], sum[:])
	return d
}
