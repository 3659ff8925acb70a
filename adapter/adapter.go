package adapter

import (
	"context"
	"time"
)

// Adapter is everything a node asks of the fleet. Consumers should take the
// small interface that they need. All methods may be called concurrently. A
// method with a context blocks at most until the context ends (its error then
// wraps ErrUnavailable if a write was under way); methods without one do not
// block on the store.
type Adapter interface {
	Namespaces
	Membership
	Broadcaster
	Log
	Presence
	Sessions
	Fleet
	Peers
	Expiring
	Tables

	// Lanes is the fleet's number of lanes, 1 to MaxLanes, fixed for the
	// adapter's life.
	Lanes() int
	// Status says whether the node can keep its promises now.
	Status() Status
	// Close stops the sequencer and releases the store. Deliveries under way
	// are finished; none happens after Close returns.
	Close(ctx context.Context) error
}

// Status is an adapter's health.
type Status struct {
	// Ready: the store is there and the node sees all that it should.
	Ready bool
	// Reason says in one line what is wrong when not Ready.
	Reason string
	// Warnings are what should be mended although the node works: a line each.
	Warnings []string
}

// Namespaces ties a namespace's Receiver to the sequencer.
type Namespaces interface {
	// Open makes r the receiver of a namespace. It panics if the namespace is
	// already open: that is a programming error.
	Open(namespace string, r Receiver)
	// CloseNamespace forgets a namespace that has no sockets left.
	CloseNamespace(namespace string)
}

// Receiver is implemented by a namespace. The sequencer calls it, one call at
// a time per node, in the order of the stream; it must not block and must not
// call back into the adapter's blocking methods. The slice of sockets is only
// valid during the call.
type Receiver interface {
	// Deliver hands an event to local sockets that should get it. It is also
	// called with no sockets when d.Ask is set, so that Expect(0) is said.
	Deliver(d *Delivery, to []Socket)
	// Gap tells members that entries of a room are lost for good. The same
	// may be said again, of a longer range when more has become known.
	Gap(g Gap, to []Socket)
	// Presence tells that somebody came or left; to is the room's members.
	Presence(c PresenceChange, to []Socket)
	// ServerEvent is an event from another node's ServerSideEmit. When answer
	// is not nil the sender waits for one answer (one JSON value); answer may
	// be called later, from any goroutine, once.
	ServerEvent(e Event, answer func(value []byte))
}

// Socket is a local socket as the adapter sees it; the Socket.IO layer
// implements it. Methods are called by the sequencer only, except ID and Info,
// which any goroutine may call. None blocks.
type Socket interface {
	// ID is the socket's id, unique in the fleet.
	ID() string
	// Hold makes the socket keep back every later event until the Socket.IO
	// layer itself releases it: called at a cut's marker, before the cut's
	// answer is known. A socket may be held by several cuts at once.
	Hold()
	// Fence says that the session now belongs to another connection: close
	// the transport, send nothing more.
	Fence()
	// Disconnect ends the socket as DisconnectSockets asks: the namespace
	// only, or with transport true the whole connection.
	Disconnect(transport bool)
	// Info describes the socket for FetchSockets.
	Info() SocketInfo
}

// SocketInfo is what FetchSockets tells of a socket.
type SocketInfo struct {
	ID        string
	Node      string
	Rooms     []string // without the socket's own id
	Handshake []byte   // JSON object
	Data      []byte   // JSON value of socket.Data
}

// Membership changes go through the sequencer, so that they have a place in
// the order of events.
type Membership interface {
	// Add makes a socket known under its id, in no room. It returns once no
	// event for the socket can be missed. The session (nil for sockets that
	// cannot recover) is compared in every later write for the socket.
	Add(ctx context.Context, namespace string, s Socket, session *Owner) error
	// Remove forgets the socket and its rooms. Idempotent, does not block; no
	// Receiver call names the socket once the sequencer has passed it.
	Remove(namespace string, s Socket)
	// Join puts the socket into rooms by a cut: everything with a position up
	// to the cut is the past, everything later is delivered live, nothing is
	// in both or neither. When it returns without error the socket is a
	// member and, if hold is set, has been held from the cut on: the caller
	// queues its answer and then releases the socket. With read not nil the
	// log of rooms[0] is read up to the cut.
	//
	// Joining a room again is allowed and cuts again. ErrFenced,
	// ErrUnknownSocket and ErrUnavailable leave the membership as it was; a
	// socket already held when an error is returned must be released too,
	// which is why Cut is returned not nil whenever Hold was called.
	Join(ctx context.Context, namespace string, s Socket, rooms []string, hold bool, read *LogRead) (*Cut, error)
	// Leave takes the socket out of rooms. When it returns, the sequencer has
	// passed it.
	Leave(ctx context.Context, namespace string, s Socket, rooms []string) error
	// Rooms lists the rooms a local socket is in, without its own id.
	Rooms(namespace, socketID string) []string
	// Resume makes a claimed session's socket known, in all the session's
	// rooms, by one cut, and returns what it missed: see [Sessions.Claim].
	// The socket is held from the cut on. offset is nil when the client had
	// none; then the replay starts where each room was joined.
	// ErrUnrecoverable when completeness cannot be proven; the socket is then
	// not added. After an error it may have been held, or have been a member
	// for a moment: it must not be used again.
	Resume(ctx context.Context, namespace string, s Socket, o Owner, offset *Position) (*Replay, error)
}

// Cut is the answer to a Join.
type Cut struct {
	Position Position  // the cut: C in each lane concerned
	Read     *LogSlice // when a read was asked for
}

// Replay is the answer to a Resume: what the socket missed, in order, merged
// over all rooms. Each delivery's Position is the offset the client has after
// it, so that a replay cut short recovers again. The sender's own logged
// messages are included (see Delivery.Sender).
type Replay struct {
	Missed []*Delivery
	// Lost are ranges of the session's rooms that the store gave out and lost,
	// as far as that was noticed after the offset; it may have been told them.
	Lost     []Gap
	Rooms    []string
	Position Position // floor for the offsets of held events
}

// Broadcaster publishes events that are not logged.
type Broadcaster interface {
	// Emit publishes an event. Events of one caller to the same target arrive
	// in the order of the calls. It blocks only while the adapter's own queue
	// is full. An error means that nothing was or will be delivered, except
	// ErrUnavailable.
	Emit(ctx context.Context, e Emit) error
	// Request emits to the target and collects an acknowledgement from every
	// socket, until all have answered or timeout has passed. What came is
	// returned together with how many sockets were asked and which nodes
	// never said how many.
	Request(ctx context.Context, e Emit, timeout time.Duration) (Answers, error)
}

// Answers are the acknowledgements of one broadcast. Which sockets were silent is
// not told: nodes say how many they ask, as those of the official adapters do,
// since the ids would cost each broadcast some 20 bytes a socket. Who must know
// asks FetchSockets, and compares.
type Answers struct {
	Expected int // sockets that were asked, also those of a node that has died since
	Replies  []Answer
	// Missing names live nodes that did not answer at all.
	Missing []string
}

// Complete: every socket that was asked has answered and no node is missing.
func (a Answers) Complete() bool { return len(a.Missing) == 0 && len(a.Replies) >= a.Expected }

// Answer is one acknowledgement.
type Answer struct {
	SocketID    string
	Node        string
	Args        []byte // JSON array
	Attachments [][]byte
}
