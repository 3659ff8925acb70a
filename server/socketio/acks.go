package socketio

import (
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// acker waits for an acknowledgement of one socket.
type acker interface {
	// answer is called once at most, without locks held, and does not block.
	answer(s *Socket, p *packet.Packet)
	// fail says that no answer will come.
	fail(err error)
	// asked is when the event was sent.
	asked() time.Time
}

// ackCall is an EmitWithAck that waits.
type ackCall struct {
	result chan ackResult
	began  time.Time
}

type ackResult struct {
	args Args
	err  error
}

func (c *ackCall) answer(_ *Socket, p *packet.Packet) {
	args, err := parseArgs(p.Data, p.Attachments, 0)
	c.put(ackResult{args, err})
}

func (c *ackCall) fail(err error)   { c.put(ackResult{err: err}) }
func (c *ackCall) asked() time.Time { return c.began }

func (c *ackCall) put(r ackResult) {
	select {
	case c.result <- r:
	default:
	}
}

// ackAsk collects the acknowledgements of a broadcast; one serves all of its
// recipients.
type ackAsk struct {
	ask   adapter.Ask
	began time.Time
}

func (a *ackAsk) answer(s *Socket, p *packet.Packet) { a.ask.Reply(s.id, p.Data, p.Attachments) }
func (a *ackAsk) fail(error)                         {}
func (a *ackAsk) asked() time.Time                   { return a.began }

// addAckLocked expects an acknowledgement.
func (s *Socket) addAckLocked(id uint64, a acker) error {
	if len(s.workLocked().acks) >= s.client.server.options.MaxPendingAcks {
		return ErrTooManyAcks
	}
	w := s.changeWorkLocked()
	if w.acks == nil {
		w.acks = make(map[uint64]acker, 1)
	}
	w.acks[id] = a
	return nil
}

// forgetAck takes an expectation back; false when it was gone already.
func (s *Socket) forgetAck(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, was := s.takeAckLocked(id)
	return was
}

func (s *Socket) takeAckLocked(id uint64) (acker, bool) {
	a, ok := s.workLocked().acks[id]
	if ok {
		w := s.changeWorkLocked()
		delete(w.acks, id)
		if len(w.acks) == 0 {
			w.acks = nil // an idle socket keeps no map
			s.restLocked()
		}
	}
	return a, ok
}

// acked resolves an acknowledgement, on the connection's reading goroutine: a
// handler that waits for it occupies the socket's own. One that nobody waits
// for (too late, repeated, made up) is ignored.
func (s *Socket) acked(p *packet.Packet) {
	s.mu.Lock()
	a, ok := s.takeAckLocked(p.ID)
	s.mu.Unlock()
	if !ok {
		return
	}
	if h := s.client.server.options.Hooks.Acked; h != nil {
		h(s, time.Since(a.asked()))
	}
	a.answer(s, p)
}
