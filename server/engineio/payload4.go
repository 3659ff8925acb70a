package engineio

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// separator stands between the packets of a revision 4 payload: ASCII 30, the
// record separator (engine.io-protocol v4, "HTTP long-polling"). JSON text
// never holds it unescaped.
const separator = 0x1e

// AppendPayload4 appends ps as one revision 4 payload to dst. Binary packets
// become 'b' and base64, without a type digit, since only messages can be
// binary. It allocates only to grow dst.
//
// Text that holds the byte 0x1e cannot be told from two packets; Socket.IO
// never writes it.
func AppendPayload4(dst []byte, ps []Packet) []byte {
	for i, p := range ps {
		if i > 0 {
			dst = append(dst, separator)
		}
		if p.Binary {
			dst = append(dst, 'b')
			dst = base64.StdEncoding.AppendEncode(dst, p.Data)
			continue
		}
		dst = append(dst, '0'+p.Type)
		dst = append(dst, p.Data...)
	}
	return dst
}

// DecodePayload4 splits a revision 4 payload. It refuses an empty payload, an
// empty packet, an unknown type, bad base64, text that is not UTF-8 and more
// than maxPackets packets (0 or less: no limit).
//
// Data of text packets are slices of b; binary data are copies.
func DecodePayload4(b []byte, maxPackets int) ([]Packet, error) {
	n := bytes.Count(b, []byte{separator}) + 1
	if maxPackets > 0 && n > maxPackets {
		return nil, tooMany(maxPackets)
	}
	// Bytes that are not UTF-8 would be relayed to WebSocket clients, which
	// must drop the connection for them.
	if !utf8.Valid(b) {
		return nil, malformed("text that is not UTF-8", 0)
	}
	ps := make([]Packet, 0, n)
	for at := 0; at <= len(b); {
		raw := b[at:]
		if i := bytes.IndexByte(raw, separator); i >= 0 {
			raw = raw[:i:i]
		}
		switch {
		case len(raw) == 0:
			return nil, malformed("empty packet", at)
		case raw[0] == 'b':
			data, err := decodeBase64(raw[1:])
			if err != nil {
				return nil, malformed("bad base64", at)
			}
			ps = append(ps, Packet{Type: TypeMessage, Binary: true, Data: data})
		case raw[0] < '0' || raw[0] > '6':
			return nil, malformed("unknown packet type", at)
		default:
			ps = append(ps, Packet{Type: raw[0] - '0', Data: raw[1:]})
		}
		at += len(raw) + 1
	}
	return ps, nil
}
