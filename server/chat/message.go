package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/antchat/antchat/adapter"
)

// EntryMessage is the event name that a message is logged under. Entries of
// other names are not messages: whoever reads a log must skip what it does not
// know.
const EntryMessage = "new message"

// Message is one message as everyone sees it.
type Message struct {
	Username string `json:"username"`
	Message  string `json:"message"`
	Room     string `json:"room"`
	// ID is the client's own, or one made for it.
	ID string `json:"id"`
	// User is the sender's public id. Messages of earlier versions have none.
	User string `json:"user,omitempty"`
	// Removed: its text was taken out.
	Removed bool `json:"removed,omitempty"`
	// Seq is the message's place in its room; with Epoch it names the message
	// for ever.
	Seq   uint64 `json:"seq"`
	Epoch string `json:"epoch"`
	// TS is the store's clock at the append, in milliseconds since 1970. It
	// is for showing; order is by Seq.
	TS int64 `json:"ts"`
}

// entryOpen opens every logged message. The text stands first, so that it is
// found without decoding the rest.
const entryOpen = `["` + EntryMessage + `",{"message":"`

// entry is the stored part of a message: what is known before the append. The
// order of the fields is the order of the bytes.
type entry struct {
	Message  string `json:"message"`
	Username string `json:"username"`
	Room     string `json:"room"`
	ID       string `json:"id"`
	User     string `json:"user"`
	Removed  bool   `json:"removed,omitempty"`
}

// encodeEntry makes the event that is logged. Its payload is complete but for
// what the store adds (seq, epoch, time); [AppendMessage] splices that in.
func encodeEntry(m entry) (adapter.Event, error) {
	var b bytes.Buffer
	b.Grow(len(entryOpen) + len(m.Message) + len(m.Username) + len(m.Room) + len(m.ID) + len(m.User) + 64)
	b.WriteString(`["` + EntryMessage + `",`)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // six bytes for each "<" help nobody here
	if err := enc.Encode(m); err != nil {
		return adapter.Event{}, fmt.Errorf("encode message: %w", err)
	}
	b.Truncate(b.Len() - 1) // Encode ends with a newline
	b.WriteByte(']')
	return adapter.Event{Name: EntryMessage, Data: b.Bytes()}, nil
}

// IsMessage says whether a delivery is a logged message in the form that this
// package writes.
func IsMessage(d *adapter.Delivery) bool {
	return d.Class == adapter.Logged && d.Event.Name == EntryMessage &&
		bytes.HasPrefix(d.Event.Data, []byte(entryOpen)) && bytes.HasSuffix(d.Event.Data, []byte("}]"))
}

// AppendMessage appends the payload of a logged message, a JSON object with
// the fields of [Message], or of a moderator's entry, with those of
// [Moderation], to dst. d must satisfy [IsMessage] or [Moderates]. It costs one
// copy: the stored bytes are not decoded.
func AppendMessage(dst []byte, d *adapter.Delivery) []byte {
	const end = len("}]")
	open := len(`["",`) + len(d.Event.Name)
	dst = append(dst, d.Event.Data[open:len(d.Event.Data)-end]...)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, d.Seq, 10)
	dst = append(dst, `,"ts":`...)
	dst = strconv.AppendInt(dst, d.Time.UnixMilli(), 10)
	dst = append(dst, `,"epoch":"`...)
	dst = append(dst, d.Epoch...) // the adapter's own characters: base64url or hexadecimal
	return append(dst, `"}`...)
}

// Text is the JSON string of a logged message's text, a part of the stored
// bytes. d must satisfy [IsMessage].
func Text(d *adapter.Delivery) []byte {
	s := d.Event.Data[len(entryOpen)-1:]
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[:i+1]
		}
	}
	return []byte(`""`)
}

// Decode reads a logged message. It is for those who need its fields;
// deliveries are made by AppendMessage.
func Decode(d *adapter.Delivery) (Message, error) {
	if !IsMessage(d) {
		return Message{}, fmt.Errorf("decode message: entry %q is none", d.Event.Name)
	}
	var m Message
	if err := json.Unmarshal(AppendMessage(nil, d), &m); err != nil {
		return Message{}, fmt.Errorf("decode message: %w", err)
	}
	return m, nil
}

// Milliseconds is how times are told to clients.
func Milliseconds(t time.Time) int64 { return t.UnixMilli() }
