package engineio

import "time"

// Hooks are called as things happen, so that they can be counted. Each may be
// nil. They run on the goroutine where the thing happens, concurrently, without
// a lock held: they must be quick and must not block.
type Hooks struct {
	// Opened and Closed bracket a session's life, also of one that the function
	// given to NewServer refuses. transport is what the session uses at that
	// moment.
	Opened func(transport string, revision int)
	Closed func(transport string, revision int, reason string, lived time.Duration)
	// Upgraded: a session moved from polling to WebSocket.
	Upgraded func(revision int)
	// UpgradeFailed: a WebSocket opened for an existing session was closed before
	// it took over.
	UpgradeFailed func(why string)
	// Refused: a request was turned away.
	Refused func(code RefusalCode)
	// SlowClient: a client was closed because it did not read. bytes and messages
	// were waiting for it; overflow tells a full queue from the write deadline.
	SlowClient func(bytes, messages int, overflow bool)
	// Blocked: the kernel took no more for a client; a goroutine waits for it.
	Blocked func()
	// Received and Sent count Engine.IO packets (or, on a WebSocket, queued
	// messages) and their bytes as they passed the transport.
	Received func(transport string, packets, bytes int)
	Sent     func(transport string, packets, bytes int)
	// Polled: a poll was answered with bytes of payload, of which sent went out,
	// fewer when compressed.
	Polled func(bytes, sent int, compressed bool)
	// Relayed: a request of another node's session was passed on; kind is get,
	// post or other, outcome one of RelayAnswered and so on, bytes the body that
	// came back for a get, or went there for a post.
	Relayed func(kind, outcome string, bytes int, took time.Duration)
	// RelayServed: a request of an own session came by another node; kind as
	// before, or recall, undelivered or broken; outcome one of ServedAnswered and
	// so on.
	RelayServed func(kind, outcome string, bytes int, took time.Duration)
	// Moved: the client has completed the upgrade of another node's session here;
	// outcome is one of MoveDone and so on, took the time since its request.
	Moved func(outcome string, took time.Duration)
	// WordLost: what Adopt's tell was given did not reach the other node.
	WordLost func()
	// RelayLost: what was taken for a client did not reach it by another node; the
	// session was closed.
	RelayLost func()
	// FrameError: a WebSocket was closed with an error code such as 1002.
	FrameError func(code int)
	// Panicked: a Handler panicked; its session was closed.
	Panicked func()
}
