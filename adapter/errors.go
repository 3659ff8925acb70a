package adapter

import "errors"

// Errors that callers branch on. Implementations wrap them with detail.
var (
	// ErrUnavailable: the store could not be reached in time. The outcome is
	// unknown: the operation may have happened. Repeating it with the same
	// key is safe.
	ErrUnavailable = errors.New("adapter: store unavailable, outcome unknown")
	// ErrFenced: this node, or this session's token, no longer owns what it
	// tried to write. Nothing was written. The transport must be closed.
	ErrFenced = errors.New("adapter: fenced by a newer owner")
	// ErrFull: the store has no room for the write. Nothing was written.
	ErrFull = errors.New("adapter: store full")
	// ErrConflict: the dedupe key is known with another digest. Nothing was
	// written.
	ErrConflict = errors.New("adapter: key already used for other content")
	// ErrUnrecoverable: the session is gone, expired, or its missed events
	// cannot be proven complete. The client starts a new session.
	ErrUnrecoverable = errors.New("adapter: session cannot be recovered")
	// ErrUnknownSocket: the socket was not added, or was removed.
	ErrUnknownSocket = errors.New("adapter: unknown socket")
	// ErrUnknownNode: no live node of that name.
	ErrUnknownNode = errors.New("adapter: unknown node")
	// ErrNoReply: the node has the request, or had it, and no reply came.
	ErrNoReply = errors.New("adapter: no reply")
	// ErrClosed: the adapter was closed.
	ErrClosed = errors.New("adapter: closed")
)
