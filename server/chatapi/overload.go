package chatapi

import (
	"context"
	"fmt"
	"time"

	"github.com/antchat/antchat/server/socketio"
)

// Class says what a request is worth when not all can be served.
type Class uint8

// The classes, the first to go first.
const (
	ClassEphemeral Class = iota // kept nowhere: typing, relayed events
	ClassRead                   // history, who, rooms; how far somebody has read
	ClassWrite                  // messages, joins, names
)

// classes has the requests that may be refused by their class. Those that are
// missing make less work for the node, such as leaving a room or throwing somebody
// out, or hardly any.
var classes = map[string]Class{
	eventTyping: ClassEphemeral, eventStopTyping: ClassEphemeral,
	eventHistory: ClassRead, eventWho: ClassRead, eventRooms: ClassRead, eventRead: ClassRead,
	eventNewMessage: ClassWrite, eventChatMsg: ClassWrite, eventJoinRoom: ClassWrite, eventAddUser: ClassWrite,
}

// errOverloaded refuses what the node has no time for now.
type errOverloaded struct{ retryAfter time.Duration }

func (e errOverloaded) Error() string {
	return fmt.Sprintf("overloaded; again in %v", e.retryAfter)
}

// shedding is the middleware that asks Options.Shed. An ephemeral event whose
// sender wants no acknowledgement is dropped without a word, which would cost
// more than the event; it is counted as refused.
func (a *API) shedding(next socketio.EventHandler) socketio.EventHandler {
	return func(ctx context.Context, s *socketio.Socket, e *socketio.Incoming) (socketio.Reply, error) {
		class, known := a.classes[e.Name]
		if !known {
			return next(ctx, s, e)
		}
		after, shed := a.options.Shed(class)
		switch {
		case !shed:
			return next(ctx, s, e)
		case class == ClassEphemeral && !e.WantsAck:
			if a.options.Hooks.Refused != nil {
				a.options.Hooks.Refused(e.Name, CodeOverloaded)
			}
			a.slow(ctx, s)
			return socketio.Reply{}, nil
		}
		return socketio.Reply{}, errOverloaded{after}
	}
}
