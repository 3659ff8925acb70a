package socketio

import (
	"bytes"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// frame encodes a packet in the client's parser.
func (c *Client) frame(p *packet.Packet) (any, error) {
	if c.msgpack {
		b, err := packet.AppendMsgpack(nil, p)
		if err != nil {
			return nil, err
		}
		return c.conn.Prepare(nil, [][]byte{b}), nil
	}
	text := packet.AppendText(make([]byte, 0, len(p.Data)+len(p.Namespace)+24), p)
	return c.conn.Prepare(text, p.Attachments), nil
}

// eventFrame encodes an event. ackID 0 asks for no acknowledgement; offset nil
// appends none.
func (c *Client) eventFrame(ns *Namespace, e adapter.Event, ackID uint64, offset *adapter.Position) (any, error) {
	p := packet.Packet{
		Type:        packet.Event,
		Namespace:   ns.name,
		ID:          ackID,
		HasID:       ackID != 0,
		Data:        e.Data,
		Attachments: e.Attachments,
	}
	if offset != nil {
		p.Data = appendOffset(e.Data, *offset, ns.server.lanes)
	}
	return c.frame(&p)
}

// appendOffset copies an event's array with the offset as its last element.
func appendOffset(data []byte, at adapter.Position, lanes int) []byte {
	data = bytes.TrimRight(data, " \t\r\n")
	out := make([]byte, 0, len(data)+56)
	out = append(out, data[:len(data)-1]...)
	out = append(out, ',', '"')
	out = at.AppendOffset(out, lanes)
	return append(out, '"', ']')
}
