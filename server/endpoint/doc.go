// Package endpoint joins the two layers of the protocol into one http.Handler:
// an Engine.IO server whose sessions are connections of a Socket.IO server, on one
// node or as one of a fleet.
//
// Neither layer knows the other. What they need of each other, and of the other
// nodes, is here:
//
//	a session            → socketio.Server.Accept
//	another node's poll  → adapter.Peers, so that no balancer needs to be sticky
//	an upgrade elsewhere → socketio.Server.Adopt, with what the old node packed
//
// It must not know namespaces, events or rooms.
package endpoint
