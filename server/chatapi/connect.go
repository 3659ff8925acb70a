package chatapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// member is a connected socket. Its fields belong to the socket's own
// goroutine: OnConnect, then one event after the other, then OnDisconnect.
type member struct {
	socket *socketio.Socket
	author chat.Author // Name is the generated one until the person is named
	named  bool
	// handle is this connection's in the rosters. A recovered socket keeps its
	// id but not its handle.
	handle string
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

// errNoMember cannot happen: every socket that is handled has connected.
var errNoMember = errors.New("socket has no member")

func (a *API) member(s *socketio.Socket) (*member, error) {
	m, ok := a.members.Load(s)
	if !ok {
		return nil, errNoMember
	}
	return m.(*member), nil
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

func credentialsOf(h *socketio.Handshake) (c credentials, err error) {
	var auth struct {
		Session      json.RawMessage `json:"session"`
		ServerOffset json.RawMessage `json:"serverOffset"`
	}
	if len(h.Auth) > 0 && h.Auth[0] == '{' {
		if err := json.Unmarshal(h.Auth, &auth); err != nil {
			return c, fmt.Errorf("decode auth: %w", err)
		}
	}
	text := func(raw json.RawMessage, s *string) (given bool, err error) {
		if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
			return false, nil
		}
		return true, json.Unmarshal(raw, s)
	}
	if c.hasSecret, err = text(auth.Session, &c.secret); err != nil {
		return c, &chat.Invalid{Field: chat.FieldSecret, Reason: "must be a string"}
	}
	if value, ok := h.Query["session"]; ok && !c.hasSecret {
		c.secret, c.hasSecret = value, true
	}
	offset := auth.ServerOffset
	if value, ok := h.Query["serverOffset"]; ok && len(offset) == 0 {
		offset = json.RawMessage(value)
	}
	if len(offset) > 0 && !bytes.Equal(offset, []byte("null")) {
		c.tutorial = true
		// What is no number is 0: the tutorial's server would answer from the
		// beginning too.
		c.serverOffset, _ = strconv.ParseUint(string(bytes.Trim(offset, `"`)), 10, 64)
	}
	return c, nil
}

// identify is connect middleware: who is it? A secret proves the same person
// over all its sockets and reconnects. Without one, a person lasts as long as
// its session is recovered; a client of protocol 4 is new each time.
//
// On recovery the session's record names the user. It is believed on the pid
// alone unless that user has a secret, which must then be shown again.
func (a *API) identify(_ context.Context, s *socketio.Socket) error {
	c, err := credentialsOf(s.Handshake())
	if err != nil {
		return refuseConnect(err)
	}
	view := viewChat
	if c.tutorial {
		view = viewTutorial
	}
	s.SetView(view)
	user := chat.RandomUser()
	if c.hasSecret {
		if user, err = chat.UserOfSecret(c.secret); err != nil {
			return refuseConnect(err)
		}
	}
	if !s.Recovered() {
		s.SetUser(user)
		return s.SetData(record{User: user})
	}
	r, err := dataOf(s)
	switch {
	case err != nil: // of another version: a new session, then
	case c.tutorial && c.serverOffset < r.Backlog:
		// The backlog is sent in direct events, whose offsets lie behind it
		// already. If the connection broke before the client had it all, the
		// adapter cannot know what is missing, but the client's own offset
		// does: then this is no recovery.
		user = chat.RandomUser()
	case !c.hasSecret && !chat.Proven(r.User):
		user = r.User
	}
	s.SetUser(user) // anybody else's than the session's: the claim fails
	return nil
}

// refuseConnect is a connect error with a code. Its texts are made for
// clients.
func refuseConnect(err error) error {
	p := problem(err)
	return &socketio.ConnectError{Message: p.Message, Data: p}
}

// connected makes the socket a member: in the lobby, or where it was.
func (a *API) connected(ctx context.Context, s *socketio.Socket) error {
	ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
	defer cancel()
	m := &member{
		socket: s,
		author: chat.Author{User: s.User(), Name: chat.GuestName(s.User())},
		handle: s.ID() + "." + rand.Text()[:8],
	}
	if s.Recovered() {
		r, err := dataOf(s)
		if err != nil {
			return err
		}
		if r.Name != "" {
			m.author.Name, m.named = r.Name, true
		}
		a.members.Store(s, m)
		// Presence may have ended with the node that had the socket.
		return a.enterAll(ctx, m)
	}
	a.members.Store(s, m)
	c, err := credentialsOf(s.Handshake())
	if err != nil {
		return err
	}
	if !c.tutorial {
		if err := s.Join(ctx, lobbyRoom); err != nil {
			return fmt.Errorf("join lobby: %w", err)
		}
		return nil
	}
	return a.catchUp(ctx, s, c.serverOffset)
}

// catchUp puts a socket of the tutorial's vocabulary into the lobby and sends
// it what it has not seen. Live messages follow once this has returned.
func (a *API) catchUp(ctx context.Context, s *socketio.Socket, seen uint64) error {
	cut, err := s.JoinRead(ctx, lobbyRoom, adapter.LogRead{After: &seen, Limit: a.options.Backlog})
	if err != nil {
		return fmt.Errorf("join lobby: %w", err)
	}
	slice := cut.Read
	if seen > slice.Head {
		// The client has seen more than there is: what it saw was lost and
		// the numbers began again. All that there is is new to it.
		seen = 0
	}
	missed := slice.Entries
	if slice.More || len(missed) == 0 && slice.Head > seen {
		// Only the newest fit; a cut reads forward.
		newest, err := a.log.Read(ctx, a.ns.Name(), lobbyRoom, adapter.LogRead{Before: slice.Head + 1, Limit: a.options.Backlog})
		if err != nil {
			return fmt.Errorf("read lobby: %w", err)
		}
		missed = newest.Entries
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
		return d.Seq <= seq || !chat.IsMessage(d)
	})
	i := len(entries)
	for i > 0 && size > 0 {
		i--
		size -= len(entries[i].Event.Data)
	}
	return entries[i:]
}

// enterAll counts a named person as present in all its rooms.
func (a *API) enterAll(ctx context.Context, m *member) error {
	if !m.named {
		return nil
	}
	for _, room := range chat.Rooms(m.socket.Rooms()) {
		if _, err := a.chat.Enter(ctx, room, m.handle, m.author); err != nil {
			return err
		}
	}
	return nil
}

// disconnected takes the socket out of what it was counted in. A lost
// connection keeps its place for the grace time.
func (a *API) disconnected(ctx context.Context, s *socketio.Socket, reason socketio.DisconnectReason) {
	v, ok := a.members.LoadAndDelete(s)
	if !ok {
		return
	}
	m := v.(*member)
	for _, room := range chat.Rooms(s.Rooms()) {
		a.silence(ctx, s.ID(), room)
		if m.named {
			a.chat.Exit(room, m.handle, m.author.User, !reason.Recovers() && reason != socketio.ReasonTakenOver)
		}
	}
}

// dataOf is what the session keeps.
func dataOf(s *socketio.Socket) (record, error) {
	r, err := socketio.Data[record](s)
	if err != nil {
		return record{}, fmt.Errorf("read session: %w", err)
	}
	return r, nil
}
