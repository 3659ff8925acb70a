package socketio

import "github.com/antchat/antchat/server/socketio/packet"

// work is what a socket has while there is something to do for it, and once it has
// ended. An idle one has none.
type work struct {
	inbox   []*packet.Packet // events not yet handled
	waiting int32            // bytes in the inbox
	held    []heldEvent
	acks    map[uint64]acker
	space   chan struct{} // closed when the full inbox has space, made on demand
	gone    chan struct{} // closed when torn down, made on demand
	ctx     *canceler     // of the socket's context, made on demand
	call    *eventContext // of the handler's call that is under way
	reason  DisconnectReason
}

// noWork is an idle socket's, for reading only.
var noWork work

// workLocked is there for reading: see changeWorkLocked.
func (s *Socket) workLocked() *work {
	if s.work == nil {
		return &noWork
	}
	return s.work
}

// changeWorkLocked is workLocked for writing.
func (s *Socket) changeWorkLocked() *work {
	if s.work == nil {
		s.work = new(work)
	}
	return s.work
}

// restLocked lets go of work with nothing in it.
func (s *Socket) restLocked() {
	w := s.work
	if w != nil && w.inbox == nil && w.held == nil && w.acks == nil && w.space == nil && w.gone == nil &&
		w.ctx == nil && w.call == nil && w.reason == "" {
		s.work = nil
	}
}
