// Package adaptertest is the suite that every adapter passes: each promise of
// the contract in package adapter, the properties that must hold when calls
// race, and the rules of DELIVERY ("Cut", "Recovery") as a random test of
// clients that lose their connections.
//
// An adapter's own test calls [Run] with a [Factory]. What the adapter can do
// to itself (restart, die, lose its link) it offers by letting its [Fleet]
// implement [Restarter], [Killer] and [Faults]; tests of what it cannot do are
// not part of its run.
//
// The suite knows nothing of any adapter and of no wire. Its sockets
// (socket.go) stand for the Socket.IO layer: they keep held events back, give
// offsets, and check with every event that positions only grow.
package adaptertest
