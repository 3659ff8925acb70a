package chatapi

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/identity"
	"github.com/antchat/antchat/server/socketio"
)

// Views is what socketio.Options.Views must be for the chat: its own
// vocabulary and the tutorial's.
const Views = 2

// The views.
const (
	viewChat socketio.View = iota
	viewTutorial
)

// Options of the chat. The zero value of a field means its default.
type Options struct {
	// Limits of what clients may make. Limits.AnnounceMax is
	// presence.announce_max.
	Limits chat.Limits
	// Rules say who may do what in which room. Nil: everybody may read and write
	// everywhere.
	Rules *chat.Rules
	// Fairness bounds what clients ask for. Nothing without it.
	Fairness Fairness
	// RelayEvents are names of custom events that are passed on, unlogged, to
	// the room in their first argument. They may not be names of the
	// vocabulary or of the protocol.
	RelayEvents []string
	// TypingExpiry is how long a sign of typing holds. 5 s.
	TypingExpiry time.Duration
	// CountInterval is how often a big room is told its number of people, at
	// most. 1 s.
	CountInterval time.Duration
	// KickMemory is how long a kick keeps a lost session from being continued: the
	// recovery window. 2 min.
	KickMemory time.Duration
	// Backlog is how many missed messages a socket with the tutorial's
	// vocabulary is sent at most, the newest. 1,000.
	Backlog int
	// StoreTimeout bounds each request's wait for the store. 10 s.
	StoreTimeout time.Duration
	// Authenticator makes a token the only way in: see auth.go. Nil: everybody
	// may come, under any name.
	Authenticator identity.Authenticator
	// TokenWarning is how long before its token's end a socket is told of it.
	// 1 min.
	TokenWarning time.Duration
	// TokenLeeway is how long after that its connection is closed. 0.
	TokenLeeway time.Duration
	// Shed says whether requests of a class are to be refused now, as
	// CodeOverloaded, and when their clients should try again. Asked at each
	// request; it must not block. None are refused without it.
	Shed func(Class) (retryAfter time.Duration, shed bool)
	// Logger for what an operator should know. Nothing is logged without it.
	Logger *slog.Logger
	Hooks  Hooks
}

// Hooks tell what happens. Any of them may be nil; they must be fast.
type Hooks struct {
	// Sent: a message is in its room's log; duplicate when it was before.
	Sent func(duplicate bool)
	// Posted: this node stored a message, in a room that is no direct one. It is told
	// of each message once, on one node, and not at all if the store's answer was lost.
	Posted func(m chat.Message)
	// Present: a person's connection to this node came into a room that is no direct
	// one, or left it.
	Present func(p Presence, joined bool)
	// Refused: a request was refused. With CodeUnknownEvent the event's name
	// is whatever the client made up.
	Refused func(event string, code Code)
	// Named: a socket's person has a name now.
	Named func()
	// ConnectRefused: a CONNECT was refused or, with CodeRateLimited, its connection
	// closed.
	ConnectRefused func(code Code)
	// Limited: a bucket refused a request, or a CONNECT.
	Limited func(kind Kind, scope Scope)
	// TooManyRooms: a join was refused, since a socket or a user has enough rooms.
	TooManyRooms func(scope Scope)
	// Unlisted: somebody began a direct room with a person who has as many as are
	// listed, or it could not be noted: the person hears of the message, and does not
	// find the room in its list.
	Unlisted func()
	// Slowed: a refused request waited, and its connection with it.
	Slowed func()
	// Ended: a socket was ended by the chat.
	Ended func(code Code)
}

// Presence is a connection of somebody with a name in a room. A person may have
// several; Connection tells them apart, and is no socket's id.
type Presence struct {
	Room       string `json:"room"`
	User       string `json:"user"`
	Username   string `json:"username"`
	Connection string `json:"connection"`
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.TypingExpiry, 5 * time.Second}, {&o.CountInterval, time.Second}, {&o.StoreTimeout, 10 * time.Second},
		{&o.TokenWarning, time.Minute}, {&o.KickMemory, 2 * time.Minute},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Backlog <= 0 {
		o.Backlog = 1000
	}
	if o.Rules == nil {
		o.Rules = new(chat.Rules)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// API is the chat on one namespace. Safe for concurrent use.
type API struct {
	// Immutable.
	ns      *socketio.Namespace
	chat    *chat.Chat
	store   Store
	options Options
	classes map[string]Class // requests by name; nil without Options.Shed

	rules *chat.Rules

	heirs  heirs
	leases leases // of tokens
	// memberships are everybody's rooms on this node.
	memberships *memberships
	buckets     *buckets
	waiting     atomic.Int32 // CONNECTs, for their buckets

	// The worker's: one goroutine, which sleeps while there is nothing to
	// expire and nothing to count.
	stop   context.Context // ends with Close
	cancel context.CancelFunc
	wake   chan struct{} // never closed; one place
	done   chan struct{} // closed by the worker
	// moved are sockets that were put out of a room.
	moved chan *member // never closed
	// running is the goroutine that watches tokens.
	running sync.WaitGroup

	mu     sync.Mutex
	typing *chat.Typing // guarded by mu
	counts chat.Counts  // guarded by mu
}

// Store is what the chat needs of an adapter.
type Store = chat.Store

// New makes a namespace the chat's: it registers middleware, handlers and
// rendering, so the namespace must not serve yet and must be of a server with
// Views and ErrorPayload of this package. Close ends it. The error says which
// option is wrong.
func New(ns *socketio.Namespace, store Store, o Options) (*API, error) {
	o = o.withDefaults()
	a := &API{
		ns: ns, chat: chat.New(ns.Name(), store, o.Limits), store: store, rules: o.Rules, options: o,
		wake: make(chan struct{}, 1), done: make(chan struct{}), moved: make(chan *member, 256), buckets: newBuckets(),
		typing: chat.NewTyping(o.TypingExpiry, time.Second),
	}
	if err := checkRelay(o.RelayEvents); err != nil {
		return nil, err
	}
	a.memberships = newMemberships(a.chat.Limits().RoomsPerUser, o.Fairness.Shared)
	a.stop, a.cancel = context.WithCancel(context.Background())
	ns.Use(a.identify)
	ns.OnConnect(a.connected)
	ns.OnMove(a.pack, a.unpack)
	ns.OnDisconnect(a.disconnected)
	ns.Render(render)
	ns.OnReplay(redactReplay)
	ns.OnAnyOutgoing(a.putOutSoon)
	ns.OnGap(gapEvent)
	ns.OnPresence(a.presenceEvent)
	ns.UseEvent(a.refused)
	if o.Shed != nil {
		a.classes = maps.Clone(classes)
		for _, name := range o.RelayEvents {
			a.classes[name] = ClassEphemeral
		}
		ns.UseEvent(a.shedding)
	}
	ns.UseEvent(a.fair)
	a.handle()
	a.leases.init(o.TokenWarning, o.TokenLeeway)
	go a.work()
	if o.Authenticator != nil {
		a.running.Go(a.watchTokens)
	}
	return a, nil
}

// Close ends the API's goroutines and waits for them. The namespace must have
// stopped serving.
func (a *API) Close(ctx context.Context) error {
	a.cancel()
	a.running.Wait() // it does nothing that blocks
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close chat: %w", ctx.Err())
	}
}

// handle registers the vocabulary. Every other event ends as
// socketio.ErrUnknownEvent.
func (a *API) handle() {
	on(a, eventAddUser, a.addUser)
	on(a, eventNewMessage, a.newMessage)
	a.ns.Handle(eventChatMsg, a.chatMessage)
	on(a, eventTyping, a.startTyping)
	on(a, eventStopTyping, a.stopTyping)
	on(a, eventJoinRoom, a.joinRoom)
	on(a, eventLeaveRoom, a.leaveRoom)
	on(a, eventHistory, a.history)
	on(a, eventWho, a.who)
	on(a, eventRooms, a.rooms)
	on(a, eventRefreshToken, a.refreshToken)
	on(a, eventRead, a.read)
	on(a, eventRemoveMessage, a.removeMessage)
	on(a, eventMute, a.sanction(chat.Mute))
	on(a, eventUnmute, a.pardon(chat.Mute))
	on(a, eventKick, a.sanction(chat.Kick))
	on(a, eventBan, a.sanction(chat.Ban))
	on(a, eventUnban, a.pardon(chat.Ban))
	for _, name := range a.options.RelayEvents {
		a.ns.Handle(name, a.relay)
	}
}

// on registers a request with one payload, and gives it the store's time.
func on[In, Out any](a *API, event string, h func(ctx context.Context, m *member, in In) (Out, error)) {
	socketio.On(a.ns, event, func(ctx context.Context, s *socketio.Socket, in In) (Out, error) {
		ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
		defer cancel()
		return h(ctx, a.begin(ctx, s), in)
	})
}

// begin opens a request of a socket.
func (a *API) begin(ctx context.Context, s *socketio.Socket) *member {
	m := a.member(s)
	if err := a.align(ctx, m); err != nil {
		a.options.Logger.Debug("presence not aligned", "err", err) // the next request tries again
	}
	return m
}

// refused is the middleware that counts and logs what fails.
func (a *API) refused(next socketio.EventHandler) socketio.EventHandler {
	return func(ctx context.Context, s *socketio.Socket, e *socketio.Incoming) (socketio.Reply, error) {
		reply, err := next(ctx, s, e)
		if err == nil {
			return reply, nil
		}
		code, _ := classify(err)
		if a.options.Hooks.Refused != nil {
			a.options.Hooks.Refused(e.Name, code)
		}
		if code == CodeRateLimited || code == CodeOverloaded {
			a.slow(ctx, s)
		}
		switch code {
		case CodeInternal:
			a.options.Logger.Error("request failed", "event", e.Name, "err", err)
		case CodeUnavailable, CodeStoreFull, CodeOverloaded: // the store says so itself, and once
			a.options.Logger.Debug("request refused", "event", e.Name, "code", string(code), "err", err)
		}
		return reply, err
	}
}

// vocabulary is every name that the chat itself uses.
var vocabulary = append(slices.Clone(Events),
	eventLogin, eventUserJoined, eventUserLeft, eventRoomUsers, eventRoomGap, eventError,
	chat.EntryRemoved, chat.EntryMuted, chat.EntryUnmuted, chat.EntryKicked, chat.EntryBanned, chat.EntryUnbanned,
	eventRoomClosed, eventJoinedRoom, eventLeftRoom, eventDirectMessage, eventTokenExpiring, eventSessionEnded, eventAnnouncement)

func checkRelay(names []string) error {
	for i, name := range names {
		switch {
		case name == "" || len(name) > 128:
			return fmt.Errorf("relay event %q: must have 1 to 128 bytes", name)
		case slices.Contains(vocabulary, name):
			return fmt.Errorf("relay event %q: is a name of the chat's own", name)
		case slices.Contains(names[:i], name):
			return fmt.Errorf("relay event %q: is named twice", name)
		}
		if _, err := socketio.NewEvent(name); err != nil {
			return fmt.Errorf("relay event %q: %w", name, err)
		}
	}
	return nil
}
