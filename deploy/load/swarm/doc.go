// Package swarm is many thousands of Socket.IO clients in one process: the
// protocol in the raw, of both Engine.IO revisions, over WebSocket and long
// polling, from as many source addresses as wanted. It works against any
// Socket.IO server and costs far less than what it measures.
//
// # Flow
//
// One goroutine owns a [Swarm] and everything in it. Poll waits for what has
// arrived (epoll) and calls the [Handler] for it; the handler may call every
// method of the swarm and its clients. There is no goroutine, no timer and no
// buffer per client: what has arrived is read into one buffer, and only an
// unfinished piece is kept.
//
// # Limits
//
// Plain HTTP on IPv4, the namespace "/", text packets; no upgrade from polling.
// A frame or an answer is at most 1 MiB. Names of events and rooms should be
// ASCII: revision 3 counts characters of another kind than bytes.
//
// # What it must not know
//
// What an event means, and our own packages: it is a client like any other.
package swarm
