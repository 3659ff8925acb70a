package socketio

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Namespace is a set of sockets with handlers of their own. Handlers belong to
// the namespace, not to its sockets, so an idle socket costs none.
//
// Everything that configures a namespace (Use to OnServerEvent) is called
// before the server accepts its first connection; later calls panic. What
// emits may be called at any time, from any goroutine.
type Namespace struct {
	server *Server
	name   string // "" for the parent of dynamic namespaces
	*config
	parent *Namespace // of a dynamic namespace, nil otherwise

	ackIDs  atomic.Uint64 // one counter for all sockets, so a broadcast has one id
	sockets atomic.Int64  // accepted sockets

	refs int // sockets that connect or are connected; guarded by server.mu

	serverEvents serverEventQueue
}

// config is what Use, On and the like fill; the children of a dynamic
// namespace share their parent's.
type config struct {
	serving  atomic.Bool
	match    Match
	use      []func(context.Context, *Socket) error
	connect  []func(context.Context, *Socket) error
	leave    []func(context.Context, *Socket, DisconnectReason)
	wrap     []func(EventHandler) EventHandler
	handlers map[string]EventHandler
	any      EventHandler
	pack     func(*Socket) ([]byte, error)
	unpack   func(*Socket, []byte) error
	outgoing []func(*Socket, adapter.Event)
	render   Renderer
	replay   func([]*adapter.Delivery) []*adapter.Delivery
	gap      func(adapter.Gap) (adapter.Event, bool)
	presence func(adapter.PresenceChange) (e adapter.Event, exceptUser string, ok bool)

	mu      sync.Mutex
	answers map[string]ServerHandler // guarded by mu: other nodes need no connection here

	once  sync.Once
	chain EventHandler // handle wrapped in the middleware, made at the first connection
}

// View is a vocabulary: which events, in which form, a socket is told. See
// [Namespace.Render].
type View uint8

// Renderer says what sockets of a view are told of a delivery: the event, and
// whether the sender of a logged one gets it too; with ok false they are told
// nothing. It is called once per delivery and view in use, on the adapter's
// sequencer, and for replays on others: it must be fast and pure.
type Renderer func(v View, d *adapter.Delivery) (e adapter.Event, toSender, ok bool)

// ServerHandler answers another node's ServerSideEmit or ServerSideRequest
// with one value, which is encoded as JSON. Events of one namespace are handled
// one at a time, in the order in which they came.
type ServerHandler func(ctx context.Context, args Args) (any, error)

func newNamespace(s *Server, name string, c *config) *Namespace {
	if c == nil {
		c = &config{handlers: make(map[string]EventHandler)}
	}
	return &Namespace{server: s, name: name, config: c}
}

// Name of the namespace, "/" for the root. The parent of dynamic namespaces
// has none.
func (ns *Namespace) Name() string { return ns.name }

// Sockets is the number of accepted sockets on this node.
func (ns *Namespace) Sockets() int { return int(ns.sockets.Load()) }

// configure panics when the server is already in use.
func (ns *Namespace) configure() *config {
	if ns.serving.Load() {
		panic(fmt.Sprintf("socketio: namespace %q is configured after the first connection", ns.name))
	}
	return ns.config
}

// Use adds connect middleware: it runs in the order of the calls when a client
// asks to connect, and an error refuses the client (*[ConnectError] says
// what it is told). It runs for recovered sessions too, so that identity is
// checked again: [Socket.Recovered] tells. It may run a second time for one
// CONNECT, with Recovered false, when a recovery turns out to be impossible.
// It can set user, view and data but neither emit nor join.
func (ns *Namespace) Use(f func(ctx context.Context, s *Socket) error) {
	c := ns.configure()
	c.use = append(c.use, f)
}

// OnConnect adds a function that runs once the client has been accepted, and
// before any of its events is handled. Broadcasts to the socket are kept back
// until it has returned. An error disconnects the socket. A session whose
// OnConnect was cut short by the loss of its connection is not recovered.
func (ns *Namespace) OnConnect(f func(ctx context.Context, s *Socket) error) {
	c := ns.configure()
	c.connect = append(c.connect, f)
}

// OnDisconnect adds a function that runs when a socket that was accepted has
// ended, after its last event. Its rooms are still listed. The context is the
// server's, with a limit of 10 s.
func (ns *Namespace) OnDisconnect(f func(ctx context.Context, s *Socket, reason DisconnectReason)) {
	c := ns.configure()
	c.leave = append(c.leave, f)
}

// disconnectTimeout bounds the context of OnDisconnect functions.
const disconnectTimeout = 10 * time.Second

// UseEvent adds middleware around every event's handling, the first added
// outermost.
func (ns *Namespace) UseEvent(f func(next EventHandler) EventHandler) {
	c := ns.configure()
	c.wrap = append(c.wrap, f)
}

// Handle registers the handler of an event in its plain form; see [On] and
// [OnArgs] for typed ones. It panics if the event has a handler already, or
// its name is reserved.
func (ns *Namespace) Handle(event string, h EventHandler) {
	c := ns.configure()
	if slices.Contains(reservedNames, event) {
		panic(fmt.Sprintf("socketio: event name %q is reserved", event))
	}
	if _, dup := c.handlers[event]; dup {
		panic(fmt.Sprintf("socketio: event %q has two handlers", event))
	}
	c.handlers[event] = h
}

// OnAny handles events that have no handler of their own. Without it they fail
// with ErrUnknownEvent.
func (ns *Namespace) OnAny(h EventHandler) { ns.configure().any = h }

// OnAnyOutgoing adds a function that sees every event queued to a socket of
// this node: offsets are not shown. It must be fast.
func (ns *Namespace) OnAnyOutgoing(f func(s *Socket, e adapter.Event)) {
	c := ns.configure()
	c.outgoing = append(c.outgoing, f)
}

// OnServerEvent answers an event that another node sent with ServerSideEmit or
// ServerSideRequest.
func (ns *Namespace) OnServerEvent(event string, h ServerHandler) {
	c := ns.configure()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil {
		c.answers = make(map[string]ServerHandler)
	}
	if _, dup := c.answers[event]; dup {
		panic(fmt.Sprintf("socketio: server event %q has two handlers", event))
	}
	c.answers[event] = h
}

// Render sets what sockets are told of deliveries. Without it every view gets
// the event as it is, and the sender of a logged event is left out.
func (ns *Namespace) Render(f Renderer) { ns.configure().render = f }

// OnReplay sets a function that sees what a recovered socket missed before any of
// it is rendered, and may put something else in the place of a delivery, with the
// same Position.
func (ns *Namespace) OnReplay(f func(missed []*adapter.Delivery) []*adapter.Delivery) {
	ns.configure().replay = f
}

// OnGap sets what a room's members are told when its log lost something.
// Without it, nothing.
func (ns *Namespace) OnGap(f func(g adapter.Gap) adapter.Event) {
	ns.configure().gap = func(g adapter.Gap) (adapter.Event, bool) { return f(g), true }
}

// OnPresence sets what a room's members are told when somebody came or left;
// sockets of exceptUser (see [Socket.SetUser]) are left out. Without it,
// nothing.
func (ns *Namespace) OnPresence(f func(c adapter.PresenceChange) (e adapter.Event, exceptUser string, ok bool)) {
	ns.configure().presence = f
}

// rendered is Render or its default. A panic tells nobody anything.
func (ns *Namespace) rendered(v View, d *adapter.Delivery) (e adapter.Event, toSender, ok bool) {
	if ns.render == nil {
		return d.Event, d.Class != adapter.Logged, true
	}
	ns.server.protect("render", func() { e, toSender, ok = ns.render(v, d) })
	return e, toSender, ok
}

func (c *config) answerer(event string) ServerHandler {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers[event]
}

// freeze ends the configuration and builds the chain of event handlers.
func (c *config) freeze() {
	c.once.Do(func() {
		c.serving.Store(true)
		c.chain = c.dispatch
		for _, wrap := range slices.Backward(c.wrap) {
			c.chain = wrap(c.chain)
		}
	})
}

// dispatch is the innermost event handler.
func (c *config) dispatch(ctx context.Context, s *Socket, e *Incoming) (Reply, error) {
	if h := c.handlers[e.Name]; h != nil {
		return h(ctx, s, e)
	}
	if c.any != nil {
		return c.any(ctx, s, e)
	}
	return Reply{}, ErrUnknownEvent
}
