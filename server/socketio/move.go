package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// A connection can go on at another node, with its sockets, when its client's
// upgrade arrives there (docs/decisions, "session-move"). Here, Pack makes the
// sockets a record and freezes them; there, Adopt claims their sessions and takes
// up what they missed meanwhile, as a recovery does, but the client does not
// notice. What is told apart by positions, the logs and recoverable emits, is
// complete; ephemeral events of the moment between may be missing.

// moved is a client on its way.
type moved struct {
	Msgpack bool          `json:"msgpack,omitempty"`
	Sockets []movedSocket `json:"sockets"`
	Left    []string      `json:"left,omitempty"` // namespaces that the server has ended
}

// movedSocket is one of its sockets.
type movedSocket struct {
	Namespace string           `json:"ns"`
	ID        string           `json:"id"`
	PID       string           `json:"pid"`
	Lent      bool             `json:"lent,omitempty"`
	User      string           `json:"user"`
	Auth      string           `json:"auth,omitempty"`
	View      View             `json:"view,omitempty"`
	Offsets   bool             `json:"offsets,omitempty"`
	Last      adapter.Position `json:"last"`
	Acks      []uint64         `json:"acks,omitempty"`
	Local     []byte           `json:"local,omitempty"`
}

// movedAck is an acknowledgement that arrived at the new node, for an event that
// was sent by the old one.
type movedAck struct {
	Namespace   string          `json:"ns"`
	ID          uint64          `json:"id"`
	Data        json.RawMessage `json:"data"`
	Attachments [][]byte        `json:"attachments,omitempty"`
}

// errCannotMove: something stands in the way of a move. The connection is closed
// then, and the client comes back by itself.
var errCannotMove = errors.New("socketio: the connection cannot move now")

// movedAckTime is how long acknowledgements may still come for events that were
// sent before a move, at most; each ends with its own timeout.
const movedAckTime = 2 * time.Minute

// OnMove registers what a namespace keeps of a socket beyond its data, when the
// connection moves: pack makes bytes of it, at the old node; unpack is called at
// the new one, before OnConnect, which sees a recovered socket there. Either may
// refuse, which closes the connection. Call it before the server starts.
func (ns *Namespace) OnMove(pack func(*Socket) ([]byte, error), unpack func(*Socket, []byte) error) {
	c := ns.configure()
	c.pack, c.unpack = pack, unpack
}

// Pack ends the connection's work here, for a move: events that have come are
// handled, for as long as ctx lasts, then nothing more is sent. It returns what
// Adopt needs. After an error the connection must be closed.
func (c *Client) Pack(ctx context.Context) ([]byte, error) {
	if c.partial.Load() != nil {
		return nil, fmt.Errorf("%w: attachments are to come", errCannotMove)
	}
	m := moved{Msgpack: c.msgpack}
	for _, s := range c.sockets() {
		s.awaitIdle(ctx)
		if s.over() {
			continue // refused, or left: that is known to the client, or on its way
		}
		x, err := s.pack(ctx)
		if err != nil {
			return nil, err
		}
		m.Sockets = append(m.Sockets, x)
	}
	c.mu.Lock()
	if c.root == serverLeft {
		m.Left = append(m.Left, "/")
	}
	for name, s := range c.others {
		if s == serverLeft {
			m.Left = append(m.Left, name)
		}
	}
	c.mu.Unlock()
	c.endTimeout()
	return json.Marshal(m)
}

// pack freezes a socket.
func (s *Socket) pack(ctx context.Context) (movedSocket, error) {
	srv := s.client.server
	s.mu.Lock()
	if s.state != socketAccepted || s.running || s.holds > 0 || s.broken || !s.settled {
		s.mu.Unlock()
		return movedSocket{}, fmt.Errorf("%w: a socket is busy", errCannotMove)
	}
	// Nothing is kept back, so every completed broadcast is in the queue.
	s.last = s.last.Max(srv.position())
	s.broken, s.moving = true, true
	x := movedSocket{
		Namespace: s.ns.name, ID: s.id, PID: s.owner.PID, Lent: s.lent, User: s.user, Auth: s.authLocked(),
		View: s.view, Offsets: s.offsets, Last: s.last,
	}
	data := s.data
	for id := range s.workLocked().acks {
		x.Acks = append(x.Acks, id)
	}
	s.mu.Unlock()
	if pack := s.ns.pack; pack != nil {
		var err error
		if x.Local, err = pack(s); err != nil {
			return x, fmt.Errorf("%w: %w", errCannotMove, err)
		}
	}
	if x.PID == "" {
		x.PID, x.Lent = newID(), true
		err := srv.adapter.Lend(ctx, adapter.Session{
			PID: x.PID, SID: s.id, Namespace: s.ns.name, User: s.user, Data: data, Rooms: s.Rooms(),
		}, x.Last)
		if err != nil {
			return x, err
		}
	}
	return x, nil
}

// Departed ends the sockets here: the connection goes on elsewhere. It stands for
// Closed. It is true if acknowledgements of events that were sent from here may
// still come, by Told.
func (c *Client) Departed() bool {
	waiting := make(map[string]*Socket)
	for _, s := range c.sockets() {
		s.mu.Lock()
		if len(s.workLocked().acks) > 0 && s.moving {
			waiting[s.ns.name] = s
		}
		s.mu.Unlock()
	}
	srv := c.server
	if len(waiting) > 0 {
		srv.moves.change(c, func(m *clientMove) { m.departed = waiting })
		srv.deadlines.add(movedAckTime, func() { srv.moves.forget(c) })
	}
	c.closeAs(ReasonTakenOver)
	return len(waiting) > 0
}

// moves are the clients that have begun to move here, or have left. Few have at
// any time, so they do not carry it themselves.
type moves struct {
	mu sync.Mutex
	of map[*Client]*clientMove // guarded by mu
}

// clientMove is what a client has while, and after, it moves.
type clientMove struct {
	waiting  []chan struct{}    // adopted sockets that have not begun
	departed map[string]*Socket // by namespace, whose acknowledgements may still come
}

func (t *moves) change(c *Client, f func(m *clientMove)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.of[c]
	if m == nil {
		if t.of == nil {
			t.of = make(map[*Client]*clientMove)
		}
		m = &clientMove{}
		t.of[c] = m
	}
	f(m)
}

func (t *moves) forget(c *Client) *clientMove {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.of[c]
	delete(t.of, c)
	return m
}

func (t *moves) departed(c *Client, namespace string) *Socket {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.of[c]; m != nil {
		return m.departed[namespace]
	}
	return nil
}

// Told takes what the connection's new node has Adopt's tell: an acknowledgement.
func (c *Client) Told(word []byte) {
	var a movedAck
	if json.Unmarshal(word, &a) != nil {
		return
	}
	if s := c.server.moves.departed(c, a.Namespace); s != nil {
		s.acked(&packet.Packet{Type: packet.Ack, Namespace: a.Namespace, HasID: true, ID: a.ID, Data: a.Data, Attachments: a.Attachments})
	}
}

// Adopt continues a connection that Pack has made bytes of at another node: it
// claims the sockets' sessions and makes them members here, held. start has them
// go on, once conn takes frames; without it, Closed undoes it all. tell sends word
// to the old node, which has it in Told; it may be lost and does not block.
func (s *Server) Adopt(ctx context.Context, conn Conn, state []byte, tell func(word []byte)) (c *Client, start func(), err error) {
	var m moved
	if err := json.Unmarshal(state, &m); err != nil {
		return nil, nil, fmt.Errorf("decode moved client: %w", err)
	}
	c = newClient(s, conn)
	c.msgpack = m.Msgpack
	if s.add(c) {
		return c, nil, errCannotMove
	}
	for _, name := range m.Left {
		c.storeLocked(name, serverLeft) // nobody else knows the client yet
	}
	if len(m.Sockets) == 0 {
		c.mu.Lock()
		c.early = &early{timeout: c.connectTimeout()}
		c.mu.Unlock()
	}
	for i := range m.Sockets {
		if err := c.adopt(ctx, &m.Sockets[i], tell); err != nil {
			return c, nil, err
		}
	}
	return c, c.beginAll, nil
}

// adopt makes one socket. Its goroutine runs from the beginning, so that an end
// before start tears it down.
func (c *Client) adopt(ctx context.Context, x *movedSocket, tell func([]byte)) error {
	srv := c.server
	ns, err := srv.resolve(ctx, x.Namespace, []byte(x.Auth))
	if err != nil {
		return err
	}
	s := &Socket{
		client: c, ns: ns, id: x.ID, user: x.User, view: x.View, offsets: x.Offsets,
		recovered: true, lent: x.Lent, running: true, holds: 1, last: x.Last,
	}
	s.setAuth(x.Auth)
	c.mu.Lock()
	c.storeLocked(x.Namespace, s)
	c.mu.Unlock()
	for _, id := range x.Acks {
		_ = s.addAckLocked(id, &ackElsewhere{began: time.Now(), namespace: x.Namespace, id: id, tell: tell})
	}
	if len(x.Acks) > 0 {
		srv.deadlines.add(movedAckTime, func() {
			for _, id := range x.Acks {
				s.forgetAck(id)
			}
		})
	}
	replay, err := s.takeUp(ctx, x)
	begun := make(chan struct{})
	srv.tasks.begin()
	go func() {
		<-begun
		if err == nil && !s.over() {
			s.replay(replay, &x.Last)
			call := s.beginCall()
			s.greet(call)
			call.end()
		}
		s.run(nil)
	}()
	if err != nil {
		s.end(ReasonForcedServerClose, true)
		close(begun)
		return err
	}
	srv.moves.change(c, func(m *clientMove) { m.waiting = append(m.waiting, begun) })
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed { // before, or it will see the change
		c.beginAll()
		return ErrDisconnected
	}
	return nil
}

// beginAll lets adopted sockets go on.
func (c *Client) beginAll() {
	if m := c.server.moves.forget(c); m != nil {
		for _, w := range m.waiting {
			close(w)
		}
	}
}

// takeUp claims the session and makes the socket a member, held.
func (s *Socket) takeUp(ctx context.Context, x *movedSocket) (*adapter.Replay, error) {
	srv := s.client.server
	session, owner, err := srv.adapter.Claim(ctx, s.ns.name, x.PID)
	if err != nil {
		return nil, fmt.Errorf("claim session: %w", err)
	}
	s.owner = owner
	if session.SID != s.id || session.User != s.user {
		return nil, fmt.Errorf("%w: the session is another's", errCannotMove)
	}
	s.setDataNow(session.Data)
	if unpack := s.ns.unpack; unpack != nil {
		if err := unpack(s, x.Local); err != nil {
			return nil, fmt.Errorf("%w: %w", errCannotMove, err)
		}
	}
	s.added = true
	replay, err := srv.adapter.Resume(ctx, s.ns.name, (*member)(s), owner, &x.Last)
	if err != nil {
		return nil, fmt.Errorf("resume session: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == socketEnded {
		return nil, ErrDisconnected
	}
	s.state = socketAccepted
	s.greeted, s.settled = true, true
	s.ns.sockets.Add(1)
	if h := srv.options.Hooks.Connected; h != nil {
		h(s)
	}
	return replay, nil
}

// ackElsewhere is an acknowledgement that the node which the socket came from
// waits for.
type ackElsewhere struct {
	began     time.Time
	namespace string
	id        uint64
	tell      func([]byte)
}

func (a *ackElsewhere) answer(_ *Socket, p *packet.Packet) {
	word, err := json.Marshal(movedAck{Namespace: a.namespace, ID: a.id, Data: p.Data, Attachments: p.Attachments})
	if err == nil { // what was decoded can be encoded
		a.tell(word)
	}
}

func (a *ackElsewhere) fail(error)       {}
func (a *ackElsewhere) asked() time.Time { return a.began }
