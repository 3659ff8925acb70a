package adapter

import "time"

// Event is what crosses the contract: a Socket.IO event as it travels, never a
// Go value of the application. It is immutable once handed over: many
// recipients share its bytes.
type Event struct {
	// Name is the event's name: the first element of Data. A numeric name is
	// its decimal text.
	Name string
	// Data is the JSON array ["name", argument, ...], valid UTF-8, with
	// {"_placeholder":true,"num":i} where attachment i belongs. Whoever
	// creates an Event answers for its validity; nobody checks it again.
	Data []byte
	// Attachments are the binary parts, each referenced by Data exactly once.
	Attachments [][]byte
}

// Size is what the event counts against limits in bytes: data and attachments.
func (e Event) Size() int {
	n := len(e.Data)
	for _, a := range e.Attachments {
		n += len(a)
	}
	return n
}

// Class says what an event survives.
type Class uint8

const (
	// Ephemeral events are delivered to who is there now, and forgotten.
	Ephemeral Class = iota
	// Recoverable events are kept for the recovery window: a socket that
	// comes back within it gets what it missed.
	Recoverable
	// Logged events are entries of a room's log. Only [Log.Append] makes them.
	Logged
)

// Target says which sockets of a namespace an operation is for.
// A socket that several Rooms name is reached once. The slices are handed over
// with the call: like an Event's bytes they must not be changed afterwards.
type Target struct {
	Namespace string
	// Rooms to reach; empty means every socket of the namespace. A socket's
	// id is a valid room name that reaches that socket.
	Rooms []string
	// Except holds rooms (and socket ids) whose sockets are left out.
	Except []string
	// Local keeps the operation on this node.
	Local bool
}

// Emit is a broadcast that is not logged.
type Emit struct {
	Target
	Event Event
	// Class is Ephemeral or Recoverable.
	Class Class
	// Volatile events may be dropped for a socket whose queue is not empty.
	// A volatile event is always Ephemeral.
	Volatile bool
	// Trace names the trace that this is part of: see [Delivery.Trace].
	Trace string
}

// Delivery is one event on its way from the sequencer to local sockets.
// It is shared and immutable.
type Delivery struct {
	Namespace string
	Event     Event
	Class     Class
	Volatile  bool

	// Room is the room whose log holds the event (Logged), else "".
	Room string
	// Epoch and Seq place a logged event in its room.
	Epoch string
	Seq   uint64
	// Time is the store's clock at the append, for logged events.
	Time time.Time
	// Sender is the id of the socket that sent a logged event, "" when no
	// socket did. The adapter does not leave the sender out: whether a sender
	// sees its own message depends on the socket's vocabulary, so the
	// [Receiver] decides, live and on replay alike.
	Sender string
	// User and ID are the sender's identity and its own id for a logged event.
	User, ID string

	// Position is the node's link position once this item is delivered: what
	// a recipient's offset becomes.
	Position Position
	// Lane and Pos place the item in its lane; Pos is 0 for ephemeral events.
	Lane int
	Pos  uint64

	// Trace names the trace that the append or emit was part of, as a W3C
	// traceparent (Trace Context, "traceparent Header"), "" for none. It reaches
	// live deliveries on every node, and is kept nowhere: what is repaired,
	// recovered or read again has none.
	Trace string

	// Ask is set when each recipient's acknowledgement is wanted.
	Ask Ask
}

// Ask collects the acknowledgements of one broadcast on this node.
// Its methods may be called from any goroutine and do not block.
type Ask interface {
	// Expect says how many sockets of this node were asked. It is called once,
	// by the Receiver, inside Deliver, before any Reply.
	Expect(n int)
	// Reply hands over one socket's answer: the JSON array of its ack
	// arguments, with attachments.
	Reply(socketID string, args []byte, attachments [][]byte)
	// Timeout is how long the asker waits; a recipient's pending ack may be
	// forgotten after it.
	Timeout() time.Duration
}

// Gap says that entries of a room's log are gone for good.
type Gap struct {
	Namespace, Room string
	Epoch           string // the epoch that the lost entries had
	From, To        uint64 // inclusive
}

// Person is someone present in a room.
type Person struct {
	User string `json:"user"` // stable identity; not shown to others by the chat
	Name string `json:"name"`
}

// PresenceChange says that a person came to a room or left it.
type PresenceChange struct {
	Namespace, Room string
	Person          Person
	Joined          bool
	// Count is the number of distinct people in the room after the change.
	Count int
}
