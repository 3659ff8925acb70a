package packet

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Type is a packet's type (socket.io-protocol v5, "Packet types").
type Type byte

// The types, as their digits on the wire. Protocol 4 calls ConnectError ERROR.
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError
	// BinaryEvent and BinaryAck are Event and Ack with attachments. They exist
	// on the wire only: decoders return Event and Ack, and [AppendText] writes
	// them by itself when there are attachments.
	BinaryEvent
	BinaryAck
)

var typeNames = [...]string{"connect", "disconnect", "event", "ack", "connect error", "binary event", "binary ack"}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// MaxID is the largest ack id: the largest integer that a JavaScript client
// counts to exactly.
const MaxID = 1<<53 - 1

var (
	// ErrMalformed is wrapped by errors about input that breaks the protocol.
	ErrMalformed = errors.New("malformed packet")
	// ErrLimit is wrapped by errors about input that exceeds [Limits].
	ErrLimit = errors.New("packet over a limit")
)

// Packet is one Socket.IO packet. Decoders fill it with bytes of its own, so it
// may be kept; it is not changed afterwards.
type Packet struct {
	Type Type
	// Namespace starts with '/'. In a CONNECT of protocol 4 it may end with a
	// query, "/chat?token=x". "" is written as "/".
	Namespace string
	// ID is the ack id, at most [MaxID]; HasID says whether there is one.
	ID    uint64
	HasID bool
	// Data is JSON without white space around it, nil when there is none: an
	// array for events and acks, an object (an error also: a string; in
	// protocol 4 any value) for the connect types.
	Data []byte
	// Attachments are the binary parts: Data holds
	// {"_placeholder":true,"num":i} where part i belongs, once for each.
	Attachments [][]byte
}

// EventName is the name of an event: the first element of Data, a string, or a
// number as JavaScript writes it. It fails on other elements and on the
// reserved names (socket.io-protocol v5, "Sending and receiving data").
func (p *Packet) EventName() (string, error) {
	return eventName(p.Data)
}

// reserved reports whether an event name has a meaning for the client library
// or for the event emitter under it, so that no peer may send it.
func reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}

// eventName is EventName for the array data.
func eventName(data []byte) (string, error) {
	raw, ok := firstElement(data)
	if !ok {
		return "", fmt.Errorf("%w: an event without a name", ErrMalformed)
	}
	switch c := raw[0]; {
	case c == '"':
		if name := unquoted(raw[1 : len(raw)-1]); !reserved(name) {
			return name, nil
		}
		return "", fmt.Errorf("%w: reserved event name %s", ErrMalformed, raw)
	case c == '-' || '0' <= c && c <= '9':
		if name, ok := numberName(raw); ok {
			return name, nil
		}
	}
	return "", fmt.Errorf("%w: the event name is neither string nor number", ErrMalformed)
}

// checkEventName is eventName without making the name.
func checkEventName(data []byte) error {
	if raw, ok := firstElement(data); ok && raw[0] == '"' {
		// What is no reserved name even with escapes needs no closer look.
		const longest = len("removeListener") * len(`\u0000`)
		inner := raw[1 : len(raw)-1]
		if len(inner) > longest {
			return nil
		}
		var buf [longest]byte
		if !reserved(string(appendUnquoted(buf[:0], inner))) {
			return nil
		}
	}
	_, err := eventName(data)
	return err
}

// numberName writes a JSON number as JavaScript's String does.
func numberName(raw []byte) (string, bool) {
	if len(raw) < 16 && !strings.ContainsAny(string(raw), ".eE") && string(raw) != "-0" {
		return string(raw), true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsInf(f, 0) {
		return "", false
	}
	if f == 0 {
		return "0", true // of -0 too
	}
	return string(appendFloat(nil, f)), true
}

// AppendText appends the text part of p to dst: what follows the Engine.IO
// type. Attachments are to follow it as binary messages, with nothing in
// between. With nil Data it is the header alone, to which a caller may append
// JSON (the attachments are counted all the same). It allocates only to grow
// dst, and does not check p.
func AppendText(dst []byte, p *Packet) []byte {
	t := p.Type
	if t == BinaryEvent || t == BinaryAck {
		t -= BinaryEvent - Event
	}
	if len(p.Attachments) > 0 && (t == Event || t == Ack) {
		dst = append(dst, '0'+byte(t)+byte(BinaryEvent-Event))
		dst = strconv.AppendInt(dst, int64(len(p.Attachments)), 10)
		dst = append(dst, '-')
	} else {
		dst = append(dst, '0'+byte(t))
	}
	if p.Namespace != "/" && p.Namespace != "" {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	return append(dst, p.Data...)
}

// AppendConnectError appends the Data of a CONNECT_ERROR: in protocol 5 an
// object with the message and, if not nil, the JSON data; in protocol 4 the
// data alone, or the message as a string.
//
// The refusal of an unknown namespace is the object in both: pass 5 for it.
func AppendConnectError(dst []byte, protocol int, message string, data []byte) []byte {
	if protocol == 4 {
		if data != nil {
			return append(dst, data...)
		}
		return AppendString(dst, message)
	}
	dst = append(dst, `{"message":`...)
	dst = AppendString(dst, message)
	if data != nil {
		dst = append(dst, `,"data":`...)
		dst = append(dst, data...)
	}
	return append(dst, '}')
}
