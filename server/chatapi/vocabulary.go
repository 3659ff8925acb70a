package chatapi

import (
	"bytes"
	"encoding/json"

	"github.com/antchat/antchat/server/chat"
)

// Requests: what a client sends. Some names go both ways.
const (
	eventAddUser    = "add user"
	eventNewMessage = chat.EntryMessage
	eventChatMsg    = "chat message"
	eventTyping     = "typing"
	eventStopTyping = "stop typing"
	eventJoinRoom   = "join room"
	eventLeaveRoom  = "leave room"
	eventHistory    = "history"
	eventWho        = "who"
	eventRooms      = "rooms"

	eventRead          = "read"
	eventRemoveMessage = "remove message"
	eventMute          = "mute"
	eventUnmute        = "unmute"
	eventKick          = "kick"
	eventBan           = "ban"
	eventUnban         = "unban"
	eventRefreshToken  = "refresh token"
)

// Notices: what only the server sends.
const (
	eventLogin      = "login"
	eventUserJoined = "user joined"
	eventUserLeft   = "user left"
	eventRoomUsers  = "room users"
	eventRoomGap    = "room gap"
	eventError      = "error message" // emitted by package socketio

	eventRoomClosed    = "room closed"
	eventJoinedRoom    = "joined room"
	eventLeftRoom      = "left room"
	eventDirectMessage = "direct message"
	eventTokenExpiring = "token expiring"
	eventSessionEnded  = "session ended"
	eventAnnouncement  = "announcement"
)

// Events are the requests of the vocabulary, for whoever counts them;
// Options.RelayEvents come on top.
var Events = []string{
	eventAddUser, eventNewMessage, eventChatMsg, eventTyping, eventStopTyping, eventJoinRoom, eventLeaveRoom,
	eventHistory, eventWho, eventRooms, eventRefreshToken, eventRead,
	eventRemoveMessage, eventMute, eventUnmute, eventKick, eventBan, eventUnban,
}

// AddUser gives the socket's person a name. It may come as a bare string.
type AddUser struct {
	Username string `json:"username"`
}

// AddedUser acknowledges it. NumUsers is the lobby's.
type AddedUser struct {
	Username string   `json:"username"`
	NumUsers int      `json:"numUsers"`
	Rooms    []string `json:"rooms"`
	User     string   `json:"user"` // the person's public id
}

// Login is what the sender of "add user" gets as well.
type Login struct {
	NumUsers int `json:"numUsers"`
}

// NewMessage sends a message. A bare string is a message to the lobby.
type NewMessage struct {
	Room    string `json:"room,omitempty"` // "": the lobby
	Message string `json:"message"`
	ID      string `json:"id,omitempty"`
}

// Stored acknowledges a message that the room's log has.
type Stored struct {
	ID    string `json:"id"`
	Room  string `json:"room"`
	Seq   uint64 `json:"seq"`
	Epoch string `json:"epoch"`
	TS    int64  `json:"ts"`
}

// RoomOnly names a room and nothing else; without a payload, the lobby. It may
// come as a bare string.
type RoomOnly struct {
	Room string `json:"room,omitempty"`
}

// JoinRoom joins a room. It may come as a bare string.
type JoinRoom struct {
	Room  string  `json:"room"`
	Since *uint64 `json:"since,omitempty"`
	Epoch string  `json:"epoch,omitempty"`
	Limit int     `json:"limit,omitempty"`
}

// JoinedRoom acknowledges a join. Messages are the newest that the client
// lacks, ascending, up to Seq; what comes live follows without gap or repeat.
type JoinedRoom struct {
	Room     string        `json:"room"`
	Epoch    string        `json:"epoch"`
	Seq      uint64        `json:"seq"`
	NumUsers int           `json:"numUsers"`
	Users    []chat.Listed `json:"users"`
	Messages messages      `json:"messages"`
	// Removed are seqs of messages that were removed, as far as what was read
	// says so; the messages themselves may be further back.
	Removed []uint64 `json:"removed,omitempty"`
	// First and Last are the seqs between which the answer is complete, entries that
	// are no messages included; 0 when there are none.
	First uint64      `json:"first"`
	Last  uint64      `json:"last"`
	More  bool        `json:"more"`
	Gap   *chat.Range `json:"gap"`
	// Rights are what the person may do: read, write, moderate.
	Rights []string `json:"rights"`
}

// LeftRoom acknowledges a leave, and tells the person's other sockets of a join or
// a leave.
type LeftRoom struct {
	Room string `json:"room"`
}

// History asks for a page of a room's history.
type History struct {
	Room   string  `json:"room,omitempty"`
	Before *uint64 `json:"before,omitempty"`
	After  *uint64 `json:"after,omitempty"`
	Epoch  string  `json:"epoch,omitempty"`
	Limit  int     `json:"limit,omitempty"`
}

// HistoryPage acknowledges it.
type HistoryPage struct {
	Messages messages    `json:"messages"`
	Removed  []uint64    `json:"removed,omitempty"`
	Epoch    string      `json:"epoch"`
	First    uint64      `json:"first"` // as in JoinedRoom
	Last     uint64      `json:"last"`
	More     bool        `json:"more"`
	Gap      *chat.Range `json:"gap,omitempty"`
}

// RoomPeople acknowledges "who".
type RoomPeople struct {
	Room     string        `json:"room"`
	NumUsers int           `json:"numUsers"`
	Users    []chat.Listed `json:"users"`
}

// ListRooms asks for a page of the list of rooms.
type ListRooms struct {
	// Mine: only rooms in which the person has a read pointer, direct ones too.
	Mine  bool   `json:"mine,omitempty"`
	After string `json:"after,omitempty"`
	// Cursor is the Next of the page before, in the place of After.
	Cursor string `json:"cursor,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

// RoomList acknowledges it. With More there may be fewer rooms than were asked for,
// even none: Next, a cursor, is where to go on.
type RoomList struct {
	Rooms []ListedRoom `json:"rooms"`
	More  bool         `json:"more"`
	Next  string       `json:"next,omitempty"`
}

// ListedRoom is one of them. Read and Unread are there where the person has a read
// pointer; With is the other one's public id in a direct room.
type ListedRoom struct {
	Room     string  `json:"room"`
	NumUsers int     `json:"numUsers"`
	Seq      uint64  `json:"seq"`
	Read     *uint64 `json:"read,omitempty"`
	Unread   *uint64 `json:"unread,omitempty"`
	With     string  `json:"with,omitempty"`
}

// ReadTo moves a read pointer, acknowledges where it is, and tells the person's
// other sockets.
type ReadTo struct {
	Room string `json:"room,omitempty"`
	Seq  uint64 `json:"seq"`
}

// RemoveMessage names the message to be removed.
type RemoveMessage struct {
	Room  string `json:"room,omitempty"`
	Seq   uint64 `json:"seq"`
	Epoch string `json:"epoch,omitempty"`
}

// Sanction names who is muted, kicked or banned in a room, or not any more. For is
// in seconds: an hour when it is 0, at most 366 days.
type Sanction struct {
	Room   string `json:"room,omitempty"`
	User   string `json:"user"`
	For    int64  `json:"for,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Entry acknowledges what a moderator did: where it stands in the room's log.
type Entry struct {
	Room  string `json:"room"`
	Seq   uint64 `json:"seq"`
	Epoch string `json:"epoch"`
	TS    int64  `json:"ts"`
}

// RoomClosed tells a socket that it was put out of a room: kicked, banned, or in too many.
type RoomClosed struct {
	Room string `json:"room"`
	Code Code   `json:"code"`
}

// RefreshToken shows a new token before the old one ends. It may come as a bare
// string.
type RefreshToken struct {
	Token string `json:"token"`
}

// TokenExpiry says when a socket's token ends, in milliseconds since 1970: the
// answer to RefreshToken, and the warning.
type TokenExpiry struct {
	Expires int64 `json:"expires"`
}

// DirectMessage tells of a message in a direct room the sockets of its two people
// that are not in it. User and Username are the sender's.
type DirectMessage struct {
	Room     string `json:"room"`
	User     string `json:"user"`
	Username string `json:"username"`
	Seq      uint64 `json:"seq"`
	Epoch    string `json:"epoch"`
}

// SessionEnded says why the server is about to close the connection.
type SessionEnded struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Announcement is what a back end tells everybody. TS is when, in milliseconds
// since 1970.
type Announcement struct {
	Message  string `json:"message"`
	Username string `json:"username"`
	TS       int64  `json:"ts"`
}

// UserChange tells a room that somebody came or left.
type UserChange struct {
	Username string `json:"username"`
	NumUsers int    `json:"numUsers"`
	Room     string `json:"room"`
	User     string `json:"user"`
}

// RoomUsers tells a big room its number of people.
type RoomUsers struct {
	Room     string `json:"room"`
	NumUsers int    `json:"numUsers"`
}

// UserTyping tells a room that somebody types, or stopped.
type UserTyping struct {
	Username string `json:"username"`
	Room     string `json:"room"`
}

// RoomGap tells a room that messages are lost for good.
type RoomGap struct {
	Room  string `json:"room"`
	Epoch string `json:"epoch"`
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
}

// messages are logged messages that are encoded already: each has the fields
// of chat.Message. An empty list is [], never null.
type messages []json.RawMessage

// MarshalJSON joins what is encoded; encoding/json would compact and check
// every message again, which is most of the cost of a page.
func (m messages) MarshalJSON() ([]byte, error) {
	size := 2
	for _, one := range m {
		size += len(one) + 1
	}
	out := append(make([]byte, 0, size), '[')
	for i, one := range m {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, one...)
	}
	return append(out, ']'), nil
}

// UnmarshalJSON takes a bare string as the name.
func (p *AddUser) UnmarshalJSON(b []byte) error {
	type object AddUser
	return stringOr(b, &p.Username, (*object)(p))
}

// UnmarshalJSON takes a bare string as the text.
func (p *NewMessage) UnmarshalJSON(b []byte) error {
	type object NewMessage
	return stringOr(b, &p.Message, (*object)(p))
}

// UnmarshalJSON takes a bare string as the room.
func (p *RoomOnly) UnmarshalJSON(b []byte) error {
	type object RoomOnly
	return stringOr(b, &p.Room, (*object)(p))
}

// UnmarshalJSON takes a bare string as the token.
func (p *RefreshToken) UnmarshalJSON(b []byte) error {
	type object RefreshToken
	return stringOr(b, &p.Token, (*object)(p))
}

// UnmarshalJSON takes a bare string as the room.
func (p *JoinRoom) UnmarshalJSON(b []byte) error {
	type object JoinRoom
	return stringOr(b, &p.Room, (*object)(p))
}

// stringOr decodes a JSON string into s, or an object into o, whose type has
// no UnmarshalJSON of its own.
func stringOr(b []byte, s *string, o any) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, s)
	}
	return json.Unmarshal(b, o)
}
