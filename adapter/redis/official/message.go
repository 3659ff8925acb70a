package official

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// Errors of the decoders.
var (
	// ErrMalformed is wrapped by errors about what no official package would
	// publish.
	ErrMalformed = errors.New("malformed message")
	// ErrPickle: a pickle, which is a program and is never run.
	ErrPickle = errors.New("pickled message")
	// ErrLimit is wrapped by errors about what exceeds a limit of Options.
	ErrLimit = errors.New("message over a limit")
)

// emitterUID is the uid of everybody who only writes.
const emitterUID = "emitter"

// kind says what a message is, in either format.
type kind uint8

const (
	kindBroadcast   kind = iota + 1 // with an id: acknowledgements are wanted
	kindJoin                        // rooms
	kindLeave                       // rooms
	kindDisconnect                  // close
	kindFetch                       // id
	kindRooms                       // id; classic only
	kindIDs                         // id; classic before 8 only
	kindServerEvent                 // with an id: an answer is wanted

	// Answers, all with an id.
	kindSockets // sockets
	kindNames   // names
	kindIDList  // names
	kindAnswer  // value
	kindCount   // count
	kindAck     // value
	kindDone    // to an old join, leave or disconnect
)

// message is what both formats, and the emitters', say.
type message struct {
	kind      kind
	uid       string // "" when the format does not tell
	id        string // of the request
	namespace string // "" when only the channel tells
	event     adapter.Event
	to        target
	rooms     []string // to join or leave
	close     bool
	sid       string // the old classic form of join, leave, disconnect
	fellow    bool   // an answer of the own fleet, which says nothing

	sockets []adapter.SocketInfo // their Rooms with the own id, as sent
	names   []string
	count   int
	value   value
}

// target is who a message is for, with the flags.
type target struct {
	rooms, except []string
	volatile      bool
	timeout       time.Duration // 0: not said
}

// value is one JSON value, with attachments; data is nil for undefined.
type value struct {
	data        []byte
	attachments [][]byte
}

// decoder holds the limits. Its methods may be called concurrently, and keep
// nothing of their argument.
type decoder struct {
	maxMessage, maxDepth, maxAttachments, maxRooms int
}

func (o *Options) decoder() decoder {
	return decoder{o.MaxMessage, o.MaxDepth, o.MaxAttachments, o.MaxRooms}
}

// Around an event are at most so many arrays and maps, and a list of sockets
// may have more attachments than an event.
const (
	depthAround      = 8
	attachmentsFound = 1000
)

// text turns a message that is JSON or msgpack into checked JSON. JSON begins
// with what no msgpack array or map begins with.
func (d decoder) text(b []byte) ([]byte, [][]byte, error) {
	if len(b) > d.maxMessage {
		return nil, nil, fmt.Errorf("%w: %d bytes, %d are allowed", ErrLimit, len(b), d.maxMessage)
	}
	if len(b) > 0 && (b[0] == '{' || b[0] == '[') {
		if err := packet.Check(b, d.maxDepth+depthAround, 0); err != nil {
			return nil, nil, foreign(err)
		}
		return b, nil, nil
	}
	text, attachments, err := packet.DecodeValue(b, packet.Limits{
		MaxBytes: d.maxMessage, MaxDepth: d.maxDepth + depthAround, MaxAttachments: max(attachmentsFound, d.maxAttachments),
	})
	return text, attachments, foreign(err)
}

// foreign makes an error of package packet one of this package.
func foreign(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, packet.ErrLimit):
		return fmt.Errorf("%w: %w", ErrLimit, err)
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// fill reads checked JSON into v.
func fill(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		if errors.Is(err, ErrLimit) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// event makes an event of a JSON array in a message with the attachments.
func (d decoder) event(data json.RawMessage, attachments [][]byte) (adapter.Event, error) {
	if len(attachments) > d.maxAttachments {
		return adapter.Event{}, fmt.Errorf("%w: %d attachments, %d are allowed", ErrLimit, len(attachments), d.maxAttachments)
	}
	if err := packet.Check(data, d.maxDepth, len(attachments)); err != nil {
		return adapter.Event{}, foreign(err)
	}
	p := packet.Packet{Type: packet.Event, Data: data}
	name, err := p.EventName()
	if err != nil {
		return adapter.Event{}, foreign(err)
	}
	own := append(make([]byte, 0, len(data)), data...)
	return adapter.Event{Name: name, Data: own, Attachments: attachments}, nil
}

// value makes a value of JSON in a message with the attachments. Without any,
// undefined is told from null.
func (d decoder) value(data json.RawMessage, attachments [][]byte) (value, error) {
	if data == nil {
		return value{}, nil
	}
	if len(attachments) > d.maxAttachments {
		return value{}, fmt.Errorf("%w: %d attachments, %d are allowed", ErrLimit, len(attachments), d.maxAttachments)
	}
	if err := packet.Check(data, d.maxDepth, len(attachments)); err != nil {
		return value{}, foreign(err)
	}
	return value{append(make([]byte, 0, len(data)), data...), attachments}, nil
}

// maxID bounds the ids of requests, nodes and sockets in bytes.
const maxID = 256

func (d decoder) ids(ids ...string) error {
	for _, id := range ids {
		if len(id) > maxID {
			return fmt.Errorf("%w: an id of %d bytes", ErrLimit, len(id))
		}
	}
	return nil
}

// roomNames reads a list of rooms: strings, and numbers, which Node takes for
// names too. null is the empty list.
type roomNames []string

func (r *roomNames) UnmarshalJSON(b []byte) error {
	*r = nil
	if string(b) == "null" {
		return nil
	}
	if len(b) == 0 || b[0] != '[' {
		return errors.New("rooms are no list")
	}
	for raw := range packet.Elements(b) {
		name, err := roomName(raw)
		if err != nil {
			return err
		}
		*r = append(*r, name)
	}
	return nil
}

func roomName(raw []byte) (string, error) {
	switch {
	case len(raw) > 0 && raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'):
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return "", err
		}
		return jsNumber(f), nil
	}
	return "", errors.New("a room is neither text nor number")
}

// jsNumber is a number as JavaScript writes it (ECMAScript, Number::toString).
func jsNumber(f float64) string {
	switch {
	case f == 0:
		return "0"
	case f >= 1e21 || f <= -1e21 || f > -1e-6 && f < 1e-6:
		s := strconv.FormatFloat(f, 'e', -1, 64)
		mantissa, exp, _ := strings.Cut(s, "e")
		sign, digits := exp[:1], strings.TrimLeft(exp[1:], "0")
		return mantissa + "e" + sign + digits
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// wireOpts are the options of a broadcast or request. flags that are false or
// null are not set.
type wireOpts struct {
	Rooms  roomNames                  `json:"rooms"`
	Except roomNames                  `json:"except"`
	Flags  map[string]json.RawMessage `json:"flags"`
}

func (d decoder) target(o *wireOpts) (target, error) {
	if o == nil {
		return target{}, nil
	}
	if err := d.few(o.Rooms, o.Except); err != nil {
		return target{}, err
	}
	t := target{rooms: o.Rooms, except: o.Except}
	switch string(o.Flags["volatile"]) {
	case "", "false", "null", "0", `""`:
	default:
		t.volatile = true
	}
	if ms, err := strconv.ParseFloat(string(o.Flags["timeout"]), 64); err == nil && ms > 0 {
		t.timeout = time.Duration(min(ms, float64(24*time.Hour/time.Millisecond)) * float64(time.Millisecond))
	}
	return t, nil
}

func (d decoder) few(lists ...roomNames) error {
	for _, l := range lists {
		if len(l) > d.maxRooms {
			return fmt.Errorf("%w: %d rooms, %d are allowed", ErrLimit, len(l), d.maxRooms)
		}
	}
	return nil
}

// wireSocket is a socket in an answer to a fetch.
type wireSocket struct {
	ID        string          `json:"id"`
	Handshake json.RawMessage `json:"handshake"`
	Rooms     roomNames       `json:"rooms"`
	Data      json.RawMessage `json:"data"`
}

// socketsOf reads the sockets of an answer. Binary in their data becomes what
// JSON.stringify makes of a Buffer.
func (d decoder) socketsOf(list []wireSocket, attachments [][]byte, uid string) ([]adapter.SocketInfo, error) {
	out := make([]adapter.SocketInfo, 0, len(list))
	for _, s := range list {
		if err := d.few(s.Rooms); err != nil {
			return nil, err
		}
		if len(s.ID) == 0 || len(s.ID) > maxID {
			return nil, fmt.Errorf("%w: id of a socket", ErrMalformed)
		}
		info := adapter.SocketInfo{
			ID: s.ID, Node: uid, Rooms: s.Rooms,
			Handshake: stringified(s.Handshake, attachments), Data: stringified(s.Data, attachments),
		}
		for _, part := range [][]byte{info.Handshake, info.Data} {
			if err := packet.Check(part, d.maxDepth, 0); err != nil {
				return nil, foreign(err)
			}
		}
		out = append(out, info)
	}
	return out, nil
}

// stringified is JSON without attachments: binary as JSON.stringify writes a
// Buffer. Nothing there is an empty object.
func stringified(data json.RawMessage, attachments [][]byte) []byte {
	if len(data) == 0 || string(data) == "null" {
		return []byte("{}")
	}
	if len(attachments) == 0 {
		return append([]byte(nil), data...)
	}
	return packet.AppendReplaced(nil, data, func(dst []byte, num int) []byte {
		if num >= len(attachments) {
			return append(dst, "null"...)
		}
		dst = append(dst, `{"type":"Buffer","data":[`...)
		for i, c := range attachments[num] {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendUint(dst, uint64(c), 10)
		}
		return append(dst, "]}"...)
	})
}

// first is the first element of an array of ack arguments, with the
// attachments that it refers to, in its order: what Node servers tell each
// other of an acknowledgement.
func first(args []byte, attachments [][]byte) value {
	for e := range packet.Elements(args) {
		v := value{data: e}
		if len(attachments) == 0 {
			return v
		}
		v.data = packet.AppendReplaced(nil, e, func(dst []byte, num int) []byte {
			if num >= len(attachments) {
				return append(dst, "null"...)
			}
			dst = append(dst, `{"_placeholder":true,"num":`...)
			dst = strconv.AppendInt(dst, int64(len(v.attachments)), 10)
			v.attachments = append(v.attachments, attachments[num])
			return append(dst, '}')
		})
		return v
	}
	return value{}
}
