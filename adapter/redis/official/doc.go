// Package official speaks what the official Socket.IO packages publish on
// Redis, so that this server can stand among Node servers with
// @socket.io/redis-adapter (8.3.0), classic or sharded, and take what write-only
// emitters publish: @socket.io/redis-emitter, socket.io-emitter and
// python-socketio's JSON manager.
//
// A [Bridge] belongs to one node of the fleet; the fleet's own events do not
// travel over it. To the Node servers every node of the fleet is a server of
// its own: it applies what they publish to its local sockets ([Backend]) and
// answers for those. What a node of the fleet publishes for them carries a uid
// that begins with the fleet's name, so that the other nodes, who have it
// already, leave it alone; they only say "nothing from me" where a Node server
// would count answers.
//
// # Flow
//
//	Redis → line → decode (classic, sharded, python) → message → apply → Backend
//	Emit, Request, FetchSockets … → message → encode → publisher → Redis
//	an emitter's logged event → collector (one node of the fleet) → Options.Append
//
// # Who applies what
//
// Among Node servers with the classic adapter everybody, the sender included,
// applies a join, leave or disconnect when Redis brings it back; broadcasts are
// the sender's own business. With the sharded adapter the sender always acts
// alone. Here the fleet's core acts on its own sockets in every case, so that
// own messages are dropped on return in both.
//
// # What it must not know
//
// The fleet's own keys and channels, and what an event means: which events of
// emitters belong in a log is an option, and how a room is called on the other
// side are two functions.
//
// Never unpickle: python-socketio up to 5.13 publishes pickles, which are
// programs. They are refused and counted.
package official
