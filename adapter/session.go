package adapter

import "context"

// Session is the record that lets a socket recover: kept from the connect on,
// so that a killed node and a half-open connection recover too.
type Session struct {
	PID       string // private id: whoever presents it claims the session
	SID       string // the socket's id
	Namespace string
	User      string
	Data      []byte // the application's own record, at most a few KB; nobody changes it in place
	Rooms     []string
}

// Owner proves which connection a session belongs to. A claim raises the
// token; writes with an older one are refused with ErrFenced.
type Owner struct {
	PID   string
	Token uint64
}

// Sessions keeps the recovery records.
type Sessions interface {
	// Create writes a session's record. It may return before the record is
	// durable, but an Append that returns later implies it.
	Create(ctx context.Context, s Session) (Owner, error)
	// Lend writes the record of a socket that has had none, as if it had joined
	// s.Rooms at the given position and had just been lost: so that another node
	// claims and resumes it.
	Lend(ctx context.Context, s Session, at Position) error
	// Claim makes the caller the session's owner and fences the former one,
	// wherever it is. ErrUnrecoverable when there is no such session, it is
	// older than the window since it was gone, or it belongs to another
	// namespace.
	Claim(ctx context.Context, namespace, pid string) (Session, Owner, error)
	// Save replaces the record's Data, and may keep it. ErrFenced for an older
	// token.
	Save(ctx context.Context, o Owner, data []byte) error
	// Gone notes that the connection was lost: the window begins. Does not
	// block; fenced owners are ignored.
	Gone(o Owner)
	// End removes the record: the client left on purpose, or was thrown out.
	// Does not block; fenced owners are ignored.
	End(o Owner)
}

// Presence counts distinct people per room over the fleet.
type Presence interface {
	// Enter says that a socket of a person is in a room. Idempotent per
	// socket. The first socket of a person makes a PresenceChange. It returns
	// the number of people after it.
	Enter(ctx context.Context, namespace, room, socketID string, p Person) (int, error)
	// Exit takes it back. With grace, the person counts as present for the
	// adapter's grace time, so that a reconnect is no leave and join; without
	// it (a deliberate leave) at once. The last socket makes the change. Does
	// not block.
	Exit(namespace, room, socketID, user string, grace bool)
	// People lists who is in a room, ascending by user, strictly after the
	// given user, at most limit (0: none), and how many there are in all.
	People(ctx context.Context, namespace, room, after string, limit int) (people []Person, total int, err error)
	// PresentRooms lists rooms with somebody in them, ascending, strictly
	// after the given name, at most limit.
	PresentRooms(ctx context.Context, namespace, after string, limit int) ([]RoomCount, error)
}

// RoomCount is a room and its number of distinct people.
type RoomCount struct {
	Room  string
	Count int
}
