// Package socketio is the Socket.IO layer: namespaces, sockets, events,
// acknowledgements, rooms and connection state recovery, for protocol
// revision 5 (clients 3 and 4, over Engine.IO 4) and revision 4 (clients 1 and
// 2, over Engine.IO 3) at once.
//
//	sio := socketio.NewServer(adapter, socketio.Options{Recovery: true})
//	chat := sio.Of("/")
//	socketio.On(chat, "greet", func(ctx context.Context, s *socketio.Socket, name string) (string, error) {
//		return "hello " + name, nil
//	})
//	eio := endpoint.New(sio, adapter, engineio.Options{})
//
// # Flow
//
// An Engine.IO session reaches the package as a [Conn] and gets a [Client].
// The client decodes packets on the session's reading goroutine, resolves
// acknowledgements there and then, and puts events into the socket's bounded
// inbox. A goroutine that lives only while the inbox holds something calls the
// handlers, one at a time, in the order of arrival. An idle socket has no
// goroutine, timer, channel or context.
//
// Everything that is broadcast goes through the adapter and comes back from its
// sequencer, also on one node: it is encoded once per form in use and
// queued to each socket with nothing but a lock held. What a socket emits
// itself is written at once.
//
// # Offsets
//
// A client that can recover keeps the last argument of every event as its
// offset. So every event without an acknowledgement id to such a socket
// carries one, and it says: all that this socket should have had up to here is
// in its queue before this. What is emitted directly carries the position of
// the last completed broadcast, and while a socket is held (between the cut of
// a join and its answer) the position of what was last queued to it.
//
// # What it must not know
//
// The package knows no chat, no HTTP, no Redis. It sees an Engine.IO session
// only through [Conn] and the fleet only through package adapter.
package socketio
