package socketio

// DisconnectReason says why a socket ended. The texts are those of the
// reference server where it has one.
type DisconnectReason string

// Reasons. After those marked (recovers) the session stays claimable for the
// recovery window; after the others it is over.
const (
	// ReasonClientLeft: the client sent a DISCONNECT packet.
	ReasonClientLeft DisconnectReason = "client namespace disconnect"
	// ReasonServerLeft: Socket.Disconnect or DisconnectSockets.
	ReasonServerLeft DisconnectReason = "server namespace disconnect"
	// ReasonTransportClose: the client's transport was closed (recovers).
	ReasonTransportClose DisconnectReason = "transport close"
	// ReasonTransportError: the transport failed (recovers).
	ReasonTransportError DisconnectReason = "transport error"
	// ReasonPingTimeout: the client fell silent (recovers).
	ReasonPingTimeout DisconnectReason = "ping timeout"
	// ReasonForcedClose: the client closed its Engine.IO session (recovers).
	ReasonForcedClose DisconnectReason = "forced close"
	// ReasonForcedServerClose: the server closed the connection, because the
	// client broke the protocol or the store was away (recovers).
	ReasonForcedServerClose DisconnectReason = "forced server close"
	// ReasonShutdown: this node is stopping (recovers).
	ReasonShutdown DisconnectReason = "server shutting down"
	// ReasonParseError: the client sent what is no packet.
	ReasonParseError DisconnectReason = "parse error"
	// ReasonSlowClient: the client did not read what it was sent (recovers).
	ReasonSlowClient DisconnectReason = "slow client"
	// ReasonMaxAge: the connection has reached the age at which the server closes
	// it (recovers).
	ReasonMaxAge DisconnectReason = "maximum age"
	// ReasonTakenOver: the session continues on a newer connection.
	ReasonTakenOver DisconnectReason = "session taken over"
)

// Recovers says that a session ended for this reason may be claimed again.
func (r DisconnectReason) Recovers() bool {
	switch r {
	case ReasonTransportClose, ReasonTransportError, ReasonPingTimeout, ReasonForcedClose,
		ReasonForcedServerClose, ReasonShutdown, ReasonSlowClient, ReasonMaxAge:
		return true
	}
	return false
}
