package chatapi

import (
	"cmp"
	"context"
	"encoding/json"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
)

// Post is a message that comes by another way than a socket: from a program
// that may write to every room.
type Post struct {
	// Room as people call it.
	Room string
	// Event is ["new message", payload]: the payload is the text, or an object
	// with the fields message and id of the request's.
	Event adapter.Event
	// Sender is what people see as the name.
	Sender string
	// Key makes a repetition of the very same Post safe. An id in the payload
	// goes before: the program itself may then repeat the message.
	Key string
}

// PostEvent is the name that a Post's event must have.
const PostEvent = eventNewMessage

// Post stores a message; members get it as they get any other. Its errors are
// those of [chat.Chat.Send], and *[chat.Invalid] for what is no message.
func (a *API) Post(ctx context.Context, p Post) error {
	text, id, ok := payload(p.Event.Data)
	if !ok {
		return &chat.Invalid{Field: chat.FieldText, Reason: "must be a text, or an object with one"}
	}
	_, err := a.post(ctx, chat.Outgoing{
		// The sender's user is like no client's: those begin with a letter for
		// how they were proven.
		From: chat.Author{User: "=" + p.Sender, Name: p.Sender}, Room: p.Room, Text: text, ID: cmp.Or(id, p.Key),
	})
	return err
}

// payload reads the argument of a Post's event.
func payload(data []byte) (text, id string, ok bool) {
	var args []json.RawMessage
	if json.Unmarshal(data, &args) != nil || len(args) < 2 {
		return "", "", false
	}
	if json.Unmarshal(args[1], &text) == nil {
		return text, "", true
	}
	var m struct {
		Message *string `json:"message"`
		ID      string  `json:"id"`
	}
	if json.Unmarshal(args[1], &m) != nil || m.Message == nil {
		return "", "", false
	}
	return *m.Message, m.ID, true
}
