package engineio

import (
	"testing"
	"unsafe"
)

type deafHandler struct{}

func (deafHandler) Text([]byte) error   { return nil }
func (deafHandler) Binary([]byte) error { return nil }
func (deafHandler) Closed(string)       {}

// A heartbeat that the wheel has just let go of must not end a session that
// begins to close at that moment: what is queued has its time.
func TestHeartbeatWhileClosing(t *testing.T) {
	srv := NewServer(func(*Session) Handler { return deafHandler{} }, Options{})
	if _, ok := srv.reserve(""); !ok {
		t.Fatal("no room")
	}
	s := &Session{srv: srv, id: "x", revision: 4}
	s.beat.owner = s
	srv.admit(s, TransportPolling)
	s.Close(ReasonForcedServerClose)
	s.expired()
	s.mu.Lock()
	state, count := s.state, s.queue.count()
	s.mu.Unlock()
	if state != stateClosing || count != 1 {
		t.Errorf("state %d, %d messages", state, count)
	}
	s.Abort(ReasonForcedServerClose)
	if err := srv.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// An idle connection's fixed part, in the allocator's size classes. Raise the
// limits with care: they are paid for by every connection.
func TestIdleSizes(t *testing.T) {
	for _, tt := range []struct {
		what      string
		size, max uintptr
	}{
		{"Session", unsafe.Sizeof(Session{}), 224},
		{"webSocket", unsafe.Sizeof(webSocket{}), 48},
	} {
		if tt.size > tt.max {
			t.Errorf("a %s has %d bytes, more than %d", tt.what, tt.size, tt.max)
		}
	}
}
