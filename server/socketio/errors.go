package socketio

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrDisconnected: the socket has ended.
	ErrDisconnected = errors.New("socketio: socket disconnected")
	// ErrNotConnected: the socket has not been accepted yet: connect
	// middleware can neither emit nor join.
	ErrNotConnected = errors.New("socketio: socket not connected yet")
	// ErrAckTimeout: the client did not acknowledge in time.
	ErrAckTimeout = errors.New("socketio: no acknowledgement in time")
	// ErrTooManyAcks: the socket has Options.MaxPendingAcks unanswered events.
	ErrTooManyAcks = errors.New("socketio: too many acknowledgements pending")
	// ErrTooManyRooms: the socket is in Options.MaxRooms rooms.
	ErrTooManyRooms = errors.New("socketio: too many rooms")
	// ErrComeBack: connect middleware returns it, wrapped, to have the connection
	// closed without an answer. Clients take a refused CONNECT as final; from a lost
	// connection they come back by themselves.
	ErrComeBack = errors.New("socketio: come back later")
	// ErrTooMuchData: the value is larger than Options.MaxData.
	ErrTooMuchData = errors.New("socketio: socket data too large")
	// ErrReservedName: the event's name belongs to the protocol.
	ErrReservedName = errors.New("socketio: reserved event name")
	// ErrUnknownEvent: nobody handles the event. It reaches
	// Options.ErrorPayload.
	ErrUnknownEvent = errors.New("socketio: unknown event")
	// ErrPanic: the handler panicked. It reaches Options.ErrorPayload.
	ErrPanic = errors.New("socketio: handler panicked")
	// ErrClosed: the server was closed.
	ErrClosed = errors.New("socketio: server closed")
)

// PayloadError says that an argument of an event is not what its handler
// takes. It reaches Options.ErrorPayload.
type PayloadError struct {
	Index int // of the argument, from 0
	Err   error
}

func (e *PayloadError) Error() string { return fmt.Sprintf("decode argument %d: %v", e.Index, e.Err) }

// Unwrap gives the decoder's error.
func (e *PayloadError) Unwrap() error { return e.Err }

// ConnectError is how connect middleware refuses a client: the client sees the
// message and, when it is not nil, the data. Any other error refuses too, but
// the client sees only "connection refused". See [ErrComeBack] for what should not be
// final.
type ConnectError struct {
	Message string
	Data    any // encoded as JSON
}

func (e *ConnectError) Error() string { return "socketio: connection refused: " + e.Message }

// errorPayload is the default of Options.ErrorPayload. It never shows the
// error's own text, which may hold internals.
func errorPayload(event string, err error) any {
	type body struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		Retryable bool   `json:"retryable"`
	}
	type payload struct {
		Event string `json:"event"`
		Error body   `json:"error"`
	}
	b := body{Code: "internal", Message: "the request failed"}
	var bad *PayloadError
	switch {
	case errors.Is(err, ErrUnknownEvent):
		b = body{Code: "unknown_event", Message: "no such event"}
	case errors.As(err, &bad):
		b = body{Code: "bad_request", Message: "an argument has the wrong form"}
	case errors.Is(err, ErrTooManyRooms):
		b = body{Code: "too_many_rooms", Message: "in too many rooms"}
	}
	return payload{Event: event, Error: b}
}
