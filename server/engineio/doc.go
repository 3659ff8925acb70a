// Package engineio serves Engine.IO revisions 3 and 4: sessions, heartbeat,
// HTTP long-polling, WebSocket, and the upgrade from one to the other.
//
// # Flow
//
// A [Server] is an http.Handler. A handshake makes a [Session] and hands it to
// the accept function, which returns the session's [Handler]; what the client
// sends arrives there in order. What is for the client goes through
// [Session.Send] (tried at once) or [Session.Queue] (for broadcasts: written by
// the server's flushers, joined into one write per connection), as a message
// made once by [Session.Prepare] and shared by all its recipients.
//
//	net/http ─ handshake ─┬─ polling: GET drains the queue, POST feeds the Handler
//	                      └─ WebSocket: hijacked, a conn of the connection layer
//	publishers ─ Queue ─ dirty list ─ flusher ─ one write ─ conn
//	poller ─ one event ─ a goroutine for as long as there is something to read
//
// On Linux the server takes a WebSocket's descriptor out of package net and waits
// for all of them in one epoll set; TLS that ends here, connections of a type of
// the caller's own, and other systems have a goroutine per connection instead.
//
// Three parts stand apart: the codecs (payload*.go, jsonp.go, frame.go) know no
// session; the connection layer (conn.go, poll*.go) knows no protocol; the timing wheel
// (wheel.go) holds every deadline, so that no connection has a timer.
//
// # What one client can cost the others
//
// Nothing: writing never blocks whoever publishes, the queue of a session is
// bounded in bytes and messages, a client that does not read is closed as
// [ReasonSlowClient], and no lock is held over a write or over a call of a
// Handler.
//
// permessage-deflate is not offered: its memory per connection is more than all
// the rest of a session. Polling answers of 1 KB and more are gzipped.
//
// Slow and large request headers are the http.Server's to limit: set its
// ReadHeaderTimeout, IdleTimeout and MaxHeaderBytes. Its ReadTimeout and
// WriteTimeout do not cut a held poll short.
//
// # The end of a session by the server's own wish
//
// A WebSocket that has reached Options.MaxAge, and every session in
// [Server.Drain], is closed by its transport, never by a packet of a layer above
// that a client would take as final. A Handler that is a [Finisher] is asked
// first, so that no answer is under way.
//
// # What it must not know
//
// Anything of Socket.IO, rooms or the chat; it imports no package of this
// module. Routing, CORS headers and TLS are its caller's.
package engineio
