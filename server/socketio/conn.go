package socketio

import (
	"net/url"
	"time"
)

// Conn is an Engine.IO session as this package sees it. Methods may be called
// concurrently and none blocks.
type Conn interface {
	// ID is the Engine.IO session id. Whoever knows it can take part in the
	// session: it is never shown to anybody but its owner.
	ID() string
	// Revision of Engine.IO: 3 or 4.
	Revision() int
	// Transport in use now: "polling" or "websocket".
	Transport() string
	// RemoteAddr is the client's address without the port.
	RemoteAddr() string
	// Header is one of the handshake's headers that were kept, "" otherwise.
	Header(name string) string
	// Headers are the kept headers, names in lower case.
	Headers() map[string]string
	// Query of the handshake.
	Query() url.Values
	// URL of the handshake, path and query.
	URL() string
	// Secret is a parameter of the handshake's query, or one of its headers,
	// that is in none of the above; "" when there was none.
	Secret(name string) string
	Secure() bool
	CrossDomain() bool
	Opened() time.Time

	// Go runs f on another goroutine, as the go statement does, perhaps at less
	// cost.
	Go(f func())

	// Prepare makes a frame of one message: a text (nil: none), then its
	// binary parts. The frame is immutable and may go to every session of the
	// same revision, and to any session when there is no binary.
	Prepare(text []byte, binary [][]byte) any
	// Send queues a frame and tries to write at once.
	Send(frame any) error
	// Queue queues a frame; it is written soon, together with what else has
	// piled up.
	Queue(frame any) error
	// Idle says that nothing is queued and a write would go out now.
	Idle() bool
	// Close writes what is queued, if that is possible within a short time,
	// and closes.
	Close(reason string)
	// Abort closes at once.
	Abort(reason string)
}
