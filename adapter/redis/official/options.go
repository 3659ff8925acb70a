package official

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Mode says which adapter the Node servers use.
type Mode uint8

const (
	// Apart: there are no Node servers; only emitters are listened to.
	Apart Mode = iota
	// Classic is createAdapter of @socket.io/redis-adapter.
	Classic
	// Static, Dynamic and DynamicPrivate are createShardedAdapter with that
	// subscriptionMode; Dynamic is its default. They need Redis 7.
	Static
	Dynamic
	DynamicPrivate
)

// Options of a Bridge. A zero field means the default named here.
type Options struct {
	Mode Mode
	// Prefix is the key of the classic adapter and of emitters, and the
	// channelPrefix of the sharded one: "socket.io".
	Prefix string
	// Emitters accepts what write-only emitters publish: the Node packages'
	// under Prefix, and python-socketio's on PythonChannel ("socketio").
	// Among classic Node servers the emitters' broadcasts arrive anyway, as
	// they do at Node servers; then this decides about Logged.
	Emitters      bool
	PythonChannel string

	// Logged names the events of emitters in the namespace LogNamespace ("/")
	// that go to Append instead of straight to the sockets, when they name a
	// room: none. Append is called
	// by one node of the fleet for each, in the order in which they came,
	// and may block; ErrUnavailable (of adapter) makes it be called again
	// with the same key, for at most AppendTimeout: 30 s.
	Logged        []string
	LogNamespace  string
	Append        func(ctx context.Context, m Message) error
	AppendTimeout time.Duration
	// Lease is how long a node that collects for Append is waited for once
	// it is silent: 3 s. Keys is how the keys begin that the nodes of the
	// fleet find each other by: "antchat:official:". Node begins this node's
	// name there, for people who look: none.
	Lease time.Duration
	Keys  string
	Node  string

	// RoomIn and RoomOut say what a room of the other side is called here,
	// and the reverse; false keeps a room to the fleet. The same name when
	// nil. They are called by many goroutines, and never with the id of a
	// local socket, which is the same on both sides.
	RoomIn  func(name string) string
	RoomOut func(room string) (name string, ok bool)

	// Fleet is the same for all nodes of a fleet and for nobody else, at most
	// 32 of [0-9A-Za-z_-]: "antchat".
	Fleet string
	// SpecificResponses is publishOnSpecificResponseChannel of the classic
	// adapter: answers go to who asked, which adapters before 7.2 do not hear.
	SpecificResponses bool
	// RequestTimeout bounds the wait for answers where the caller's context
	// does not: 5 s, as in Node.
	RequestTimeout time.Duration

	// Limits. MaxMessage is in bytes: 4 MiB. MaxDepth is of arrays and objects
	// inside each other in an event: 64. MaxAttachments is of an event: 10,
	// which is what clients take. MaxRooms is of the rooms in one message:
	// 1,000. MaxAsks is of this node's requests that wait for answers:
	// 1,000. MaxAckTimeout is what a Node server may ask for: 60 s.
	// Queue is of the messages that wait to be published or to be appended:
	// 4,096; beyond it they are dropped and counted.
	MaxMessage, MaxDepth, MaxAttachments, MaxRooms, MaxAsks, Queue int
	MaxAckTimeout                                                  time.Duration

	// Logger gets what an operator must know; nothing per message. Discarded
	// when nil.
	Logger *slog.Logger
	Hooks  Hooks
}

// Hooks are called, when set, from the bridge's goroutines; they must not
// block.
type Hooks struct {
	// Refused counts what came and was not taken: "pickle", "malformed",
	// "too large", "too many".
	Refused func(why string)
	// Dropped counts what was given up: "publish", "append", "deliver".
	Dropped func(what string)
	// Lost says that a subscriber connection was lost: what was published
	// until it is back is gone, as it is for Node servers.
	Lost func(reason string)
}

// Message is an event of an emitter that belongs in a log.
type Message struct {
	Namespace string
	// Room is what RoomIn made of Name, the room as the emitter calls it.
	Room, Name string
	Event      adapter.Event
	// Sender is "emitter", or "python" for python-socketio's manager.
	Sender string
	// Heard says that the Node servers, if there are any, have heard it
	// themselves, as classic ones do an emitter: it must not be published to
	// them again.
	Heard bool
	// Key is the same whenever the same publication is handed over again,
	// whichever node does: for Append's deduplication.
	Key string
}

// Backend is this node's part of the fleet: all operations are on its local
// sockets. The methods are called by several goroutines, mostly by the one that
// reads a subscription, so that they should not wait for Redis; the order of
// calls of one goroutine is the order of the effects. Targets have Local set.
type Backend interface {
	// Emit delivers an event. With ask not nil every socket's answer goes
	// there; it is an error, or ask.Expect is called once.
	Emit(ctx context.Context, e adapter.Emit, ask adapter.Ask) error
	Sockets(ctx context.Context, t adapter.Target) ([]adapter.SocketInfo, error)
	Join(ctx context.Context, t adapter.Target, rooms []string) error
	Leave(ctx context.Context, t adapter.Target, rooms []string) error
	Disconnect(ctx context.Context, t adapter.Target, transport bool) error
	// ServerEvent is adapter.Receiver's.
	ServerEvent(namespace string, e adapter.Event, answer func(value []byte))
	// Socket says whether id is one of this node's sockets, and Room whether
	// any of them is in the room; Room may be true for longer, at a price.
	// They do not block.
	Socket(namespace, id string) bool
	Room(namespace, room string) bool
}

const idAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"

func (o Options) withDefaults() (Options, error) {
	def(&o.Prefix, "socket.io")
	def(&o.PythonChannel, "socketio")
	def(&o.LogNamespace, "/")
	def(&o.AppendTimeout, 30*time.Second)
	def(&o.Lease, 3*time.Second)
	def(&o.Keys, "antchat:official:")
	def(&o.Fleet, "antchat")
	def(&o.RequestTimeout, 5*time.Second)
	def(&o.MaxMessage, 4<<20)
	def(&o.MaxDepth, 64)
	def(&o.MaxAttachments, 10)
	def(&o.MaxRooms, 1000)
	def(&o.MaxAsks, 1000)
	def(&o.Queue, 4096)
	def(&o.MaxAckTimeout, time.Minute)
	if o.RoomIn == nil {
		o.RoomIn = func(name string) string { return name }
	}
	if o.RoomOut == nil {
		o.RoomOut = func(room string) (string, bool) { return room, true }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []time.Duration{o.AppendTimeout, o.Lease, o.RequestTimeout, o.MaxAckTimeout} {
		if d < 0 {
			return o, errors.New("official: a duration is negative")
		}
	}
	for _, n := range []int{o.MaxMessage, o.MaxDepth, o.MaxAttachments, o.MaxRooms, o.MaxAsks, o.Queue} {
		if n < 1 {
			return o, errors.New("official: a limit is below 1")
		}
	}
	switch {
	case o.Mode > DynamicPrivate:
		return o, errors.New("official: unknown mode")
	case o.Mode == Apart && !o.Emitters:
		return o, errors.New("official: neither Node servers nor emitters: nothing to do")
	case len(o.Logged) > 0 && o.Append == nil:
		return o, errors.New("official: Logged without Append")
	case len(o.Fleet) > 32 || strings.Trim(o.Fleet, idAlphabet) != "":
		return o, fmt.Errorf("official: fleet %q: allowed are 32 of [0-9A-Za-z_-]", o.Fleet)
	case o.Fleet == emitterUID:
		return o, errors.New("official: a fleet cannot be called emitter")
	}
	return o, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (o *Options) refused(why string) {
	if o.Hooks.Refused != nil {
		o.Hooks.Refused(why)
	}
}

func (o *Options) dropped(what string) {
	if o.Hooks.Dropped != nil {
		o.Hooks.Dropped(what)
	}
}
