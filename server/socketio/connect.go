package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// connectRequest is a CONNECT that is to be handled.
type connectRequest struct {
	name     string
	auth     json.RawMessage
	previous *Socket // of the same client and namespace, perhaps not torn down yet
	// fresh is set when an earlier socket tried in vain to recover: its
	// namespace, which is counted in already.
	fresh *Namespace
	// claimed is the pid that the client showed.
	claimed string
	// secrets were cut out of auth. session is the one that is being claimed.
	secrets map[string]json.RawMessage
	session *adapter.Session
}

// errNotRecovered: the session cannot be continued; a new one can begin.
var errNotRecovered = errors.New("socketio: session not recovered")

// storeError is a failure of the adapter while connecting: see lose.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// connect handles a CONNECT from the request to OnConnect. What it returns, if
// not nil, is the socket that goes on instead of this one.
func (s *Socket) connect(req *connectRequest) (instead *Socket) {
	c := s.client
	s.setConnecting(req)
	defer s.setConnecting(nil)
	ctx := s.beginCall()
	defer ctx.end()
	if req.previous != nil {
		req.previous.awaitGone(ctx)
	}
	err := s.establish(ctx, req)
	if errors.Is(err, errNotRecovered) {
		// The adapter has seen this socket under the session's id: a new
		// session gets a new one.
		if instead = c.replace(s, req.name); instead != nil {
			return instead
		}
	}
	switch {
	case err == nil, s.over(): // over: the client has gone meanwhile
	case isStoreFault(err), errors.Is(err, ErrComeBack):
		s.lose(err)
	default:
		// Ended before the client knows: it may ask again at once.
		s.end("", true)
		c.refuse(req.name, err)
	}
	if req.name == "/" {
		c.rootDecided()
	}
	if err == nil {
		s.greet(ctx)
	}
	return nil
}

// isStoreFault reports whether an error is the store's, or this node's, and not an
// answer to the client.
func isStoreFault(err error) bool {
	var store *storeError
	return errors.As(err, &store) || errors.Is(err, adapter.ErrUnavailable) || errors.Is(err, adapter.ErrFenced) ||
		errors.Is(err, adapter.ErrFull) || errors.Is(err, adapter.ErrClosed)
}

// lose closes the connection of a socket that cannot be connected now, because of the
// store or since the middleware says so. The client is neither refused nor disconnected, which it would take as
// final: so it comes back by itself, with its session if it has one.
func (s *Socket) lose(err error) {
	level := slog.LevelWarn
	if errors.Is(err, ErrComeBack) {
		level = slog.LevelDebug // the middleware's own doing, which may be often
	}
	s.client.server.options.Logger.Log(context.Background(), level, "socketio: connect", "namespace", s.ns.name, "error", err)
	s.client.conn.Close(string(ReasonForcedServerClose))
	s.end(ReasonForcedServerClose, true)
}

// establish runs everything up to and including the accept, and what a
// recovered session missed.
func (s *Socket) establish(ctx context.Context, req *connectRequest) error {
	srv := s.client.server
	if s.ns = req.fresh; s.ns == nil {
		var err error
		if s.ns, err = srv.resolve(ctx, req.name, req.auth); err != nil {
			return err
		}
	}
	auth, secrets := srv.options.cutSecrets(req.auth)
	s.setAuth(string(auth))
	if secrets != nil {
		req.secrets = secrets
	}
	recovery := srv.options.Recovery && !s.client.revision3
	if recovery {
		s.offsets = srv.options.wantsOffsets(s.client.conn)
		auth, pid, offset := splitAuth(auth)
		s.setAuth(string(auth))
		if pid != "" {
			req.claimed = pid
			return s.resume(ctx, pid, offset)
		}
	}
	return s.begin(ctx, recovery)
}

// begin makes a new session.
func (s *Socket) begin(ctx context.Context, recovery bool) error {
	srv := s.client.server
	switch {
	case !s.client.revision3:
		s.id = newID()
	case s.ns.name == "/":
		s.id = s.client.conn.ID()
	default:
		s.id = s.ns.name + "#" + s.client.conn.ID()
	}
	if recovery {
		s.owner.PID = newID() // the middleware may know the client by it
	}
	if err := s.admit(ctx); err != nil {
		s.owner = adapter.Owner{} // there is no record to take back
		return err
	}
	if recovery {
		owner, err := srv.adapter.Create(ctx, adapter.Session{
			PID: s.owner.PID, SID: s.id, Namespace: s.ns.name, User: s.user, Data: s.dataNow(),
		})
		if err != nil {
			s.owner = adapter.Owner{}
			return &storeError{fmt.Errorf("create session: %w", err)}
		}
		s.owner = owner
	}
	s.mu.Lock()
	s.last = srv.position() // all that was before; whatever comes later is held
	s.mu.Unlock()
	s.added = true
	if err := srv.adapter.Add(ctx, s.ns.name, (*member)(s), s.Owner()); err != nil {
		return &storeError{fmt.Errorf("add socket: %w", err)}
	}
	return s.accept()
}

// resume continues the session of pid. After errNotRecovered the socket must not
// be used any further.
func (s *Socket) resume(ctx context.Context, pid string, offset *string) error {
	srv := s.client.server
	session, owner, err := srv.adapter.Claim(ctx, s.ns.name, pid)
	switch {
	case errors.Is(err, adapter.ErrUnrecoverable):
		return errNotRecovered
	case err != nil:
		return &storeError{fmt.Errorf("claim session: %w", err)}
	}
	s.id, s.owner, s.recovered = session.SID, owner, true
	s.setDataNow(session.Data)
	s.request().session = &session
	if err := s.admit(ctx); err != nil {
		return err // finish starts the session's window anew
	}
	if s.user != session.User {
		// Somebody else's session: it stays claimable for its owner.
		srv.adapter.Gone(owner)
		return errNotRecovered
	}
	var at *adapter.Position
	if offset == nil && !s.offsets {
		// Not because it has seen nothing, but because its events carry no
		// offsets: a replay from the beginning would repeat what it has seen.
		srv.adapter.End(owner)
		return errNotRecovered
	}
	if offset != nil {
		p, err := adapter.ParseOffset(*offset, srv.lanes)
		if err != nil {
			srv.adapter.End(owner)
			return errNotRecovered
		}
		at = &p
	}
	s.added = true
	replay, err := srv.adapter.Resume(ctx, s.ns.name, (*member)(s), owner, at)
	switch {
	case errors.Is(err, adapter.ErrUnrecoverable), errors.Is(err, adapter.ErrFenced):
		srv.adapter.End(owner)
		return errNotRecovered
	case err != nil:
		return &storeError{fmt.Errorf("resume session: %w", err)}
	}
	if data := s.dataNow(); string(data) != string(session.Data) {
		if err := srv.adapter.Save(ctx, owner, data); err != nil {
			return &storeError{fmt.Errorf("save socket data: %w", err)}
		}
	}
	if !s.succeed(ctx) {
		srv.adapter.End(owner)
		return errNotRecovered
	}
	// Accept first, then what was missed. In the reference server's order a
	// client that is cut off in between has read events of a session that it
	// does not know to be recovered yet, and gets them twice.
	if err := s.accept(); err != nil {
		return err
	}
	s.replay(replay, at)
	return nil
}

// predecessorWait bounds the wait for the OnDisconnect of the connection that
// had the session before.
const predecessorWait = 10 * time.Second

// succeed waits until the session's former socket on this node is torn down.
// Resume has passed the sequencer after the fence, so that socket is known as
// leaving by now. It is false when that one's OnConnect was cut short: what it
// would have done, such as joining rooms, has to be done by a new session.
func (s *Socket) succeed(ctx context.Context) bool {
	if old := s.client.server.leaving.find(s.id); old != nil && old != s {
		ctx, cancel := context.WithTimeout(ctx, predecessorWait)
		defer cancel()
		old.awaitGone(ctx)
		old.mu.Lock()
		defer old.mu.Unlock()
		if !old.settled {
			return false
		}
	}
	s.settle()
	return true
}

func (s *Socket) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
}

// admit runs the connect middleware.
func (s *Socket) admit(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.client.server.panicked("connect", v)
			err = fmt.Errorf("%w: %v", ErrPanic, v)
		}
	}()
	for _, f := range s.ns.use {
		if err := f(ctx, s); err != nil {
			return err
		}
		if s.over() {
			return ErrDisconnected
		}
	}
	return nil
}

// accept answers the CONNECT.
func (s *Socket) accept() error {
	p := &packet.Packet{Type: packet.Connect, Namespace: s.ns.name}
	if !s.client.revision3 {
		p.Data = packet.AppendString([]byte(`{"sid":`), s.id)
		if s.owner.PID != "" {
			p.Data = packet.AppendString(append(p.Data, `,"pid":`...), s.owner.PID)
		}
		p.Data = append(p.Data, '}')
	}
	s.mu.Lock()
	if s.state != socketConnecting {
		s.mu.Unlock()
		return ErrDisconnected
	}
	s.state = socketAccepted
	s.greeted = true
	err := s.client.sendPacket(p)
	s.mu.Unlock()
	s.ns.sockets.Add(1)
	s.client.endTimeout()
	if h := s.client.server.options.Hooks.Connected; h != nil {
		h(s)
	}
	if err != nil {
		// The connection is going; its Closed ends the socket as any other.
		s.client.server.options.Logger.Debug("socketio: accept", "error", err)
	}
	return nil
}

// replay queues what a recovered session missed: first what the store has lost
// meanwhile, which moves its offset nowhere, then the events.
func (s *Socket) replay(r *adapter.Replay, offset *adapter.Position) {
	pace := pacer{socket: s}
	var at adapter.Position
	if offset != nil {
		at = *offset
	}
	for _, g := range r.Lost {
		s.ns.server.protect("gap", func() {
			if s.ns.gap == nil {
				return
			}
			if e, ok := s.ns.gap(g); ok && s.queue(e, 0, at) == nil {
				s.ns.sent(s, e)
			}
		})
	}
	missed := r.Missed
	if s.ns.config.replay != nil {
		s.client.server.protect("replay", func() { missed = s.ns.config.replay(missed) })
	}
	for _, d := range missed {
		e, toSender, ok := s.ns.rendered(s.view, d)
		if !ok || !toSender && d.Sender != "" && d.Sender == s.id {
			continue
		}
		if !pace.wait(e.Size()) || s.queue(e, 0, d.Position) != nil {
			s.mu.Lock()
			s.broken = true
			s.mu.Unlock()
			return
		}
		s.ns.sent(s, e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = s.last.Max(r.Position) // the floor of what was held
	if s.holds > 1 {
		s.holds-- // Resume's own hold; ours goes on until OnConnect is done
		s.overlap = false
	}
}

// greet runs OnConnect and lets go of what was held.
func (s *Socket) greet(ctx *eventContext) {
	done := false
	var err error
	s.client.server.protect("connect", func() {
		for _, f := range s.ns.connect {
			if err = f(ctx, s); err != nil {
				return
			}
		}
		done = true
	})
	switch {
	case done:
		if (*socketContext)(s).Err() == nil {
			s.settle()
		}
	case s.over(): // that is all there is to the error
	case isStoreFault(err):
		s.lose(err)
	default: // a panic has been logged already
		if err != nil {
			s.client.server.options.Logger.Warn("socketio: connect", "namespace", s.ns.name, "error", err)
		}
		s.leave()
	}
	s.afterReply(ctx, "connect")
	s.release(nil)
}

// refuse answers a CONNECT with an error (socket.io-protocol v5, "Connection to
// a namespace").
func (c *Client) refuse(name string, err error) {
	message := "connection refused"
	var data []byte
	var refusal *ConnectError
	if errors.As(err, &refusal) {
		message = refusal.Message
		if refusal.Data != nil {
			var bad error
			if data, bad = json.Marshal(refusal.Data); bad != nil {
				c.server.options.Logger.Error("socketio: connect error cannot be encoded", "error", bad)
			}
		}
	} else {
		c.server.options.Logger.Warn("socketio: connection refused", "namespace", name, "error", err)
	}
	protocol := c.protocol()
	if refusal == errInvalidNamespace {
		protocol = 5 // this one is the same object in protocol 4
	}
	_ = c.sendPacket(&packet.Packet{ // a connection that is gone needs no answer
		Type: packet.ConnectError, Namespace: name,
		Data: packet.AppendConnectError(nil, protocol, message, data),
	})
	if h := c.server.options.Hooks.Refused; h != nil {
		h(name, err)
	}
}

func (s *Socket) dataNow() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

func (s *Socket) setDataNow(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = data
}
