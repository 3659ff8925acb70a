package official

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/antchat/antchat/server/socketio/packet"
)

// Types of requests and responses of the classic adapter
// (@socket.io/redis-adapter 8.3.0, RequestType).
const (
	classicIDs = iota
	classicRooms
	classicJoin
	classicLeave
	classicDisconnect
	classicFetch
	classicServerEvent
	classicBroadcast
	classicCount
	classicAck
)

// wirePacket is a Socket.IO packet among servers: an event, with binary values
// inline. Emitters of old write type 5 for those.
type wirePacket struct {
	Type int             `json:"type"`
	Data json.RawMessage `json:"data"`
	NSP  *string         `json:"nsp"`
}

func (p *wirePacket) check() error {
	if p == nil || p.Type != int(packet.Event) && p.Type != int(packet.BinaryEvent) {
		return fmt.Errorf("%w: no event", ErrMalformed)
	}
	return nil
}

// broadcast reads what comes on the channels of broadcasts: the array of uid,
// packet and options.
func (d decoder) broadcast(b []byte) (*message, error) {
	text, attachments, err := d.text(b)
	if err != nil {
		return nil, fmt.Errorf("decode broadcast: %w", err)
	}
	m, err := d.broadcastText(text, attachments)
	if err != nil {
		return nil, fmt.Errorf("decode broadcast: %w", err)
	}
	return m, nil
}

func (d decoder) broadcastText(text []byte, attachments [][]byte) (*message, error) {
	parts, err := packet.Args(text)
	if err != nil || len(parts) < 2 || text[0] != '[' {
		return nil, fmt.Errorf("%w: no array of uid, packet, options", ErrMalformed)
	}
	m := &message{kind: kindBroadcast}
	var p *wirePacket
	var opts wireOpts
	if err := fill(parts[0], &m.uid); err != nil {
		return nil, err
	}
	if err := fill(parts[1], &p); err != nil {
		return nil, err
	}
	if len(parts) > 2 {
		if err := fill(parts[2], &opts); err != nil {
			return nil, err
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if m.namespace = "/"; p.NSP != nil {
		m.namespace = *p.NSP
	}
	if m.event, err = d.event(p.Data, attachments); err != nil {
		return nil, err
	}
	if m.to, err = d.target(&opts); err != nil {
		return nil, err
	}
	return m, d.ids(m.uid)
}

// appendBroadcast writes a broadcast for a classic adapter.
func appendBroadcast(dst []byte, m *message) ([]byte, error) {
	text := append(make([]byte, 0, len(m.event.Data)+128), '[')
	text = packet.AppendString(text, m.uid)
	text = append(text, ',')
	text = appendPacket(text, m, true)
	text = append(text, ',')
	text = appendOpts(text, &m.to, true)
	text = append(text, ']')
	return packet.AppendValue(dst, text, m.event.Attachments)
}

func appendPacket(dst []byte, m *message, namespace bool) []byte {
	dst = append(dst, `{"type":2,"data":`...)
	dst = append(dst, m.event.Data...)
	if namespace {
		dst = append(dst, `,"nsp":`...)
		dst = packet.AppendString(dst, m.namespace)
	}
	return append(dst, '}')
}

// appendOpts writes only flags that are set: some readers test for absence.
func appendOpts(dst []byte, t *target, flags bool) []byte {
	dst = append(dst, `{"rooms":`...)
	dst = appendNames(dst, t.rooms)
	dst = append(dst, `,"except":`...)
	dst = appendNames(dst, t.except)
	if flags {
		dst = append(dst, `,"flags":{`...)
		if t.volatile {
			dst = append(dst, `"volatile":true`...)
		}
		if t.timeout > 0 {
			if t.volatile {
				dst = append(dst, ',')
			}
			dst = append(dst, `"timeout":`...)
			dst = strconv.AppendInt(dst, max(1, t.timeout.Milliseconds()), 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendNames(dst []byte, names []string) []byte {
	dst = append(dst, '[')
	for i, n := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = packet.AppendString(dst, n)
	}
	return append(dst, ']')
}

// classicMessage is a request or response.
type classicMessage struct {
	Type      *int            `json:"type"`
	UID       string          `json:"uid"`
	RequestID string          `json:"requestId"`
	Opts      *wireOpts       `json:"opts"`
	Rooms     json.RawMessage `json:"rooms"`
	SID       string          `json:"sid"`
	Room      json.RawMessage `json:"room"`
	Close     bool            `json:"close"`
	Data      json.RawMessage `json:"data"`
	Packet    json.RawMessage `json:"packet"`
	Sockets   json.RawMessage `json:"sockets"`
	Count     *int            `json:"clientCount"`
	Fellow    bool            `json:"fellow"`
}

// request reads what comes on the channel of requests.
func (d decoder) request(b []byte) (*message, error) {
	var w classicMessage
	text, attachments, err := d.text(b)
	if err == nil {
		err = fill(text, &w)
	}
	var m *message
	if err == nil {
		m, err = d.classicRequest(&w, attachments)
	}
	if err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	return m, nil
}

func (d decoder) classicRequest(w *classicMessage, attachments [][]byte) (m *message, err error) {
	if w.Type == nil {
		return nil, fmt.Errorf("%w: a request without a type", ErrMalformed)
	}
	m = &message{uid: w.UID, id: w.RequestID, close: w.Close, sid: w.SID}
	if err := d.ids(m.uid, m.id, m.sid); err != nil {
		return nil, err
	}
	if m.to, err = d.target(w.Opts); err != nil {
		return nil, err
	}
	wantsID := true
	switch *w.Type {
	case classicIDs:
		m.kind = kindIDs
		m.to.rooms, err = d.rooms(w.Rooms)
	case classicRooms:
		m.kind = kindRooms
	case classicJoin, classicLeave, classicDisconnect:
		wantsID = false
		m.kind = kindJoin + kind(*w.Type-classicJoin)
		if w.Opts == nil && m.sid == "" {
			return nil, fmt.Errorf("%w: a request for nobody", ErrMalformed)
		}
		if w.Opts != nil {
			m.sid = ""
		}
		switch {
		case *w.Type == classicDisconnect:
		case m.sid != "":
			var name string
			if name, err = roomName(w.Room); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			m.rooms = []string{name}
		default:
			m.rooms, err = d.rooms(w.Rooms)
		}
	case classicFetch:
		m.kind = kindFetch
	case classicServerEvent:
		m.kind, wantsID = kindServerEvent, false
		m.event, err = d.event(w.Data, attachments)
	case classicBroadcast:
		m.kind = kindBroadcast
		var p *wirePacket
		if err = fill(orNull(w.Packet), &p); err == nil {
			err = p.check()
		}
		if err == nil {
			m.event, err = d.event(p.Data, attachments)
		}
		if err == nil && p.NSP != nil {
			m.namespace = *p.NSP
		}
	default:
		err = fmt.Errorf("%w: a request of type %d", ErrMalformed, *w.Type)
	}
	if err != nil {
		return nil, err
	}
	if wantsID && m.id == "" {
		return nil, fmt.Errorf("%w: a request without an id", ErrMalformed)
	}
	return m, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

func (d decoder) rooms(raw json.RawMessage) ([]string, error) {
	var names roomNames
	if err := fill(orNull(raw), &names); err != nil {
		return nil, err
	}
	return names, d.few(names)
}

// response reads what comes on the channels of responses: the answers to the
// requests that a bridge makes.
func (d decoder) response(b []byte) (*message, error) {
	var w classicMessage
	text, attachments, err := d.text(b)
	if err == nil {
		err = fill(text, &w)
	}
	var m *message
	if err == nil {
		m, err = d.classicResponse(&w, attachments)
	}
	if err != nil {
		return nil, fmt.Errorf("decode response: %w", err)
	}
	return m, nil
}

func (d decoder) classicResponse(w *classicMessage, attachments [][]byte) (m *message, err error) {
	m = &message{uid: w.UID, id: w.RequestID, fellow: w.Fellow}
	if m.id == "" {
		return nil, fmt.Errorf("%w: a response without an id", ErrMalformed)
	}
	if err := d.ids(m.uid, m.id); err != nil {
		return nil, err
	}
	number := -1
	if w.Type != nil {
		number = *w.Type
	}
	switch {
	case number == classicServerEvent:
		m.kind = kindAnswer
		m.value, err = d.value(w.Data, attachments)
	case number == classicCount:
		m.kind = kindCount
		if w.Count == nil || *w.Count < 0 {
			return nil, fmt.Errorf("%w: no count", ErrMalformed)
		}
		m.count = *w.Count
	case number == classicAck:
		m.kind = kindAck
		m.value, err = d.value(w.Packet, attachments)
	case w.Sockets != nil:
		var list []wireSocket
		if err = fill(w.Sockets, &list); err == nil {
			m.kind = kindSockets
			m.sockets, err = d.socketsOf(list, attachments, m.uid)
		}
	default:
		// The answer to what is never asked here.
		m.kind = kindDone
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// appendClassic writes a request or a response. The keys have Node's order.
func appendClassic(dst []byte, m *message) ([]byte, error) {
	text := append(make([]byte, 0, len(m.event.Data)+len(m.value.data)+128), '{')
	key := func(name string) {
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(text, '"')
		text = append(text, name...)
		text = append(text, '"', ':')
	}
	str := func(name, v string) {
		key(name)
		text = packet.AppendString(text, v)
	}
	number := func(name string, v int) {
		key(name)
		text = strconv.AppendInt(text, int64(v), 10)
	}
	head := func(t int) {
		str("uid", m.uid)
		if m.id != "" {
			str("requestId", m.id)
		}
		number("type", t)
	}
	opts := func() {
		key("opts")
		text = appendOpts(text, &m.to, false)
	}
	switch m.kind {
	case kindBroadcast:
		head(classicBroadcast)
		key("packet")
		text = appendPacket(text, m, true)
		key("opts")
		text = appendOpts(text, &m.to, true)
		text = append(text, '}')
		return packet.AppendValue(dst, text, m.event.Attachments)
	case kindAck:
		number("type", classicAck)
		str("requestId", m.id)
		if m.value.data != nil {
			key("packet")
			text = append(text, m.value.data...)
		}
		text = append(text, '}')
		return packet.AppendValue(dst, text, m.value.attachments)
	case kindJoin, kindLeave:
		head(classicJoin + int(m.kind-kindJoin))
		opts()
		key("rooms")
		text = appendNames(text, m.rooms)
	case kindDisconnect:
		head(classicDisconnect)
		opts()
		key("close")
		text = strconv.AppendBool(text, m.close)
	case kindRooms:
		head(classicRooms)
	case kindIDs:
		head(classicIDs)
		key("rooms")
		text = appendNames(text, m.to.rooms)
	case kindFetch:
		head(classicFetch)
		opts()
	case kindServerEvent:
		head(classicServerEvent)
		key("data")
		text = append(text, stringified(m.event.Data, m.event.Attachments)...)
	case kindSockets:
		str("requestId", m.id)
		key("sockets")
		text = appendSockets(text, m.sockets)
	case kindNames, kindIDList:
		str("requestId", m.id)
		key(map[kind]string{kindNames: "rooms", kindIDList: "sockets"}[m.kind])
		text = appendNames(text, m.names)
	case kindAnswer:
		number("type", classicServerEvent)
		str("requestId", m.id)
		if m.value.data != nil {
			key("data")
			text = append(text, stringified(m.value.data, m.value.attachments)...)
		}
	case kindCount:
		number("type", classicCount)
		str("requestId", m.id)
		number("clientCount", m.count)
	case kindDone:
		str("requestId", m.id)
	default:
		return dst, fmt.Errorf("encode message: %w: kind %d", ErrMalformed, m.kind)
	}
	if m.fellow {
		key("fellow")
		text = append(text, "true"...)
	}
	text = append(text, '}')
	return append(dst, text...), nil
}
