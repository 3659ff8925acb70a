package socketio

import (
	"context"
	"sync"
	"time"

	"github.com/antchat/antchat/server/socketio/packet"
)

// drainTimeout is how long the context of a socket outlives its connection, so
// that what the client said last is still handled.
const drainTimeout = 5 * time.Second

// end ends the socket, for the first reason given: nothing more is sent, and
// nobody waits for an acknowledgement any more. Events that were received
// before are handled first, unless drop is set; then run tears the socket down.
// elsewhere says that another socket has taken this one's place.
func (s *Socket) end(reason DisconnectReason, drop bool) (elsewhere bool) {
	return s.endTelling(reason, drop, false)
}

// endTelling is end that sends the client a DISCONNECT, as the last thing, if
// it was connected.
func (s *Socket) endTelling(reason DisconnectReason, drop, tell bool) (elsewhere bool) {
	s.mu.Lock()
	if tell && s.liveLocked() == nil {
		_ = s.client.sendPacket(&packet.Packet{Type: packet.Disconnect, Namespace: s.ns.name})
	}
	if s.replaced {
		s.mu.Unlock()
		return true
	}
	first := s.state != socketEnded
	accepted := s.state == socketAccepted
	busy := s.running
	if first {
		s.state = socketEnded
		w := s.changeWorkLocked()
		w.reason, w.held = reason, nil
		if accepted {
			s.client.server.leaving.add(s)
		}
		s.wakeLocked()
	}
	if first && !accepted {
		drop = true
	}
	if drop {
		w := s.changeWorkLocked()
		w.inbox, w.waiting = nil, 0
	}
	acks := s.workLocked().acks
	if s.moving {
		acks = nil // they may still be answered, or time out
	} else if acks != nil {
		s.changeWorkLocked().acks = nil
	}
	s.signalLocked()
	s.mu.Unlock()

	for _, a := range acks {
		a.fail(ErrDisconnected)
	}
	switch {
	case drop:
		(*socketContext)(s).cancel()
	case first && busy:
		s.client.server.deadlines.add(drainTimeout, func() { s.end(reason, true) })
	}
	return false
}

// leave ends the socket from the server's side.
func (s *Socket) leave() { s.endTelling(ReasonServerLeft, true, true) }

// finish tears the socket down, as the last thing that run does.
func (s *Socket) finish() {
	srv := s.client.server
	(*socketContext)(s).cancel()
	s.mu.Lock()
	reason, settled := s.workLocked().reason, s.settled
	s.mu.Unlock()

	if s.owner.PID != "" {
		// One that was never accepted may still have claimed a session that is
		// worth keeping; one whose OnConnect was cut short is worth nothing.
		// A connection may be fenced without a newer owner (a node that was
		// reaped, a link lost in the middle of a cut): its client comes back for
		// the session. If there is a newer owner, the adapter ignores both.
		keep := reason.Recovers() || reason == ReasonTakenOver
		if s.lent {
			srv.adapter.End(s.owner) // its client knows no pid
		} else if s.greeted && settled && keep || !s.greeted && s.recovered {
			srv.adapter.Gone(s.owner)
		} else {
			srv.adapter.End(s.owner)
		}
	}
	if s.greeted {
		s.ns.sockets.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), disconnectTimeout)
		for _, f := range s.ns.leave {
			srv.protect("disconnect", func() { f(ctx, s, reason) })
		}
		cancel()
		if h := srv.options.Hooks.Disconnected; h != nil {
			h(s, reason)
		}
	}
	if s.added {
		srv.adapter.Remove(s.ns.name, (*member)(s))
	}
	if s.ns != nil {
		srv.release(s.ns)
	}
	s.client.forget(s, reason == ReasonServerLeft)
	if reason == ReasonTakenOver && !settled {
		// Its successor, which has yet to look, must learn of it.
		srv.deadlines.add(predecessorWait, func() { srv.leaving.remove(s) })
	} else {
		srv.leaving.remove(s)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	if gone := s.workLocked().gone; gone != nil {
		close(gone)
	}
}

// awaitGone waits until the socket is torn down.
func (s *Socket) awaitGone(ctx context.Context) {
	s.mu.Lock()
	if s.finished {
		s.mu.Unlock()
		return
	}
	w := s.changeWorkLocked()
	if w.gone == nil {
		w.gone = make(chan struct{})
	}
	gone := w.gone
	s.mu.Unlock()
	select {
	case <-gone:
	case <-ctx.Done():
	}
}

// leavingSockets are those that have ended and are not torn down yet. A
// recovered socket has its predecessor's id: it must not be connected before
// that one's OnDisconnect has run, or what that takes back would be the new
// socket's.
type leavingSockets struct {
	mu   sync.Mutex
	byID map[string]*Socket // guarded by mu; sockets with a session record only
}

func (l *leavingSockets) add(s *Socket) {
	if s.owner.PID == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byID[s.id] = s
}

func (l *leavingSockets) remove(s *Socket) {
	if s.owner.PID == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID[s.id] == s {
		delete(l.byID, s.id)
	}
}

// find gives the leaving socket of an id, nil if there is none.
func (l *leavingSockets) find(id string) *Socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}
