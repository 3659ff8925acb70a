package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

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
	auth      string // JSON
	view      View
	recovered bool
	offsets   bool // events carry offsets

	// Owned by the running goroutine (inbox.go).
	added   bool // the adapter knows the socket
	greeted bool // it was accepted, so OnDisconnect is due

	mu sync.Mutex
	// Guarded by mu.
	state     socketState
	running   bool // a goroutine works for the socket
	canceled  bool // the context has ended
	finished  bool // torn down
	settled   bool // OnConnect has run to its end, in this connection or an earlier one
	replaced  bool // another socket goes on instead: see Client.replace
	broken    bool // something was kept from the socket: send nothing more
	overlap   bool // two holds at once since the socket was last free
	holds     int32
	waiting   int32 // bytes in the inbox
	reason    DisconnectReason
	data      json.RawMessage
	last      adapter.Position // what the queue holds: see package doc, "Offsets"
	held      []heldEvent
	inbox     []*packet.Packet // events not yet handled
	acks      map[uint64]acker
	space     chan struct{} // closed when the full inbox has space, made on demand
	done      chan struct{} // of the context, made on demand
	gone      chan struct{} // closed when torn down, made on demand
	afterDone *afterFunc
	// connecting is set from the request until OnConnect has returned.
	connecting *connectRequest
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connecting == nil {
		return ""
	}
	return s.connecting.claimed
}

func (s *Socket) claim(pid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connecting.claimed = pid
}

func (s *Socket) setConnecting(req *connectRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connecting = req
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
	ctx, cancel := context.WithTimeout(s.Context(), saveTimeout)
	defer cancel()
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
