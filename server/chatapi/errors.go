package chatapi

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/identity"
	"github.com/antchat/antchat/server/socketio"
)

// Code says why a request was refused. The list is closed: clients may branch
// on it, and docs/protocol.md says of each what to do.
type Code string

// The codes.
const (
	CodeBadRequest     Code = "bad_request"     // the payload has not the documented form
	CodeInvalidName    Code = "invalid_name"    // username
	CodeInvalidRoom    Code = "invalid_room"    // room
	CodeInvalidMessage Code = "invalid_message" // message
	CodeInvalidID      Code = "invalid_id"      // id, clientOffset
	CodeInvalidSession Code = "invalid_session" // auth.session, as a connect error
	CodeNotMember      Code = "not_member"      // join the room first
	CodeForbidden      Code = "forbidden"       // no right to, in that room
	CodeMuted          Code = "muted"           // in that room, until
	CodeBanned         Code = "banned"          // from that room, or from the chat, until
	CodeKicked         Code = "kicked"          // out of that room
	CodeNoMessage      Code = "no_message"      // no such message
	CodeRateLimited    Code = "rate_limited"    // too many requests; retryAfter
	CodeTooManyRooms   Code = "too_many_rooms"  // leave one first
	CodeIDConflict     Code = "id_conflict"     // the id was used for another text
	CodeUnavailable    Code = "unavailable"     // the store is away; outcome unknown
	CodeStoreFull      Code = "store_full"      // the store has no room
	CodeMoved          Code = "session_moved"   // a newer connection has the session
	CodeOverloaded     Code = "overloaded"      // the node has too much to do
	CodeTokenMissing   Code = "token_missing"   // show a token, as a connect error
	CodeTokenInvalid   Code = "token_invalid"   // no token that is taken here
	CodeTokenExpired   Code = "token_expired"   // get a new one
	CodeUnknownEvent   Code = "unknown_event"   // no such event
	CodeInternal       Code = "internal"        // a fault of the server
)

// Codes is the closed list, in the order of the documentation.
var Codes = []Code{
	CodeBadRequest, CodeInvalidName, CodeInvalidRoom, CodeInvalidMessage, CodeInvalidID,
	CodeInvalidSession, CodeNotMember, CodeForbidden, CodeMuted, CodeBanned, CodeKicked, CodeNoMessage,
	CodeRateLimited, CodeTooManyRooms, CodeIDConflict, CodeUnavailable,
	CodeStoreFull, CodeMoved, CodeOverloaded, CodeTokenMissing, CodeTokenInvalid, CodeTokenExpired,
	CodeUnknownEvent, CodeInternal,
}

// Retryable says that the same request may succeed later. A message is sent
// again with the same id.
func (c Code) Retryable() bool {
	return c == CodeUnavailable || c == CodeStoreFull || c == CodeMoved || c == CodeOverloaded || c == CodeRateLimited
}

// Refusal is the payload of a refused request: the acknowledgement's only
// argument, or that of an "error message" event when none was asked for.
type Refusal struct {
	Event string  `json:"event"` // the request's name
	Error Problem `json:"error"`
}

// Problem is why. Message is for developers, in English, and may change.
type Problem struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
	// RetryAfter is when the same may succeed, in milliseconds from now.
	RetryAfter int64 `json:"retryAfter,omitempty"`
}

// ErrorPayload is what socketio.Options.ErrorPayload must be for the chat.
func ErrorPayload(event string, err error) any {
	return Refusal{Event: event, Error: problem(err)}
}

// problem finds the code of an error. Only texts made for clients pass; an
// error's own text may hold internals.
func problem(err error) Problem {
	code, message := classify(err)
	p := Problem{Code: code, Message: message, Retryable: code.Retryable()}
	var held *sanctioned
	if errors.As(err, &held) {
		p.RetryAfter = max(1, time.Until(held.until).Milliseconds())
	}
	if overloaded, ok := errors.AsType[errOverloaded](err); ok {
		p.RetryAfter = overloaded.retryAfter.Milliseconds()
	}
	var fast *tooFast
	if errors.As(err, &fast) {
		p.RetryAfter = max(1, int64(math.Ceil(fast.wait.Seconds()*1000)))
	}
	return p
}

// codeOfField are the codes of what package chat finds invalid.
var codeOfField = map[chat.Field]Code{
	chat.FieldName: CodeInvalidName, chat.FieldRoom: CodeInvalidRoom, chat.FieldText: CodeInvalidMessage,
	chat.FieldUser: CodeBadRequest, chat.FieldReason: CodeBadRequest, chat.FieldCursor: CodeBadRequest,
	chat.FieldID: CodeInvalidID, chat.FieldSecret: CodeInvalidSession, chat.FieldEpoch: CodeBadRequest,
}

func classify(err error) (Code, string) {
	var invalid *chat.Invalid
	var overloaded errOverloaded
	var payload *socketio.PayloadError
	var held *sanctioned
	var fast *tooFast
	switch {
	case errors.As(err, &fast):
		return CodeRateLimited, "too many requests"
	case errors.As(err, &held) && held.code == CodeMuted:
		return CodeMuted, "muted in that room"
	case errors.As(err, &held):
		return held.code, "banned"
	case errors.Is(err, chat.ErrNoMessage):
		return CodeNoMessage, "no such message"
	case errors.As(err, &invalid):
		return codeOfField[invalid.Field], invalid.Error()
	case errors.As(err, &overloaded):
		return CodeOverloaded, "the node has too much to do; try again"
	case errors.Is(err, errTokenMissing):
		return CodeTokenMissing, "a token is needed"
	case errors.Is(err, identity.ErrExpired):
		return CodeTokenExpired, "the token has expired"
	case errors.Is(err, identity.ErrInvalid):
		return CodeTokenInvalid, "the token is not taken here"
	case errors.Is(err, errOtherUser):
		return CodeTokenInvalid, "the token is another user's"
	case errors.Is(err, errNoTokens):
		return CodeTokenInvalid, "there are no tokens here"
	case errors.As(err, &payload):
		return CodeBadRequest, "the payload has not the documented form"
	case errors.Is(err, socketio.ErrUnknownEvent):
		return CodeUnknownEvent, "no such event"
	case errors.Is(err, chat.ErrNotMember):
		return CodeNotMember, "join the room first"
	case errors.Is(err, chat.ErrForbidden):
		return CodeForbidden, "not allowed in that room"
	case errors.Is(err, chat.ErrTooManyRooms), errors.Is(err, socketio.ErrTooManyRooms):
		return CodeTooManyRooms, "leave a room first"
	case errors.Is(err, adapter.ErrConflict):
		return CodeIDConflict, "the id was used for another message"
	case errors.Is(err, adapter.ErrFull):
		return CodeStoreFull, "the store is full"
	case errors.Is(err, adapter.ErrFenced), errors.Is(err, adapter.ErrUnknownSocket), errors.Is(err, socketio.ErrDisconnected):
		return CodeMoved, "the session continues on another connection"
	case errors.Is(err, identity.ErrUnavailable):
		return CodeUnavailable, "the token cannot be checked at the moment; try again"
	case errors.Is(err, adapter.ErrUnavailable), errors.Is(err, adapter.ErrClosed), errors.Is(err, socketio.ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return CodeUnavailable, "the store is not available; try again"
	}
	return CodeInternal, "the request failed"
}
