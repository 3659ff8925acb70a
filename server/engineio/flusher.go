package engineio

import (
	"runtime"
	"sync"
)

// flusher writes for the sessions that Queue has marked, each message list in
// one write. A server has one per processor; a session always uses the same.
type flusher struct {
	mu    sync.Mutex
	dirty []*Session // guarded by mu

	taken []*Session // owned by run

	wake chan struct{} // never closed
	stop chan struct{}
}

func newFlusher(stop chan struct{}) *flusher {
	return &flusher{wake: make(chan struct{}, 1), stop: stop}
}

// flusher is the session's.
func (s *Session) flusher() *flusher { return s.srv.flushers[s.shard] }

// add marks s. It is called with s.mu held, once until s.flush.
func (f *flusher) add(s *Session) {
	f.mu.Lock()
	first := len(f.dirty) == 0
	f.dirty = append(f.dirty, s)
	f.mu.Unlock()
	if first {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// take takes what is marked, and leaves the list that was taken before for what
// comes.
func (f *flusher) take() []*Session {
	clear(f.taken)
	empty := f.taken[:0]
	if cap(empty) > maxMarked {
		empty = nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken, f.dirty = f.dirty, empty
	return f.taken
}

// maxMarked is how long an empty list may be kept: 32 KiB.
const maxMarked = 4096

// maxFlushers is what a Session.shard can name.
const maxFlushers = 256

const (
	// flushRounds is how many writes one session gets before it is the next one's
	// turn.
	flushRounds = 4
	// flushYield is after how many sessions other goroutines get the processor:
	// the scheduler does not see the time that direct writes take.
	flushYield = 64
)

func (f *flusher) run() {
	scratch := make([]byte, 0, maxWrite)
	for {
		select {
		case <-f.stop:
			return
		case <-f.wake:
		}
		for {
			taken := f.take()
			if len(taken) == 0 {
				break
			}
			for i, s := range taken {
				s.mu.Lock()
				s.dirty = false
				mine := !s.writing && s.state != stateClosed
				if mine {
					s.writing = true
				}
				s.mu.Unlock()
				if mine {
					s.flush(scratch, flushRounds)
				}
				if i%flushYield == flushYield-1 {
					runtime.Gosched()
				}
			}
		}
	}
}

// flush writes what is queued, in at most rounds writes. The caller has set
// writing. If the kernel takes no more, a goroutine waits for it.
func (s *Session) flush(scratch []byte, rounds int) {
	s.mu.Lock()
	ws := s.ws
	var messages, bytes int
	for round := 0; ; round++ {
		b := s.queue.batch(scratch, ws.b64)
		if b == nil {
			s.drainedLocked()
			break
		}
		if round == rounds {
			s.writing = false
			s.dirty = true
			s.flusher().add(s)
			break
		}
		s.mu.Unlock()
		n, err := ws.conn.write(b)
		bytes += n
		s.mu.Lock()
		if s.state == stateClosed {
			// Meanwhile; the queue is gone.
			s.writing = false
			break
		}
		messages += s.queue.written(n, ws.b64)
		if err != nil {
			s.writing = false
			s.mu.Unlock()
			s.abort(ReasonTransportError)
			s.mu.Lock()
			break
		}
		if n < len(b) {
			// Still writing: that goroutine is now the one who does. Started under
			// the lock, while the session keeps the server from ending.
			s.srv.wg.Go(s.drain)
			break
		}
	}
	s.mu.Unlock()
	if h := s.srv.o.Hooks.Sent; h != nil && messages > 0 {
		h(TransportWebSocket, messages, bytes)
	}
}

// drain writes what is queued and waits for the connection to take it.
func (s *Session) drain() {
	o := &s.srv.o
	if h := o.Hooks.Blocked; h != nil {
		h()
	}
	scratch := joins.Get().(*[maxJoin]byte)
	defer joins.Put(scratch)
	for {
		s.mu.Lock()
		b := s.queue.batch(scratch[:0], s.ws.b64)
		if b == nil {
			s.drainedLocked()
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		err := s.ws.conn.writeAll(b, o.WriteTimeout)
		s.mu.Lock()
		if s.state == stateClosed {
			s.writing = false
			s.mu.Unlock()
			return
		}
		if err != nil {
			s.writing = false
			bytes, messages := s.queue.waiting(), s.queue.count()
			s.mu.Unlock()
			if isTimeout(err) {
				s.tooSlow(bytes, messages, false)
			} else {
				s.abort(ReasonTransportError)
			}
			return
		}
		messages := s.queue.written(len(b), s.ws.b64)
		s.mu.Unlock()
		if h := o.Hooks.Sent; h != nil && messages > 0 {
			h(TransportWebSocket, messages, len(b))
		}
	}
}

// joins are for handshakes, and for connections that block. Each holds one for as long as that lasts,
// and there can be many of them, so they are smaller than a flusher's scratch.
var joins = sync.Pool{New: func() any { return new([maxJoin]byte) }}

// drainedLocked ends the writing when nothing is left to write.
func (s *Session) drainedLocked() {
	s.writing = false
	if s.state != stateClosing {
		return
	}
	// RFC 6455, 7.1.1: the server closes TCP first, once both have sent a close
	// frame. Until the peer's has come, keep the reading half: closing with unread
	// bytes would make the kernel throw away what the peer has not read yet.
	if s.peerClosed {
		s.ws.conn.close()
	} else {
		s.ws.conn.shutdown()
	}
}
