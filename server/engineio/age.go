package engineio

import (
	"math/rand/v2"
	"sync"
	"time"
)

// A WebSocket's age (Options.MaxAge). A session that polls has none: each of
// its requests is short, so no platform's limit on the time of a request
// concerns it, and after an upgrade the WebSocket's request counts.
//
// The age has no entry on the wheel of its own. The session's beat fires for
// whatever comes first, and finds out what that is.

// ageUnit is in what a webSocket keeps the moment: a place of 4 bytes lasts 13
// years.
const ageUnit = 100 * time.Millisecond

// finishTimeout is how long a session that the server itself wants to end waits
// for answers that are under way.
const finishTimeout = time.Second

// Finisher is what a Handler may be besides. It is asked before the server ends
// a session without its client's doing: because of its age, or in Drain.
type Finisher interface {
	// Finish calls done, once, at a moment when all that the client has said is
	// answered, or when within has passed. It does not block; it may call done
	// before it returns.
	Finish(within time.Duration, done func())
}

// newAge is when a WebSocket that opens now reaches its age, in ageUnits of
// wheel.clock; 0: never.
func (s *Server) newAge() uint32 {
	age := s.o.MaxAge
	if age <= 0 {
		return 0
	}
	if s.o.MaxAgeJitter > 0 {
		age -= rand.N(s.o.MaxAgeJitter)
	}
	return uint32(max(1, (time.Duration(s.wheel.clock())+age)/ageUnit))
}

// setBeatLocked puts the session on the wheel: for d, or until its WebSocket's
// age if that comes first.
func (s *Session) setBeatLocked(d time.Duration) {
	if s.ws != nil && s.ws.ends != 0 && !s.retiring {
		d = min(d, s.ws.endsIn())
	}
	s.srv.wheel.set(&s.beat, d)
}

// endsIn is how long it is until the age is reached, not below 0.
func (w *webSocket) endsIn() time.Duration {
	return max(0, time.Duration(w.ends)*ageUnit-time.Duration(w.s.srv.wheel.clock()))
}

// agedLocked reports whether the session is to be retired now.
func (s *Session) agedLocked() bool {
	return s.state == stateOpen && s.ws != nil && s.ws.ends != 0 && !s.retiring && s.ws.endsIn() < s.srv.wheel.tick
}

// retire ends a session as Close does, at a moment when its client waits for no
// answer, if such a moment comes soon. It calls begun once the session is closing.
func (s *Session) retire(reason string, begun func()) {
	s.mu.Lock()
	first := s.state == stateOpen && !s.retiring
	s.retiring = true
	h := s.handler
	s.mu.Unlock()
	if !first {
		begun()
		return
	}
	done := sync.OnceFunc(func() {
		s.Close(reason)
		begun()
	})
	f, ok := h.(Finisher)
	if !ok || !s.srv.guard(func() { f.Finish(finishTimeout, done) }) {
		done()
	}
}
