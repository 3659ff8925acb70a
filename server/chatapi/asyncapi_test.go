package chatapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/schematest"
)

const asyncAPIFile = "../../docs/asyncapi.yaml"

var update = flag.Bool("update", false, "write docs/asyncapi.yaml anew from the code")

// operation is one row of docs/protocol.md: an event, its arguments, and what
// it is acknowledged with. The document is made from these and from the Go
// types that the handlers decode and encode.
type operation struct {
	event   string
	summary string
	args    []argument
	ack     []any // nil: no acknowledgement
}

type argument struct {
	value    any // of the type; a schema stands for itself
	optional bool
}

func one(v any) []argument      { return []argument{{value: v}} }
func optional(v any) []argument { return []argument{{value: v, optional: true}} }

// requests are what a client sends.
var requests = []operation{
	{eventAddUser, "Give the person behind the socket a name, once.", one(AddUser{}), []any{AddedUser{}}},
	{eventNewMessage, "Store a message in a room the socket is in; the others get it.", one(NewMessage{}), []any{Stored{}}},
	{eventChatMsg, "The same in the tutorial's words: text, clientOffset.", []argument{{value: schematest.Text}, {value: schematest.Text, optional: true}}, []any{}},
	{eventTyping, "Tell a room that this person types. Holds for 5 s.", optional(RoomOnly{}), []any{}},
	{eventStopTyping, "Tell a room that this person stopped.", optional(RoomOnly{}), []any{}},
	{eventJoinRoom, "Become a member and get the newest messages.", one(JoinRoom{}), []any{JoinedRoom{}}},
	{eventLeaveRoom, "End membership.", optional(RoomOnly{}), []any{LeftRoom{}}},
	{eventHistory, "Read a page of a room's messages.", optional(History{}), []any{HistoryPage{}}},
	{eventWho, "List a room's people.", optional(RoomOnly{}), []any{RoomPeople{}}},
	{eventRooms, "List rooms.", optional(ListRooms{}), []any{RoomList{}}},
	{eventRead, "Move the person's read pointer in a room.", one(ReadTo{}), []any{ReadTo{}}},
	{eventRemoveMessage, "Take a message out of everybody's view.", one(RemoveMessage{}), []any{Entry{}}},
	{eventMute, "Keep a user from writing to a room, for a time.", one(Sanction{}), []any{Entry{}}},
	{eventUnmute, "Take a mute back.", one(Sanction{}), []any{Entry{}}},
	{eventKick, "Put a user out of a room.", one(Sanction{}), []any{Entry{}}},
	{eventBan, "Put a user out of a room and keep it out, for a time.", one(Sanction{}), []any{Entry{}}},
	{eventUnban, "Take a ban back.", one(Sanction{}), []any{Entry{}}},
	{eventRefreshToken, "Show a new token of the same user before the old one ends.", one(RefreshToken{}), []any{TokenExpiry{}}},
}

// notices are what the server sends.
var notices = []operation{
	{eventNewMessage, "A message, to the room's members but not the sender.", one(chat.Message{}), nil},
	{eventChatMsg, "A message of the lobby, to sockets with the tutorial's vocabulary: text, seq.", []argument{{value: schematest.Text}, {value: schematest.Number}}, nil},
	{eventLogin, "To who sent 'add user'.", one(Login{}), nil},
	{eventUserJoined, "A person came to a room.", one(UserChange{}), nil},
	{eventUserLeft, "A person left a room.", one(UserChange{}), nil},
	{eventRoomUsers, "How many people a big room has.", one(RoomUsers{}), nil},
	{eventTyping, "Somebody types.", one(UserTyping{}), nil},
	{eventStopTyping, "Somebody stopped typing.", one(UserTyping{}), nil},
	{eventRoomGap, "Messages of a room are lost for good.", one(RoomGap{}), nil},
	{chat.EntryRemoved, "A message was removed: forget its text.", one(chat.Moderation{}), nil},
	{chat.EntryMuted, "A user was muted in a room.", one(chat.Moderation{}), nil},
	{chat.EntryUnmuted, "A mute was taken back.", one(chat.Moderation{}), nil},
	{chat.EntryKicked, "A user was put out of a room.", one(chat.Moderation{}), nil},
	{chat.EntryBanned, "A user was banned from a room.", one(chat.Moderation{}), nil},
	{chat.EntryUnbanned, "A ban was taken back.", one(chat.Moderation{}), nil},
	{eventRoomClosed, "The socket was put out of a room.", one(RoomClosed{}), nil},
	{eventRead, "Another socket of the same person moved the read pointer.", one(ReadTo{}), nil},
	{eventJoinedRoom, "Another socket of the same person joined a room.", one(LeftRoom{}), nil},
	{eventLeftRoom, "Another socket of the same person left a room.", one(LeftRoom{}), nil},
	{eventDirectMessage, "A message in a direct room that the socket is not in.", one(DirectMessage{}), nil},
	{eventTokenExpiring, "The socket's token ends soon: send 'refresh token'.", one(TokenExpiry{}), nil},
	{eventSessionEnded, "The server is about to close the connection, and why.", one(SessionEnded{}), nil},
	{eventAnnouncement, "A back end tells everybody something.", one(Announcement{}), nil},
	{eventError, "A request was refused that asked for no acknowledgement.", one(Refusal{}), nil},
}

// schemas are those of the vocabulary's types.
func schemas() *schematest.Schemas {
	return &schematest.Schemas{Own: map[reflect.Type]func(*schematest.Schemas) schematest.Mapping{
		reflect.TypeFor[Code](): func(*schematest.Schemas) schematest.Mapping {
			return schematest.Mapping{{"type", "string"}, {"enum", Codes}}
		},
		reflect.TypeFor[messages](): func(s *schematest.Schemas) schematest.Mapping { return s.Of(reflect.TypeFor[[]chat.Message]()) },
	}}
}

// arguments is the schema of an event's arguments: an array.
func arguments(s *schematest.Schemas, args []argument) schematest.Mapping {
	items, least := []schematest.Mapping{}, 0
	for _, a := range args {
		if schema, ok := a.value.(schematest.Mapping); ok {
			items = append(items, schema)
		} else {
			items = append(items, s.Of(reflect.TypeOf(a.value)))
		}
		if !a.optional {
			least++
		}
	}
	if len(items) == 0 {
		return schematest.Mapping{{"type", "array"}, {"maxItems", 0}}
	}
	return schematest.Mapping{{"type", "array"}, {"items", items}, {"minItems", least}, {"maxItems", len(items)}}
}

// camel makes an identifier of an event's name.
func camel(words ...string) string {
	var b strings.Builder
	for i, w := range strings.Fields(strings.Join(words, " ")) {
		if i > 0 {
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		b.WriteString(w)
	}
	return b.String()
}

func asyncAPI() schematest.Mapping {
	s := schemas()
	var inChannel, operations, components schematest.Mapping
	message := func(id, event, summary string, args []argument) {
		inChannel.Add(id, schematest.Ref("components/messages/"+id))
		components.Add(id, schematest.Mapping{{"name", event}, {"summary", summary}, {"payload", arguments(s, args)}})
	}
	pick := func(ids ...string) (refs []schematest.Mapping) {
		for _, id := range ids {
			refs = append(refs, schematest.Ref("channels/root/messages/"+id))
		}
		return refs
	}
	message("refusal", "acknowledgement", "The request was refused.", one(Refusal{}))
	for _, o := range requests {
		id, ack := camel("request", o.event), camel("ack", o.event)
		message(id, o.event, o.summary, o.args)
		var values []argument
		for _, v := range o.ack {
			values = append(values, argument{value: v})
		}
		message(ack, "acknowledgement", "The answer to '"+o.event+"'.", values)
		operations.Add(camel("receive", o.event), schematest.Mapping{
			{"action", "receive"}, {"channel", schematest.Ref("channels/root")}, {"summary", o.summary}, {"messages", pick(id)},
			{"reply", schematest.Mapping{{"channel", schematest.Ref("channels/root")}, {"messages", pick(ack, "refusal")}}},
		})
	}
	for _, o := range notices {
		id := camel("event", o.event)
		message(id, o.event, o.summary, o.args)
		operations.Add(camel("send", o.event), schematest.Mapping{
			{"action", "send"}, {"channel", schematest.Ref("channels/root")}, {"summary", o.summary}, {"messages", pick(id)},
		})
	}
	return schematest.Mapping{
		{"asyncapi", "3.0.0"},
		{"info", schematest.Mapping{
			{"title", "Antchat"}, {"version", "1.0.0"},
			{"description", "The vocabulary of docs/protocol.md, over Socket.IO (protocol 4 and 5). The payload of a message is the list of\n" +
				"the event's arguments, or of the acknowledgement's. Sockets that can recover get one more last argument, a string.\n"},
			{"license", schematest.Mapping{{"name", "MIT"}}},
		}},
		{"defaultContentType", "application/json"},
		{"servers", schematest.Mapping{{"local", schematest.Mapping{{"host", "localhost:3000"}, {"pathname", "/socket.io/"}, {"protocol", "ws"}}}}},
		{"channels", schematest.Mapping{{"root", schematest.Mapping{{"address", "/"}, {"description", "The root namespace."}, {"messages", inChannel}}}}},
		{"operations", operations},
		{"components", schematest.Mapping{{"messages", components}, {"schemas", s.Named()}}},
	}
}

// The document says what the code does, and all of it.
func TestAsyncAPI(t *testing.T) {
	schematest.Hold(t, asyncAPIFile, "go test ./server/chatapi -run AsyncAPI -update", asyncAPI(), *update)
	var names []string
	for _, o := range slices.Concat(requests, notices) {
		names = append(names, o.event)
	}
	for _, name := range vocabulary {
		if !slices.Contains(names, name) {
			t.Errorf("%q is not in the document", name)
		}
	}
	for _, name := range names {
		if !slices.Contains(vocabulary, name) {
			t.Errorf("%q is in the document alone", name)
		}
	}
}

// conforms checks what the server sent against the documented types: a
// notice's arguments, or a request's acknowledgement. The test client holds
// everything that passes it against this.
func conforms(among []operation, name string, args []json.RawMessage) error {
	i := slices.IndexFunc(among, func(o operation) bool { return o.event == name })
	if i < 0 {
		return nil // a relayed event, or one of the test's own
	}
	documented := among[i].ack
	if documented == nil {
		for _, a := range among[i].args {
			documented = append(documented, a.value)
		}
	}
	if len(args) != len(documented) {
		return fmt.Errorf("%d arguments, documented are %d", len(args), len(documented))
	}
	for i, raw := range args {
		if _, bare := documented[i].(schematest.Mapping); bare {
			continue
		}
		// Decoded and encoded again it must be the same: no field is unknown,
		// none is missing.
		v := reflect.New(reflect.TypeOf(documented[i]))
		if err := json.Unmarshal(raw, v.Interface()); err != nil {
			return err
		}
		again, err := json.Marshal(v.Interface())
		if err != nil {
			return err
		}
		var have, want any
		if err := errors.Join(json.Unmarshal(raw, &have), json.Unmarshal(again, &want)); err != nil {
			return err
		}
		if !reflect.DeepEqual(have, want) {
			return fmt.Errorf("argument %d has not the documented fields: %s", i, again)
		}
	}
	return nil
}

// Every request of the document has a handler, with an acknowledgement of the
// documented number of arguments, or a refusal that is not "unknown".
func TestEveryRequestIsHandled(t *testing.T) {
	f := newChat(t, Options{}, local.Options{})
	for _, o := range requests {
		c := f.dial(hello{})
		answer := c.answer(c.request(o.event, "lobby"))
		var r Refusal
		if len(answer) == 1 {
			_ = json.Unmarshal(answer[0], &r)
		}
		if r.Error.Code == CodeUnknownEvent || r.Error.Code == "" && len(answer) != len(o.ack) {
			t.Errorf("%s was acknowledged with %s", o.event, answer)
		}
	}
}

// docs/protocol.md names every event and code, and no other code.
func TestProtocolText(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range vocabulary {
		if !bytes.Contains(doc, []byte("`"+name)) {
			t.Errorf("docs/protocol.md does not name %q", name)
		}
	}
	for _, code := range Codes {
		row := "| `" + string(code) + "` | " + map[bool]string{true: "yes", false: "no"}[code.Retryable()] + " |"
		if !bytes.Contains(doc, []byte(row)) {
			t.Errorf("docs/protocol.md has no row %s", row)
		}
	}
	_, table, _ := bytes.Cut(doc, []byte("| code | retryable |"))
	table, _, _ = bytes.Cut(table, []byte("\n\n"))
	if rows := bytes.Count(table, []byte("\n| `")); rows != len(Codes) {
		t.Errorf("docs/protocol.md has %d codes, the list %d", rows, len(Codes))
	}
}
