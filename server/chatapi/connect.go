package chatapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// member is a connected socket as the handlers see it. It is kept as the socket's
// Local if its person has a name or a token: any other guest costs nothing while
// it is idle. Its fields belong to the socket's own goroutine: middleware,
// OnConnect, then one event after the other, then OnDisconnect.
type member struct {
	socket *socketio.Socket
	token  *bearer // nil without tokens
	// held is what held against the person at the connect; until OnConnect is done.
	held  chat.Sanctions
	known bool   // held was read
	name  string // "" for a guest
	// handle is this connection's in the rosters, "" for a guest. A recovered
	// socket keeps its id but not its handle.
	handle string

	// roster guards what follows: a socket may be put out of a room while it waits.
	// Name and handle are changed with it held, too.
	roster sync.Mutex
	// present are the chat rooms whose rosters have the handle, ascending; entering is
	// one that is being entered, or again.
	present  []string
	entering string
	left     bool // the socket has ended
	// counted are the rooms that count for Limits.RoomsPerUser, ascending; joining is
	// one that the socket is not in yet. They end with gone.
	counted []string
	joining string
	gone    bool
}

// member is a socket's, made anew for a guest.
func (a *API) member(s *socketio.Socket) *member {
	if m, ok := s.Value().(*member); ok {
		return m
	}
	return &member{socket: s}
}

// settle forgets what only the connect needed.
func (m *member) settle() {
	m.held, m.known = chat.Sanctions{}, false
	m.roster.Lock()
	defer m.roster.Unlock()
	if m.guest() && m.token == nil && len(m.counted) == 0 {
		m.socket.SetValue(nil)
	}
}

// keep makes a member its socket's.
func (m *member) keep() { m.socket.SetValue(m) }

// named makes the person behind the socket known by a name.
func (m *member) named(name string) {
	m.roster.Lock()
	defer m.roster.Unlock()
	m.name, m.handle = name, m.socket.ID()+"."+rand.Text()[:8]
}

// unnamed makes the person a guest again.
func (m *member) unnamed() {
	m.roster.Lock()
	defer m.roster.Unlock()
	m.name, m.handle, m.left = "", "", false
}

func (m *member) guest() bool { return m.name == "" }

// author is who the member is to others.
func (m *member) author() chat.Author {
	user := m.socket.User()
	switch {
	case !m.guest():
		return chat.Author{User: user, Name: m.name}
	case m.token != nil && m.token.name != "":
		return chat.Author{User: user, Name: m.token.name}
	}
	return chat.Author{User: user, Name: chat.GuestName(user)}
}

// record is what a session keeps of a member, so that a recovered socket is
// still who it was.
type record struct {
	User string `json:"user"`
	Name string `json:"name,omitempty"`
	// Backlog is up to where a socket of the tutorial's vocabulary was sent
	// what it had missed, in messages of the lobby: see identify.
	Backlog uint64 `json:"backlog,omitempty"`
}

// in: the socket is a member of the chat room.
func (m *member) in(room string) bool {
	return slices.Contains(m.socket.Rooms(), chat.AdapterRoom(room))
}

// credentials are what a client shows at CONNECT, beside what it may say for
// itself. Clients of protocol 4 have no payload there and use the query.
type credentials struct {
	secret    string
	hasSecret bool
	// serverOffset is the last seq that a tutorial client saw in the lobby.
	serverOffset uint64
	tutorial     bool
}

// Secrets is what the Secrets of both socketio.Options and engineio.Options must
// name for the chat: what clients prove themselves with.
var Secrets = []string{secretSession, secretToken, secretAccessToken, secretAuthorization}

const (
	secretSession       = "session"
	secretToken         = "token"
	secretAccessToken   = "access_token"
	secretAuthorization = "authorization"
)

func credentialsOf(says statements) (c credentials, err error) {
	if c.hasSecret, err = decodeText(says.of(secretSession), &c.secret); err != nil {
		return c, &chat.Invalid{Field: chat.FieldSecret, Reason: "must be a string"}
	}
	if offset := says.of("serverOffset"); offset != nil {
		c.tutorial = true
		// What is no number is 0: the tutorial's server would answer from the
		// beginning too.
		c.serverOffset, _ = strconv.ParseUint(string(bytes.Trim(offset, `"`)), 10, 64)
	}
	return c, nil
}

// statements are what a client says about itself when it connects.
type statements struct {
	secret func(name string) json.RawMessage
	auth   map[string]json.RawMessage
	query  map[string]string
}

func statementsOf(s *socketio.Socket) statements {
	h := s.Handshake()
	says := statements{secret: s.Secret, query: h.Query}
	_ = json.Unmarshal(h.Auth, &says.auth) // what is no object says nothing
	return says
}

// of is what stands under a name, in JSON (false for what is no UTF-8): in what came with the CONNECT, else in
// the address. A server whose Options.Secrets are not set has it in the handshake.
// nil when there is nothing.
func (says statements) of(name string) json.RawMessage {
	for _, raw := range []json.RawMessage{says.secret(name), says.auth[name]} {
		if raw != nil && !bytes.Equal(raw, []byte("null")) {
			return raw
		}
	}
	switch value, ok := says.query[name]; {
	case !ok:
		return nil
	case !utf8.ValidString(value):
		return json.RawMessage("false")
	default:
		raw, _ := json.Marshal(value) // a string: cannot fail
		return raw
	}
}

// decodeText decodes a string that may be missing.
func decodeText(raw json.RawMessage, s *string) (given bool, err error) {
	if raw == nil {
		return false, nil
	}
	return true, json.Unmarshal(raw, s)
}

// connected puts the socket into the lobby, or back to where it was.
func (a *API) connected(ctx context.Context, s *socketio.Socket) error {
	ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
	defer cancel()
	m := a.member(s)
	m.keep() // the same one until settle: a socket that has moved here has none yet
	a.leases.add(m)
	defer m.settle()
	var err error
	switch {
	case s.Recovered():
		err = a.resumed(ctx, m)
	case s.View() == viewTutorial:
		err = a.catchUp(ctx, m)
	default:
		if err = s.Join(ctx, a.firstRooms(m)...); err != nil {
			err = fmt.Errorf("join lobby: %w", err)
		}
	}
	if err != nil {
		return err
	}
	return a.welcome(ctx, m)
}

// resumed makes a recovered socket who it was. Its presence may have ended with
// the node that had it.
func (a *API) resumed(ctx context.Context, m *member) error {
	s := m.socket
	if rooms := m.muteRooms(s.Rooms()); len(rooms) > 0 {
		if err := s.Join(ctx, rooms...); err != nil {
			return fmt.Errorf("join mute rooms: %w", err)
		}
	}
	if err := a.countAgain(ctx, m); err != nil {
		return err
	}
	r, err := dataOf(s)
	if err != nil || r.Name == "" {
		return err
	}
	m.named(r.Name)
	return a.align(ctx, m)
}

// catchUp puts a socket of the tutorial's vocabulary into the lobby and sends
// it what it has not seen. Live messages follow once this has returned.
func (a *API) catchUp(ctx context.Context, m *member) error {
	s := m.socket
	c, err := credentialsOf(statementsOf(s))
	if err != nil {
		return err
	}
	first := a.firstRooms(m)
	if err := s.Join(ctx, slices.DeleteFunc(slices.Clone(first), func(room string) bool { return room == lobbyRoom })...); err != nil {
		return fmt.Errorf("join own room: %w", err)
	}
	if !slices.Contains(first, lobbyRoom) {
		return nil
	}
	seen := c.serverOffset
	cut, err := s.JoinRead(ctx, lobbyRoom, adapter.LogRead{After: &seen, Limit: a.options.Backlog})
	if err != nil {
		return fmt.Errorf("join lobby: %w", err)
	}
	slice := cut.Read
	if seen > 0 {
		if err := tellLost(s, slice.Lost); err != nil {
			return err
		}
	}
	if seen > slice.Head {
		// The client has seen more than there is: what it saw was lost and
		// the numbers began again. All that there is is new to it.
		seen = 0
	}
	missed := slice.Entries
	if slice.More || len(missed) == 0 && slice.Head > seen {
		// Only the newest fit; a cut reads forward.
		newest, err := a.store.Read(ctx, a.ns.Name(), lobbyRoom, adapter.LogRead{Before: slice.Head + 1, Limit: a.options.Backlog})
		if err != nil {
			return fmt.Errorf("read lobby: %w", err)
		}
		missed = newest.Entries
	}
	if missed, err = a.chat.Redacted(ctx, chat.Lobby, missed); err != nil {
		return err
	}
	missed = newestFitting(missed, seen, a.chat.Limits().AnswerBytes)
	if len(missed) == 0 {
		return nil
	}
	if first := missed[0].Seq; seen > 0 && first > seen+1 {
		// Too many, or lost: this vocabulary has no paging, so say what is
		// missing. (A client that has seen nothing misses nothing.)
		gap := RoomGap{Room: chat.Lobby, Epoch: slice.Epoch, From: seen + 1, To: first - 1}
		if err := s.Emit(eventRoomGap, gap); err != nil {
			return fmt.Errorf("send gap: %w", err)
		}
	}
	if err := s.SetData(record{User: s.User(), Backlog: missed[len(missed)-1].Seq}); err != nil {
		return fmt.Errorf("write session: %w", err)
	}
	for _, d := range missed {
		if err := s.Emit(eventChatMsg, json.RawMessage(chat.Text(d)), d.Seq); err != nil {
			return fmt.Errorf("send missed message: %w", err)
		}
	}
	return nil
}

// newestFitting are the messages after seq that fit into size bytes, the
// newest first to be taken.
func newestFitting(entries []*adapter.Delivery, seq uint64, size int) []*adapter.Delivery {
	entries = slices.DeleteFunc(slices.Clone(entries), func(d *adapter.Delivery) bool {
		return d.Seq <= seq || !chat.IsMessage(d) || chat.IsRemoved(d)
	})
	i := len(entries)
	for i > 0 && size > 0 {
		i--
		size -= len(entries[i].Event.Data)
	}
	return entries[i:]
}

// disconnected takes the socket out of what it was counted in. A lost
// connection keeps its place for the grace time.
func (a *API) disconnected(ctx context.Context, s *socketio.Socket, reason socketio.DisconnectReason) {
	m := a.member(s)
	a.leases.drop(m)
	for _, room := range chat.Rooms(s.Rooms()) {
		a.silence(ctx, s.ID(), room)
	}
	a.exitAll(m, !reason.Recovers() && reason != socketio.ReasonTakenOver)
	a.uncountAll(m)
}

// dataOf is what the session keeps.
func dataOf(s *socketio.Socket) (record, error) {
	r, err := socketio.Data[record](s)
	if err != nil {
		return record{}, fmt.Errorf("read session: %w", err)
	}
	return r, nil
}
