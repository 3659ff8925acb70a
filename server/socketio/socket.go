package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// Socket is one client in one namespace. Its methods may be called from any
// goroutine, and stay safe (if useless) after it has ended.
type Socket struct {
	client *Client

	// Written by the connecting goroutine alone, before the socket is
	// accepted; immutable afterwards.
	ns        *Namespace
	id        string
	owner     adapter.Owner // PID "" when there is no session record
	user      string
	view      View
	recovered bool
	offsets   bool // events carry offsets
	lent      bool // the session record was only made to move (move.go)
	emptyAuth bool // setAuth was given an empty object

	// Owned by the running goroutine (inbox.go).
	added   bool // the adapter knows the socket
	greeted bool // it was accepted, so OnDisconnect is due

	mu sync.Mutex
	// Guarded by mu.
	state    socketState
	running  bool // a goroutine works for the socket
	canceled bool // the context has ended
	finished bool // torn down
	settled  bool // OnConnect has run to its end, in this connection or an earlier one
	moving   bool // packed for another node: acknowledgements are still waited for
	replaced bool // another socket goes on instead: see Client.replace
	broken   bool // something was kept from the socket: send nothing more
	overlap  bool // two holds at once since the socket was last free
	holds    int32
	data     json.RawMessage
	last     adapter.Position // what the queue holds: see package doc, "Offsets"
	work     *work            // nil while there is none
	more     *more            // nil for most
}

// more is what few sockets have, or all of them for a moment.
type more struct {
	// connecting is set from the request until OnConnect has returned.
	connecting *connectRequest
	value      any
	auth       string // JSON; not of emptyAuth
}

// setAuth keeps what came with the CONNECT, without its secrets. Of many clients
// that is nothing, or an empty object.
func (s *Socket) setAuth(auth string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.emptyAuth = auth == "{}"; s.emptyAuth {
		auth = ""
	}
	s.changeLocked(func(m *more) { m.auth = auth })
}

// auth is what setAuth was given.
func (s *Socket) auth() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.authLocked()
}

func (s *Socket) authLocked() string {
	switch {
	case s.emptyAuth:
		return "{}"
	case s.more == nil:
		return ""
	}
	return s.more.auth
}

type socketState uint8

const (
	socketConnecting socketState = iota
	socketAccepted
	socketEnded
)

// ID is the socket's id: 20 random characters. For protocol 4 it is made of
// the Engine.IO session id, which whoever knows it can use to take part in the
// session: never show it to other clients.
func (s *Socket) ID() string { return s.id }

// Namespace of the socket.
func (s *Socket) Namespace() *Namespace { return s.ns }

// Protocol of the client: 4 or 5.
func (s *Socket) Protocol() int { return s.client.protocol() }

// Transport in use now: "polling" or "websocket".
func (s *Socket) Transport() string { return s.client.conn.Transport() }

// SessionID is the Engine.IO session id. Like a password, it is for nobody but
// the client itself.
func (s *Socket) SessionID() string { return s.client.conn.ID() }

// Address of the client, without port.
func (s *Socket) Address() string { return s.client.conn.RemoteAddr() }

// PID is the private id of the session record, "" when there is none: as
// secret as the session id.
func (s *Socket) PID() string { return s.owner.PID }

// ClaimedPID is the pid that the client showed to continue a session, also when
// that came to nothing; "" when it showed none, or recovery is off. Only for
// connect middleware and OnConnect: it is "" later.
//
// It is a secret, as [Socket.PID] is, and of somebody who cannot prove any more
// that it was given to him: the session may be gone. Keep it in no log, and show
// neither it nor a plain hash of it to anybody.
func (s *Socket) ClaimedPID() string {
	if req := s.request(); req != nil {
		return req.claimed
	}
	return ""
}

// ClaimedRooms are the rooms of the session that is being claimed, so that
// connect middleware can refuse to continue it (by another SetUser). nil when
// none is, and later.
func (s *Socket) ClaimedRooms() []string {
	if req := s.request(); req != nil && req.session != nil {
		return req.session.Rooms
	}
	return nil
}

// Secret is one of Options.Secrets as the client sent it: the field of what came
// with its CONNECT, in JSON, or else what its connection's handshake had (see
// [Conn.Secret]), as a JSON string, or false if that is no UTF-8. nil when there
// was none. Only for connect
// middleware and OnConnect: later only the handshake's is there.
func (s *Socket) Secret(name string) json.RawMessage {
	if req := s.request(); req != nil && req.secrets[name] != nil {
		return req.secrets[name]
	}
	value := s.client.conn.Secret(name)
	switch {
	case value == "":
		return nil
	case !utf8.ValidString(value):
		return json.RawMessage("false")
	}
	return packet.AppendString(nil, value)
}

// request is the CONNECT under way, nil when there is none. What it points to is
// written by the connecting goroutine alone, on which the middleware runs.
func (s *Socket) request() *connectRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more == nil {
		return nil
	}
	return s.more.connecting
}

func (s *Socket) setConnecting(req *connectRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changeLocked(func(m *more) { m.connecting = req })
}

// Value is what SetValue set; nil before.
func (s *Socket) Value() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more == nil {
		return nil
	}
	return s.more.value
}

// SetValue keeps a value of the application's with the socket, on this node
// alone: a recovered session does not have it again. nil costs nothing.
func (s *Socket) SetValue(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changeLocked(func(m *more) { m.value = v })
}

func (s *Socket) changeLocked(f func(m *more)) {
	m := s.more
	if m == nil {
		m = new(more)
	}
	f(m)
	if s.more = m; *m == (more{}) {
		s.more = nil
	}
}

// Owner proves the session's ownership to [adapter.Log.Append]. nil when there
// is no session record.
func (s *Socket) Owner() *adapter.Owner {
	if s.owner.PID == "" {
		return nil
	}
	return &s.owner
}

// Recovered says that the socket continues an earlier session, with its id,
// rooms and data. In connect middleware it says that this is being tried.
func (s *Socket) Recovered() bool { return s.recovered }

// Context ends with the socket: after the events received before the end have
// been handled, or 5 s later at the latest.
func (s *Socket) Context() context.Context { return (*socketContext)(s) }

// User is what SetUser set.
func (s *Socket) User() string { return s.user }

// SetUser names the identity that the session belongs to. It is kept in the
// session record, and a recovery by somebody else is turned into a new
// session. Only for connect middleware.
func (s *Socket) SetUser(user string) {
	s.mustConnect("SetUser")
	s.user = user
}

// Info describes the socket as FetchSockets does.
func (s *Socket) Info() adapter.SocketInfo {
	info := (*member)(s).Info()
	info.Rooms = s.Rooms()
	return info
}

// View is what SetView set.
func (s *Socket) View() View { return s.view }

// SetView chooses the socket's vocabulary, below Options.Views. Only for
// connect middleware.
func (s *Socket) SetView(v View) {
	s.mustConnect("SetView")
	if int(v) >= s.client.server.options.Views {
		panic(fmt.Sprintf("socketio: view %d of %d", v, s.client.server.options.Views))
	}
	s.view = v
}

func (s *Socket) mustConnect(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == socketAccepted {
		panic("socketio: " + what + " after the socket was accepted")
	}
}

// SetData replaces the socket's data: a JSON value of at most Options.MaxData
// bytes that FetchSockets shows and a recovered session has again. It may block
// on the store for up to 5 s, and an error of the store leaves the data set on
// this node alone. Calls for one socket should not overlap.
func (s *Socket) SetData(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode socket data: %w", err)
	}
	if len(data) > s.client.server.options.MaxData {
		return ErrTooMuchData
	}
	s.mu.Lock()
	s.data = data
	state := s.state
	s.mu.Unlock()
	if state != socketAccepted || s.owner.PID == "" {
		return nil // written with the record, or there is none
	}
	ctx, end := s.within(saveTimeout)
	defer end()
	if err := s.client.server.adapter.Save(ctx, s.owner, data); err != nil {
		return fmt.Errorf("save socket data: %w", err)
	}
	return nil
}

// saveTimeout bounds SetData's wait for the store.
const saveTimeout = 5 * time.Second

// Data decodes the socket's data; a zero T when none was set.
func Data[T any](s *Socket) (T, error) {
	var v T
	s.mu.Lock()
	data := s.data
	s.mu.Unlock()
	if data == nil {
		return v, nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("decode socket data: %w", err)
	}
	return v, nil
}

// Disconnect ends the socket: the client is told, and events that wait to be
// handled are dropped. With transport true the whole connection is closed, and
// with it the client's sockets in other namespaces. A socket that has ended
// already is left alone, and so is its connection.
func (s *Socket) Disconnect(transport bool) {
	switch {
	case s.over():
	case transport:
		s.client.disconnect()
	default:
		s.leave()
	}
}

// CloseConnection closes the client's connection, after what is queued has been
// written, without a DISCONNECT: the client takes it for a lost one and comes
// back by itself, to the same session if it may.
func (s *Socket) CloseConnection() {
	if !s.over() {
		s.client.conn.Close(string(ReasonForcedServerClose))
	}
}

// Rooms the socket is in, without its own id.
func (s *Socket) Rooms() []string {
	if s.ns == nil {
		return nil
	}
	return s.client.server.adapter.Rooms(s.ns.name, s.id)
}

// To addresses the other sockets in rooms.
func (s *Socket) To(rooms ...string) Emitter { return s.Broadcast().To(rooms...) }

// In is To.
func (s *Socket) In(rooms ...string) Emitter { return s.To(rooms...) }

// Except addresses the namespace's other sockets that are not in rooms.
func (s *Socket) Except(rooms ...string) Emitter { return s.Broadcast().Except(rooms...) }

// Broadcast addresses the namespace's other sockets.
func (s *Socket) Broadcast() Emitter { return s.ns.emitter().Except(s.id) }
