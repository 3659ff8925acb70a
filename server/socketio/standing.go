package socketio

// standing is what a packet for a socket is worth.
type standing uint8

const (
	standingLive standing = iota
	standingOver
	standingServerLeft // ended by the server, which the client may not know yet
	standingReplaced
)

func (s *Socket) standing() standing {
	switch s {
	case nil:
		return standingOver
	case serverLeft:
		return standingServerLeft
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != socketEnded:
		return standingLive
	case s.replaced:
		return standingReplaced
	case s.workLocked().reason == ReasonServerLeft:
		return standingServerLeft
	}
	return standingOver
}

// over says that the socket has ended, if it is perhaps not torn down yet.
func (s *Socket) over() bool { return s.standing() != standingLive }
