package socketio

import (
	"context"
	"fmt"
	"slices"

	"github.com/antchat/antchat/adapter"
)

// Join puts the socket into rooms. When it returns without error no later
// broadcast to them is missed. It blocks on the adapter until the context
// ends. Joining a room again changes nothing. ErrTooManyRooms,
// ErrDisconnected, ErrNotConnected (in connect middleware), or the adapter's
// errors.
func (s *Socket) Join(ctx context.Context, rooms ...string) error {
	if err := s.mayJoin(rooms); err != nil {
		return err
	}
	if len(rooms) == 0 {
		return nil
	}
	if _, err := s.client.server.adapter.Join(ctx, s.ns.name, (*member)(s), rooms, false, nil); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	return nil
}

// JoinRead puts the socket into a room and reads its log, both at one point of
// the room's order: what is read and what is delivered afterwards meet without
// a gap or a repeat. The socket is held from that point until the handler's
// answer is queued (in OnConnect, until it has returned), so the answer comes
// first. With a context that is not a handler's, the hold ends before JoinRead
// returns.
func (s *Socket) JoinRead(ctx context.Context, room string, read adapter.LogRead) (*adapter.Cut, error) {
	if err := s.mayJoin([]string{room}); err != nil {
		return nil, err
	}
	cut, err := s.client.server.adapter.Join(ctx, s.ns.name, (*member)(s), []string{room}, true, &read)
	if cut != nil {
		AfterReply(ctx, func() { s.release(&cut.Position) })
	}
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	return cut, nil
}

func (s *Socket) mayJoin(rooms []string) error {
	s.mu.Lock()
	err := s.liveLocked()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	limit := s.client.server.options.MaxRooms
	have := s.Rooms()
	more := len(have)
	for i, room := range rooms {
		if !slices.Contains(have, room) && !slices.Contains(rooms[:i], room) {
			more++
		}
	}
	if more > limit && more > len(have) {
		return ErrTooManyRooms
	}
	return nil
}

// Leave takes the socket out of rooms. When it returns, nothing more of them
// is delivered.
func (s *Socket) Leave(ctx context.Context, rooms ...string) error {
	if s.ns == nil {
		return ErrNotConnected
	}
	if len(rooms) == 0 {
		return nil
	}
	if err := s.client.server.adapter.Leave(ctx, s.ns.name, (*member)(s), rooms); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}
