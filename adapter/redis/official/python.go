package official

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// pythonMessage is what python-socketio's managers publish from 5.14 on, for
// every namespace on one channel.
type pythonMessage struct {
	Method    string          `json:"method"`
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data"`
	Binary    *bool           `json:"binary"`
	Namespace string          `json:"namespace"`
	Room      oneOrMore       `json:"room"`
	SkipSID   oneOrMore       `json:"skip_sid"`
	SID       string          `json:"sid"`
}

// oneOrMore is a name, a list of names, or null.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return (*roomNames)(o).UnmarshalJSON(b)
	}
	*o = nil
	if string(b) == "null" {
		return nil
	}
	name, err := roomName(b)
	*o = oneOrMore{name}
	return err
}

// python reads what a manager of python-socketio publishes. A message for
// other managers only, such as a callback, is nil without an error. The rooms
// of a join or leave are the manager's names; except are ids of sockets. Pickles
// are refused with ErrPickle: see the package's documentation.
func (d decoder) python(b []byte) (*message, error) {
	m, err := d.pythonMessage(b)
	if err != nil {
		return nil, fmt.Errorf("decode python-socketio message: %w", err)
	}
	return m, nil
}

func (d decoder) pythonMessage(b []byte) (*message, error) {
	if len(b) > 0 && b[0] != '{' {
		// A dict begins so in protocols 2 to 5, 0 and 1.
		if b[0] == 0x80 || b[0] == '(' || b[0] == '}' {
			return nil, ErrPickle
		}
		return nil, fmt.Errorf("%w: neither JSON nor pickle", ErrMalformed)
	}
	text, _, err := d.text(b)
	if err != nil {
		return nil, err
	}
	var w pythonMessage
	if err := fill(text, &w); err != nil {
		return nil, err
	}
	m := &message{uid: emitterUID, namespace: w.Namespace}
	if m.namespace == "" {
		m.namespace = "/"
	}
	if err := d.few(roomNames(w.Room), roomNames(w.SkipSID)); err != nil {
		return nil, err
	}
	if err := d.ids(w.SID); err != nil {
		return nil, err
	}
	switch w.Method {
	case "emit":
		m.kind = kindBroadcast
		m.to = target{rooms: w.Room, except: w.SkipSID}
		m.event, err = d.pythonEvent(&w)
	case "enter_room", "leave_room":
		m.kind = kindJoin
		if w.Method == "leave_room" {
			m.kind = kindLeave
		}
		m.sid, m.rooms = w.SID, w.Room
		if w.SID == "" || len(w.Room) == 0 {
			err = fmt.Errorf("%w: %s of nobody", ErrMalformed, w.Method)
		}
	case "close_room":
		m.kind = kindLeave
		m.to.rooms, m.rooms = w.Room, w.Room
		if len(w.Room) == 0 {
			err = fmt.Errorf("%w: no room to close", ErrMalformed)
		}
	case "disconnect":
		// Only the socket: the connection may carry other namespaces.
		m.kind, m.sid = kindDisconnect, w.SID
		if w.SID == "" {
			err = fmt.Errorf("%w: nobody to disconnect", ErrMalformed)
		}
	case "callback":
		return nil, nil
	default:
		err = fmt.Errorf("%w: method %.40q", ErrMalformed, w.Method)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// pythonEvent makes the event of an emit. Until 5.15.0 data is the one argument
// or, a tuple having become a list, the arguments; from 5.15.1 always the list
// of arguments, and [null] for none. Only that "binary" is absent until 5.14.1
// tells them apart: there a list is one argument, later the arguments.
//
// With binary, data is a list of what would else be data, with placeholders,
// and of the binary parts in base64.
func (d decoder) pythonEvent(w *pythonMessage) (adapter.Event, error) {
	data := w.Data
	var attachments [][]byte
	if w.Binary != nil && *w.Binary {
		parts, err := packet.Args(data)
		if err != nil || len(parts) < 2 || data[0] != '[' {
			return adapter.Event{}, fmt.Errorf("%w: binary that is no list", ErrMalformed)
		}
		if len(parts)-1 > d.maxAttachments {
			return adapter.Event{}, fmt.Errorf("%w: %d attachments, %d are allowed", ErrLimit, len(parts)-1, d.maxAttachments)
		}
		data = parts[0]
		for _, raw := range parts[1:] {
			var s string
			if err := fill(raw, &s); err != nil {
				return adapter.Event{}, err
			}
			part, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				return adapter.Event{}, fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			attachments = append(attachments, part)
		}
	}
	out := append(make([]byte, 0, len(data)+len(w.Event)+8), '[')
	out = packet.AppendString(out, w.Event)
	list := w.Binary != nil && len(data) > 0 && data[0] == '['
	switch {
	case len(data) == 0 || string(data) == "null" || list && onlyNull(data):
	case list:
		for e := range packet.Elements(data) {
			out = append(out, ',')
			out = append(out, e...)
		}
	default:
		out = append(out, ',')
		out = append(out, data...)
	}
	return d.event(append(out, ']'), attachments)
}

func onlyNull(list []byte) bool {
	n, null := 0, false
	for e := range packet.Elements(list) {
		n++
		null = string(e) == "null"
	}
	return n == 1 && null
}
