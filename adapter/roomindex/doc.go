// Package roomindex is the half of an adapter that every store shares: which
// local sockets are in which room, and the sequencer, the one goroutine of a
// node through which everything that a local socket receives has to pass.
//
// # Flow
//
// An adapter pushes items (events, cuts, leaves, removals, fences, gaps,
// presence changes) onto the [Sequencer]'s queue in the order of its stream.
// The sequencer takes what has piled up and lets the items pass one by one:
// membership changes go to the namespace's [Index], events to the namespace's
// adapter.Receiver together with the sockets that they are for. An item's
// place in the queue is its place in the order of events; this is what makes a
// cut exact (DELIVERY, "Cut": "Sequencer at the marker: install membership").
//
// # What it must not know
//
// Nothing of any store, of positions beyond carrying them forward, or of what
// an event means.
package roomindex
