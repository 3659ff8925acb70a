package socketio

import (
	"github.com/antchat/antchat/adapter"
)

// member is a Socket as the adapter sees it. It is a type of its own so that
// what only the sequencer may call is no method of Socket.
type member Socket

// ID is the socket's id.
func (m *member) ID() string { return m.id }

// Hold makes the socket keep back later events, until it is released.
func (m *member) Hold() { (*Socket)(m).hold() }

// Fence closes the transport: the session continues on another connection. The
// client's other namespaces are told of an ordinary loss, since their sessions
// may be claimed next.
func (m *member) Fence() {
	s := (*Socket)(m)
	s.mu.Lock()
	moving := s.moving
	s.mu.Unlock()
	if moving {
		// The newer owner is the node that it moves to. It says nothing more, and
		// its connection ends here by Departed, or by Closed if the move fails;
		// until then somebody may wait for an acknowledgement.
		return
	}
	s.end(ReasonTakenOver, true)
	s.client.conn.Abort(string(ReasonTransportClose))
}

// Disconnect ends the socket, or with transport the whole connection.
func (m *member) Disconnect(transport bool) { (*Socket)(m).Disconnect(transport) }

// Info describes the socket. Its rooms are the adapter's to fill in.
func (m *member) Info() adapter.SocketInfo {
	s := (*Socket)(m)
	s.mu.Lock()
	data := s.data
	s.mu.Unlock()
	info := adapter.SocketInfo{
		ID:        s.id,
		Node:      s.client.server.adapter.NodeID(),
		Handshake: s.Handshake().marshal(),
		Data:      data,
	}
	if f := s.client.server.options.Describe; f != nil {
		s.client.server.protect("describe", func() { f(s, &info) })
	}
	return info
}
