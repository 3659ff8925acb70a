package socketio

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// Options of a server. The zero value of a field means its default.
type Options struct {
	// ConnectTimeout closes a connection that is in no namespace this long
	// after it was opened. 45 s.
	ConnectTimeout time.Duration
	// AckTimeout bounds the wait for an acknowledgement when the call does not
	// say. 10 s.
	AckTimeout time.Duration
	// Recovery keeps session records so that clients get back what they
	// missed (connection state recovery). Off.
	Recovery bool
	// Offsets says which sockets get offsets when Recovery is on.
	Offsets OffsetPolicy
	// Limits of the packet codec.
	Limits packet.Limits
	// Inbox is how many events may wait for a socket's handlers; when it is
	// full the connection is not read any further. 64.
	Inbox int
	// InboxBytes is how large the waiting events may be together, if they are
	// more than one. 1 MiB.
	InboxBytes int
	// InboxWait is how long a full inbox may stand still before the
	// connection is closed. 60 s.
	InboxWait time.Duration
	// MaxHeld is how many events are kept back for a held socket; one more
	// closes the connection as a slow client. 1000.
	MaxHeld int
	// MaxRooms a socket may be in, through its own Join. 200.
	MaxRooms int
	// MaxNamespaces a connection may be in at once. 10.
	MaxNamespaces int
	// MaxConnects is how many CONNECT packets a connection may send in a
	// minute; one more closes it. 60.
	MaxConnects int
	// MaxAuth bounds what a client sends along with its CONNECT, in bytes of
	// JSON: it is kept as long as the socket. A larger one is refused. 16 KiB.
	MaxAuth int
	// Secrets names fields of what a client sends along with its CONNECT that
	// nobody else is to see: they are cut out of every [Handshake], and
	// [Socket.Secret] has them while the client connects. None.
	Secrets []string
	// AttachmentWait is how long the attachments of a packet may take to arrive;
	// then the connection is closed. 60 s.
	AttachmentWait time.Duration
	// MaxArriving bounds the bytes of packets whose attachments are to come, of all
	// connections together; whose bytes are too many is closed. 256 MiB, or four times
	// Limits.MaxBytes if that is more; negative: no limit.
	MaxArriving int64
	// MaxPendingAcks is how many events of a socket may wait for their
	// acknowledgement. 1000.
	MaxPendingAcks int
	// MaxData bounds a socket's data in bytes of JSON. 16 KiB.
	MaxData int
	// Views is how many vocabularies Namespace.Render tells apart, at most 4.
	// 1.
	Views int
	// ErrorPayload turns a handler's error into what the client is told: the
	// only argument of the acknowledgement, or of an "error message" event
	// when none was asked for. The default names the event and a code, never
	// the error's text.
	ErrorPayload func(event string, err error) any
	// Describe may add to what FetchSockets tells of a socket, such as to its
	// Data. It may run on the adapter's sequencer: it must be fast. Nothing is
	// added without it.
	Describe func(s *Socket, info *adapter.SocketInfo)
	// Logger for what an operator should know. Nothing is logged without it.
	Logger *slog.Logger
	Hooks  Hooks
}

// OffsetPolicy says which sockets of protocol 5 get offsets, while recovery is
// on.
type OffsetPolicy uint8

const (
	// OffsetsAuto gives them to clients that look like the JavaScript client,
	// the only one that keeps them (others would hand their handlers one
	// argument too many), and to those that ask with recovery=1 in the
	// handshake's query. A client looks like it when its User-Agent is a
	// browser's, Node's, Bun's or Deno's or, having none, when it offers
	// compression in the words of Node's package ws. So the session must keep
	// the headers user-agent and sec-websocket-extensions. React Native has to
	// ask; another language's client inside a browser (Flutter's web build) is
	// taken for JavaScript.
	OffsetsAuto OffsetPolicy = iota
	// OffsetsAlways gives them to every socket of protocol 5, as the reference
	// server does.
	OffsetsAlways
	// OffsetsNever gives them to nobody.
	OffsetsNever
)

// maxViews bounds Options.Views: the variants of one delivery are kept in an
// array on the stack.
const maxViews = 4

// Hooks tell what happens. Any of them may be nil. They are called on the
// goroutine that does the work, some of them with locks held: they must be
// fast and must not call back.
type Hooks struct {
	// Connected: a socket was accepted.
	Connected func(s *Socket)
	// Refused: a CONNECT was answered with an error. name is as the client
	// sent it.
	Refused func(name string, err error)
	// Disconnected: a socket that was accepted has ended.
	Disconnected func(s *Socket, reason DisconnectReason)
	// Received: an event of a client is about to be handled.
	Received func(s *Socket, event string, size int)
	// Incoming is Received with the whole event, which must not be changed.
	Incoming func(s *Socket, e *Incoming)
	// Outgoing: an event was queued to a socket of this node; its offset is
	// not shown. It runs for every recipient of a broadcast.
	Outgoing func(s *Socket, e adapter.Event)
	// Handled: its handler has returned.
	Handled func(s *Socket, event string, took time.Duration, err error)
	// Delivered: a broadcast has been queued to local sockets, which took so
	// long; encoded says in how many forms it was written. Called by the adapter's
	// sequencer, which goes on when it returns.
	Delivered func(d *adapter.Delivery, recipients, encoded int, took time.Duration)
	// Dropped: a volatile event was not sent because the connection was busy.
	Dropped func(s *Socket, event string)
	// Acked: a client has acknowledged an event, so long after it was sent.
	Acked func(s *Socket, took time.Duration)
	// AckTimedOut: a client did not acknowledge in time.
	AckTimedOut func(s *Socket)
	// Panicked: a handler panicked, or another function of the application.
	// where is the event's name, or "connect", "disconnect", "server event",
	// "error payload", "render", "replay", "gap", "presence", "outgoing",
	// "describe".
	Panicked func(where string, value any)
	// Violation: a connection was closed because its client broke the
	// protocol or a limit.
	Violation func(what string)
}

// withDefaults returns o with every zero field replaced.
func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	defTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	defTime(&o.ConnectTimeout, 45*time.Second)
	defTime(&o.AckTimeout, 10*time.Second)
	defTime(&o.InboxWait, 60*time.Second)
	defTime(&o.AttachmentWait, 60*time.Second)
	def(&o.Inbox, 64)
	def(&o.InboxBytes, 1<<20)
	def(&o.MaxHeld, 1000)
	def(&o.MaxRooms, 200)
	def(&o.MaxNamespaces, 10)
	def(&o.MaxConnects, 60)
	def(&o.MaxAuth, 16<<10)
	def(&o.MaxPendingAcks, 1000)
	def(&o.MaxData, 16<<10)
	switch {
	case o.MaxArriving == 0:
		o.MaxArriving = max(256<<20, 4*int64(o.Limits.MaxBytes))
	case o.MaxArriving < 0:
		o.MaxArriving = math.MaxInt64
	}
	def(&o.Views, 1)
	o.Views = min(o.Views, maxViews)
	if o.ErrorPayload == nil {
		o.ErrorPayload = errorPayload
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Match decides whether a dynamic namespace exists, given its name and what
// the client sent along with its CONNECT.
type Match func(ctx context.Context, name string, auth json.RawMessage) bool
