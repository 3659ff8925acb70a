package official

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// Types of messages of the sharded adapter (socket.io-adapter 2.5,
// MessageType). 1, 2 and 13 belong to adapters with heartbeats.
const (
	shardedBroadcast = 3 + iota
	shardedJoin
	shardedLeave
	shardedDisconnect
	shardedFetch
	shardedSockets
	shardedServerEvent
	shardedAnswer
	shardedCount
	shardedAck
)

// shardedMessage is every message: requests and responses differ in the
// channel only.
type shardedMessage struct {
	Type int    `json:"type"`
	UID  string `json:"uid"`
	NSP  string `json:"nsp"`
	Data struct {
		RequestID string          `json:"requestId"`
		Packet    json.RawMessage `json:"packet"`
		Opts      *wireOpts       `json:"opts"`
		Rooms     roomNames       `json:"rooms"`
		Close     bool            `json:"close"`
		Sockets   []wireSocket    `json:"sockets"`
		Count     *int            `json:"clientCount"`
		Fellow    bool            `json:"fellow"`
	} `json:"data"`
}

// sharded reads what comes on any channel of the sharded adapter.
func (d decoder) sharded(b []byte) (*message, error) {
	var w shardedMessage
	text, attachments, err := d.text(b)
	if err == nil {
		err = fill(text, &w)
	}
	var m *message
	if err == nil {
		m, err = d.shardedMessage(&w, attachments)
	}
	if err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	return m, nil
}

func (d decoder) shardedMessage(w *shardedMessage, attachments [][]byte) (m *message, err error) {
	in := &w.Data
	m = &message{uid: w.UID, namespace: w.NSP, id: in.RequestID, close: in.Close, rooms: in.Rooms, fellow: in.Fellow}
	if err := d.ids(m.uid, m.id); err != nil {
		return nil, err
	}
	if m.uid == "" {
		return nil, fmt.Errorf("%w: a message from nobody", ErrMalformed)
	}
	if err := d.few(in.Rooms); err != nil {
		return nil, err
	}
	if m.to, err = d.target(in.Opts); err != nil {
		return nil, err
	}
	wantsOpts, wantsID := false, false
	switch w.Type {
	case shardedBroadcast:
		m.kind, wantsOpts = kindBroadcast, true
		var p *wirePacket
		if err = fill(orNull(in.Packet), &p); err == nil {
			err = p.check()
		}
		if err == nil {
			m.event, err = d.event(p.Data, attachments)
		}
	case shardedJoin, shardedLeave, shardedDisconnect:
		m.kind, wantsOpts = kindJoin+kind(w.Type-shardedJoin), true
	case shardedFetch:
		m.kind, wantsOpts, wantsID = kindFetch, true, true
	case shardedSockets:
		m.kind, wantsID = kindSockets, true
		m.sockets, err = d.socketsOf(in.Sockets, attachments, m.uid)
	case shardedServerEvent:
		m.kind = kindServerEvent
		m.event, err = d.event(in.Packet, attachments)
	case shardedAnswer, shardedAck:
		m.kind, wantsID = kindAnswer, true
		if w.Type == shardedAck {
			m.kind = kindAck
		}
		m.value, err = d.value(in.Packet, attachments)
	case shardedCount:
		m.kind, wantsID = kindCount, true
		if in.Count == nil || *in.Count < 0 {
			return nil, fmt.Errorf("%w: no count", ErrMalformed)
		}
		m.count = *in.Count
	default:
		err = fmt.Errorf("%w: type %d", ErrMalformed, w.Type)
	}
	switch {
	case err != nil:
		return nil, err
	case wantsID && m.id == "":
		return nil, fmt.Errorf("%w: no id", ErrMalformed)
	case wantsOpts && in.Opts == nil:
		return nil, fmt.Errorf("%w: no options", ErrMalformed)
	}
	return m, nil
}

// appendSharded writes a message: JSON, or msgpack when it holds binary. The
// keys have Node's order.
func appendSharded(dst []byte, m *message) ([]byte, error) {
	text := make([]byte, 0, len(m.event.Data)+len(m.value.data)+192)
	begin := func(t int) {
		text = append(text, `{"type":`...)
		text = strconv.AppendInt(text, int64(t), 10)
		text = append(text, `,"data":{`...)
	}
	fresh := true
	key := func(name string) {
		if !fresh {
			text = append(text, ',')
		}
		fresh = false
		text = append(text, '"')
		text = append(text, name...)
		text = append(text, '"', ':')
	}
	id := func() {
		if m.id != "" {
			key("requestId")
			text = packet.AppendString(text, m.id)
		}
	}
	opts := func() {
		key("opts")
		text = appendOpts(text, &m.to, true)
	}
	given := func(v []byte) {
		if v != nil {
			key("packet")
			text = append(text, v...)
		}
	}
	var attachments [][]byte
	switch m.kind {
	case kindBroadcast:
		begin(shardedBroadcast)
		key("packet")
		text = appendPacket(text, m, false)
		id()
		opts()
		attachments = m.event.Attachments
	case kindJoin, kindLeave:
		begin(shardedJoin + int(m.kind-kindJoin))
		opts()
		key("rooms")
		text = appendNames(text, m.rooms)
	case kindDisconnect:
		begin(shardedDisconnect)
		opts()
		key("close")
		text = strconv.AppendBool(text, m.close)
	case kindFetch:
		begin(shardedFetch)
		opts()
		id()
	case kindSockets:
		begin(shardedSockets)
		id()
		key("sockets")
		text = appendSockets(text, m.sockets)
	case kindServerEvent:
		begin(shardedServerEvent)
		id()
		given(m.event.Data)
		attachments = m.event.Attachments
	case kindAnswer, kindAck:
		if m.kind == kindAnswer {
			begin(shardedAnswer)
		} else {
			begin(shardedAck)
		}
		id()
		given(m.value.data)
		attachments = m.value.attachments
	case kindCount:
		begin(shardedCount)
		id()
		key("clientCount")
		text = strconv.AppendInt(text, int64(m.count), 10)
	default:
		return dst, fmt.Errorf("encode message: %w: kind %d", ErrMalformed, m.kind)
	}
	if m.fellow {
		key("fellow")
		text = append(text, "true"...)
	}
	text = append(text, `},"uid":`...)
	text = packet.AppendString(text, m.uid)
	text = append(text, `,"nsp":`...)
	text = packet.AppendString(text, m.namespace)
	text = append(text, '}')
	if len(attachments) > 0 {
		return packet.AppendValue(dst, text, attachments)
	}
	return append(dst, text...), nil
}

// appendSockets writes what a Node server makes remote sockets of.
func appendSockets(dst []byte, sockets []adapter.SocketInfo) []byte {
	dst = append(dst, '[')
	for i, s := range sockets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = packet.AppendString(dst, s.ID)
		dst = append(dst, `,"handshake":`...)
		dst = append(dst, stringified(s.Handshake, nil)...)
		dst = append(dst, `,"rooms":`...)
		dst = appendNames(dst, s.Rooms)
		dst = append(dst, `,"data":`...)
		dst = append(dst, stringified(s.Data, nil)...)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}
