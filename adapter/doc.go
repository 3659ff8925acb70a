// Package adapter is the contract between one node and the rest of the fleet:
// who is in which room, how an event reaches everyone in it, the room log that
// orders, deduplicates and remembers messages, presence, session records, and
// node-to-node queries.
//
// Implementers and the consumer live in different trees (as with
// database/sql/driver), so the interfaces stand here, alone: this package
// imports nothing of the project and holds no implementation. adaptertest is
// the suite that every implementation passes; local is the embedded one.
//
// # Flow
//
// Everything that a node's sockets receive passes one goroutine of the
// adapter, the sequencer: events, membership changes, gaps, presence changes
// and fences. It calls a namespace's [Receiver] item by item, in one order.
// No method of the contract calls the Receiver from inside itself: what an
// Append or Emit publishes comes back through the sequencer, also on the node
// that sent it.
//
// # Words
//
// A lane is an order domain; a position (pos) is a place in a lane and only
// ever grows. An epoch names one uninterrupted life of a room's log; seq is
// dense per room, and (epoch, seq) names one message for ever. A room name is
// opaque here. Every socket is also reachable under its own id, without that
// id being subscribed anywhere as a room.
//
// DELIVERY, here and in other packages, is docs/delivery.md, cited by heading.
package adapter
