package chat

import "errors"

// Errors that callers branch on, beside [*Invalid] and those of package
// adapter (unavailable, full, conflict, fenced), which are passed on wrapped.
var (
	// ErrNotMember: the request needs membership of the room.
	ErrNotMember = errors.New("chat: not in that room")
	// ErrForbidden: the user has not the right, in that room.
	ErrForbidden = errors.New("chat: no right to do that")
	// ErrTooManyRooms: the socket, or its user with all sockets, is in as many rooms as
	// it may be.
	ErrTooManyRooms = errors.New("chat: in too many rooms")
)

// Field names what an [Invalid] is about.
type Field string

// The fields that are validated.
const (
	FieldName   Field = "username"
	FieldRoom   Field = "room"
	FieldText   Field = "message"
	FieldID     Field = "id"
	FieldSecret Field = "session"
	FieldEpoch  Field = "epoch"
	FieldUser   Field = "user"
	FieldReason Field = "reason"
	FieldCursor Field = "cursor"
)

// Invalid refuses a value that a client gave. Reason is a phrase that can be
// shown to a person: it holds limits, never the value.
type Invalid struct {
	Field  Field
	Reason string
}

func (e *Invalid) Error() string { return string(e.Field) + " " + e.Reason }
