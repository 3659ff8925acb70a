package socketio

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// reservedNames cannot be events: clients use them for their own ("EVENT",
// reserved names of the reference server).
var reservedNames = []string{
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
}

// NewEvent encodes an event. Arguments are encoded by encoding/json, except
// that [Binary] values become attachments, those of [Args.Values] are taken as
// they came, and a json.RawMessage must be valid JSON. ErrReservedName, or the
// encoder's error.
func NewEvent(name string, args ...any) (adapter.Event, error) {
	if slices.Contains(reservedNames, name) {
		return adapter.Event{}, fmt.Errorf("encode event %q: %w", name, ErrReservedName)
	}
	data := packet.AppendString(make([]byte, 0, 64), name)
	data, attachments, err := appendArray(append([]byte{'['}, data...), args)
	if err != nil {
		return adapter.Event{}, fmt.Errorf("encode event %q: %w", name, err)
	}
	return adapter.Event{Name: name, Data: data, Attachments: attachments}, nil
}

// encodeArray encodes arguments as a JSON array with placeholders.
func encodeArray(args []any) (data []byte, attachments [][]byte, err error) {
	return appendArray([]byte{'['}, args)
}

// appendArray appends arguments and the closing bracket to an open array.
func appendArray(data []byte, args []any) ([]byte, [][]byte, error) {
	var attachments [][]byte
	for i, arg := range args {
		if len(data) > 1 {
			data = append(data, ',')
		}
		var err error
		switch v := arg.(type) {
		case string:
			data = packet.AppendString(data, v)
		case argument:
			if data, attachments, err = v.appendTo(data, attachments); err != nil {
				return nil, nil, fmt.Errorf("argument %d: %w", i, err)
			}
		case Binary:
			data = appendPlaceholder(data, len(attachments))
			attachments = append(attachments, slices.Clone(v))
		default:
			b, err := json.Marshal(arg)
			if err != nil {
				return nil, nil, fmt.Errorf("argument %d: %w", i, err)
			}
			from := len(data)
			if data, attachments, err = extractBinary(append(data, b...), from, attachments); err != nil {
				return nil, nil, fmt.Errorf("argument %d: %w", i, err)
			}
		}
	}
	return append(data, ']'), attachments, nil
}
