package socketio

import (
	"context"
	"testing"
)

// What an event or a timeout needs does not stay with an idle socket.
func TestIdleSocketHasNoWork(t *testing.T) {
	s := &Socket{}
	c := s.beginCall()
	derived, cancel := context.WithTimeout(c, 0)
	<-derived.Done()
	cancel()
	s.mu.Lock()
	if s.work == nil || s.work.call != c {
		t.Error("the call is not known")
	}
	s.mu.Unlock()
	c.end()
	ctx, end := s.within(0)
	<-ctx.Done()
	end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.work != nil {
		t.Errorf("left: %+v", *s.work)
	}
}

// The context of a call ends with the socket, and with the call, whichever is
// first, for those derived from it too.
func TestContextOfCall(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *Socket, c *eventContext)
	}{
		{"call", func(_ *Socket, c *eventContext) { c.end() }},
		{"socket", func(s *Socket, _ *eventContext) { (*socketContext)(s).cancel() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Socket{}
			c := s.beginCall()
			derived, cancel := context.WithCancel(c)
			defer cancel()
			if c.Err() != nil || derived.Err() != nil {
				t.Fatal("ended at once")
			}
			tt.end(s, c)
			<-c.Done()
			<-derived.Done()
			if c.Err() == nil || derived.Err() == nil {
				t.Error("no error")
			}
			(*socketContext)(s).cancel()
			if late := s.beginCall(); late.Err() == nil {
				t.Error("a call of a socket that has ended goes on")
			}
		})
	}
}
