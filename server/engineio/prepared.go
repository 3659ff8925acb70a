package engineio

import (
	"encoding/base64"
	"encoding/binary"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Prepared is one message for any number of sessions, made by
// [Session.Prepare]: a text, a text with its binary attachments, or one or more
// binaries. It is immutable and holds its bytes once, as the WebSocket frames
// that carry them; polling takes its packets from the same memory.
type Prepared struct {
	wire []byte // all frames, back to back
	// The Engine.IO packets within wire; none in a WebSocket control frame.
	first Packet
	more  []Packet
	count int
	// revision is 3 or 4 when the frames differ by revision, else 0.
	revision byte

	// For WebSocket clients of revision 3 that asked for base64: made on first
	// use.
	b64Once sync.Once
	b64     []byte
}

// Packets that every session sends.
var (
	packetClose = preparePacket(TypeClose, nil)
	packetPing  = preparePacket(TypePing, nil)
	packetPong  = preparePacket(TypePong, nil)
	packetNoop  = preparePacket(TypeNoop, nil)
	packetProbe = preparePacket(TypePong, []byte("probe"))
)

// prepare makes a message of an Engine.IO text (nil: none) and binaries.
func prepare(revision byte, text []byte, bins [][]byte) *Prepared {
	size := 0
	if text != nil {
		if !utf8.Valid(text) {
			// One such frame would end every recipient's connection.
			text = []byte(string([]rune(string(text))))
		}
		size += ws.MaxHeaderSize + 1 + len(text)
	}
	for _, b := range bins {
		size += ws.MaxHeaderSize + 1 + len(b)
	}
	p := &Prepared{wire: make([]byte, 0, size)}
	if len(bins) > 0 {
		p.revision = revision
	}
	if text != nil {
		p.wire = appendHeader(p.wire, ws.OpText, len(text)+1)
		p.wire = append(p.wire, '0'+TypeMessage)
		p.wire = append(p.wire, text...)
		p.add(Packet{Type: TypeMessage, Data: p.tail(len(text))})
	}
	for _, b := range bins {
		if revision == 3 {
			// engine.io-protocol v3, "Packet": binary carries its type as a byte.
			p.wire = appendHeader(p.wire, ws.OpBinary, len(b)+1)
			p.wire = append(p.wire, TypeMessage)
		} else {
			p.wire = appendHeader(p.wire, ws.OpBinary, len(b))
		}
		p.wire = append(p.wire, b...)
		p.add(Packet{Type: TypeMessage, Binary: true, Data: p.tail(len(b))})
	}
	return p
}

// preparePacket makes a message of one text packet of any type.
func preparePacket(typ byte, data []byte) *Prepared {
	p := &Prepared{}
	p.wire = appendHeader(nil, ws.OpText, len(data)+1)
	p.wire = append(p.wire, '0'+typ)
	p.wire = append(p.wire, data...)
	p.add(Packet{Type: typ, Data: p.tail(len(data))})
	return p
}

// prepareControl makes a WebSocket control frame.
func prepareControl(op ws.OpCode, payload []byte) *Prepared {
	return &Prepared{wire: append(appendHeader(nil, op, len(payload)), payload...)}
}

func (p *Prepared) tail(n int) []byte { return p.wire[len(p.wire)-n : len(p.wire) : len(p.wire)] }

func (p *Prepared) add(k Packet) {
	if p.count == 0 {
		p.first = k
	} else {
		p.more = append(p.more, k)
	}
	p.count++
}

// appendPackets appends the packets to dst.
func (p *Prepared) appendPackets(dst []Packet) []Packet {
	if p.count == 0 {
		return dst
	}
	return append(append(dst, p.first), p.more...)
}

// bytes is what goes to a WebSocket.
func (p *Prepared) bytes(b64 bool) []byte {
	if !b64 || p.revision != 3 {
		return p.wire
	}
	p.b64Once.Do(func() {
		for _, k := range p.appendPackets(nil) {
			if !k.Binary {
				p.b64 = appendHeader(p.b64, ws.OpText, len(k.Data)+1)
				p.b64 = append(append(p.b64, '0'+k.Type), k.Data...)
				continue
			}
			p.b64 = appendHeader(p.b64, ws.OpText, 2+base64.StdEncoding.EncodedLen(len(k.Data)))
			p.b64 = append(p.b64, 'b', '0'+k.Type)
			p.b64 = base64.StdEncoding.AppendEncode(p.b64, k.Data)
		}
	})
	return p.b64
}

// payloadSize is at least what the message adds to a polling payload.
func (p *Prepared) payloadSize() int {
	const perPacket = 12 // separator or length
	n := len(p.wire) + perPacket*p.count
	if p.revision != 0 {
		n += n / 3 // base64
	}
	return n
}

// appendHeader appends the header of a final, unmasked frame (RFC 6455, 5.2).
func appendHeader(dst []byte, op ws.OpCode, n int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case n <= 125:
		return append(dst, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
}
