package chatapi

import (
	"strconv"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// lobbyRoom is the adapter's name of the lobby.
var lobbyRoom = chat.AdapterRoom(chat.Lobby)

// render puts a delivery into a vocabulary. It runs on the sequencer, once per
// delivery and view in use: one allocation and one copy for a message, nothing
// for anything else.
func render(v socketio.View, d *adapter.Delivery) (e adapter.Event, toSender, ok bool) {
	switch {
	case chat.Moderates(d):
		return spliced(d), false, true
	case !chat.IsMessage(d):
		return d.Event, d.Class != adapter.Logged, true
	case v == viewTutorial && d.Room == lobbyRoom:
		return chatMessageEvent(d), true, !chat.IsRemoved(d)
	}
	return spliced(d), false, true
}

// Plain is what a logged delivery looks like to a socket with the chat's own
// vocabulary: for those who pass it on by other ways than a [socketio.Server]. Not ok: nothing
// is shown.
func Plain(d *adapter.Delivery) (e adapter.Event, ok bool) {
	e, _, ok = render(viewChat, d)
	return e, ok
}

// gained is more than what an entry gains over its stored form.
const gained = 96

// spliced is ["new message",{...}], or a moderator's entry, with its place.
func spliced(d *adapter.Delivery) adapter.Event {
	b := make([]byte, 0, len(d.Event.Data)+gained)
	b = append(b, `["`...)
	b = append(b, d.Event.Name...)
	b = append(b, `",`...)
	b = chat.AppendMessage(b, d)
	return adapter.Event{Name: d.Event.Name, Data: append(b, ']')}
}

// chatMessageEvent is ["chat message","text",seq], the seq being what the
// tutorial calls the server's offset.
func chatMessageEvent(d *adapter.Delivery) adapter.Event {
	text := chat.Text(d)
	b := make([]byte, 0, len(text)+48)
	b = append(b, `["`+eventChatMsg+`",`...)
	b = append(b, text...)
	b = append(b, ',')
	b = strconv.AppendUint(b, d.Seq, 10)
	return adapter.Event{Name: eventChatMsg, Data: append(b, ']')}
}

// gapEvent tells a room's members what is lost for good.
func gapEvent(g adapter.Gap) adapter.Event {
	room, _ := chat.RoomName(g.Room)
	return event(eventRoomGap, RoomGap{Room: room, Epoch: g.Epoch, From: g.From, To: g.To})
}

// event encodes an event of the vocabulary, whose payloads are structs of
// strings and numbers: encoding them cannot fail.
func event(name string, payload any) adapter.Event {
	e, err := socketio.NewEvent(name, payload)
	if err != nil {
		panic("chatapi: encode " + name + ": " + err.Error())
	}
	return e
}
