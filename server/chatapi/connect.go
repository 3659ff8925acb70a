package chatapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// member is a connected socket as the handlers see it. Only those whose person
// has a name are kept (API.members): a guest costs nothing while it is idle. Its
// fields belong to the socket's own goroutine: OnConnect, then one event after
// the other, then OnDisconnect.
type member struct {
	socket *socketio.Socket
	name   string // "" for a guest
	// handle is this connection's in the rosters, "" for a guest. A recovered
	// socket keeps its id but not its handle.
	handle string
	// present are the chat rooms whose rosters have the handle, ascending.
	present []string
}

// member is a socket's, made anew for a guest.
func (a *API) member(s *socketio.Socket) *member {
	if m, ok := a.members.Load(s); ok {
		return m.(*member)
	}
	return &member{socket: s}
}

// named makes the person behind the socket known by a name.
func (m *member) named(name string) {
	m.name, m.handle = name, m.socket.ID()+"."+rand.Text()[:8]
}

func (m *member) guest() bool { return m.name == "" }

// author is who the member is to others.
func (m *member) author() chat.Author {
	user := m.socket.User()
	if m.guest() {
		return chat.Author{User: user, Name: chat.GuestName(user)}
	}
	return chat.Author{User: user, Name: m.name}
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

// refuseConnect is a connect error with a code. Its texts are made for
// clients.
func refuseConnect(err error) error {
	p := problem(err)
	return &socketio.ConnectError{Message: p.Message, Data: p}
}

// connected puts the socket into the lobby, or back to where it was.
func (a *API) connected(ctx context.Context, s *socketio.Socket) error {
	ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
	defer cancel()
	switch {
	case s.Recovered():
		return a.resumed(ctx, s)
	case s.View() == viewTutorial:
		return a.catchUp(ctx, s)
	}
	if err := s.Join(ctx, lobbyRoom); err != nil {
		return fmt.Errorf("join lobby: %w", err)
	}
	return nil
}

// resumed makes a recovered socket who it was. Its presence may have ended with
// the node that had it.
func (a *API) resumed(ctx context.Context, s *socketio.Socket) error {
	r, err := dataOf(s)
	if err != nil || r.Name == "" {
		return err
	}
	m := &member{socket: s}
	m.named(r.Name)
	a.members.Store(s, m)
	return a.align(ctx, m)
}

// catchUp puts a socket of the tutorial's vocabulary into the lobby and sends
// it what it has not seen. Live messages follow once this has returned.
func (a *API) catchUp(ctx context.Context, s *socketio.Socket) error {
	c, err := credentialsOf(s.Handshake())
	if err != nil {
		return err
	}
	seen := c.serverOffset
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

// disconnected takes the socket out of what it was counted in. A lost
// connection keeps its place for the grace time.
func (a *API) disconnected(ctx context.Context, s *socketio.Socket, reason socketio.DisconnectReason) {
	m := a.member(s)
	a.members.Delete(s)
	for _, room := range chat.Rooms(s.Rooms()) {
		a.silence(ctx, s.ID(), room)
	}
	a.exitAll(m, !reason.Recovers() && reason != socketio.ReasonTakenOver)
}

// dataOf is what the session keeps.
func dataOf(s *socketio.Socket) (record, error) {
	r, err := socketio.Data[record](s)
	if err != nil {
		return record{}, fmt.Errorf("read session: %w", err)
	}
	return r, nil
}
