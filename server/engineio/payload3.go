package engineio

import (
	"encoding/base64"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Octet framing of revision 3 (engine.io-protocol v3, "Payload"): a kind byte,
// the length as one byte per decimal digit, octetEnd, the packet.
const (
	octetText   = 0x00
	octetBinary = 0x01
	octetEnd    = 0xff
)

// maxLengthDigits is how many digits of a packet's length are read: more than
// any body that the server takes can need, and too few to overflow an int.
const maxLengthDigits = 10

// AppendPayload3 appends ps as one revision 3 payload to dst and says whether
// it is made of octets (application/octet-stream) or is text. It is octets when
// a packet is binary and the client did not ask for base64 (b64, which JSONP
// implies).
//
// Lengths count UTF-16 code units in text and bytes in octets
// (engine.io-protocol v3, "Payload").
//
// In text payloads, the characters beyond ASCII inside the JSON strings of a
// Socket.IO packet are written as \uXXXX: Socket.IO 1.x decodes a text payload
// twice from UTF-8 and drops the connection otherwise, and to JSON both
// spellings are the same. What is a Socket.IO packet is told from the message
// itself: a type digit, optionally attachments, namespace and ack id, then
// JSON. All else goes out as it is: an Engine.IO application's own text, and
// characters outside JSON strings, such as a namespace's. Octets are decoded
// once by every client, and so are left as they are.
func AppendPayload3(dst []byte, ps []Packet, b64 bool) (out []byte, octets bool) {
	if !b64 && slices.ContainsFunc(ps, func(p Packet) bool { return p.Binary }) {
		for _, p := range ps {
			dst = appendOctets3(dst, p)
		}
		return dst, true
	}
	if len(ps) == 0 {
		return append(dst, "0:"...), false
	}
	for _, p := range ps {
		dst = appendText3(dst, p)
	}
	return dst, false
}

// appendOctets3 appends one packet with octet framing.
func appendOctets3(dst []byte, p Packet) []byte {
	kind, digit := byte(octetText), '0'+p.Type
	if p.Binary {
		kind, digit = octetBinary, p.Type
	}
	dst = append(dst, kind)
	start := len(dst)
	dst = strconv.AppendInt(dst, int64(len(p.Data)+1), 10)
	for i := start; i < len(dst); i++ {
		dst[i] -= '0'
	}
	dst = append(dst, octetEnd, digit)
	return append(dst, p.Data...)
}

// appendText3 appends one packet with text framing.
func appendText3(dst []byte, p Packet) []byte {
	if p.Binary {
		dst = strconv.AppendInt(dst, int64(2+base64.StdEncoding.EncodedLen(len(p.Data))), 10)
		dst = append(dst, ':', 'b', '0'+p.Type)
		return base64.StdEncoding.AppendEncode(dst, p.Data)
	}
	if isASCII(p.Data) {
		dst = strconv.AppendInt(dst, int64(1+len(p.Data)), 10)
		dst = append(dst, ':', '0'+p.Type)
		return append(dst, p.Data...)
	}
	// The length is known only after escaping: write the packet, then make
	// room before it.
	start := len(dst)
	dst = append(dst, '0'+p.Type)
	if p.Type == TypeMessage {
		dst = appendEscaped(dst, p.Data)
	} else {
		dst = append(dst, p.Data...)
	}
	var head [maxLengthDigits + 10]byte
	h := strconv.AppendInt(head[:0], int64(utf16Len(dst[start:])), 10)
	return slices.Insert(dst, start, append(h, ':')...)
}

// DecodePayload3 splits a revision 3 payload, octets or text. It refuses
// lengths that do not fit, empty packets, unknown types, bad base64, text that
// is not UTF-8 and more than maxPackets packets (0 or less: no limit). A text
// packet of length 0 is skipped: that is how an empty payload is written.
//
// dec is the session's memory of how its client encodes text, nil to take text
// as it comes; it is used by one call at a time.
//
// Data of packets are slices of b, except base64 and text that was decoded
// twice.
func DecodePayload3(b []byte, octets bool, maxPackets int, dec *UTF8Twice) ([]Packet, error) {
	if len(b) == 0 {
		return nil, malformed("empty payload", 0)
	}
	var ps []Packet
	for at := 0; at < len(b); {
		var p Packet
		var skip bool
		var next int
		var err error
		if octets {
			p, next, err = decodeOctets3(b, at)
		} else {
			p, skip, next, err = decodeText3(b, at, dec)
		}
		if err != nil {
			return nil, err
		}
		at = next
		if skip {
			continue
		}
		if maxPackets > 0 && len(ps) == maxPackets {
			return nil, tooMany(maxPackets)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// decodeOctets3 reads the packet that starts at byte at and returns where the
// next one starts.
func decodeOctets3(b []byte, at int) (p Packet, next int, err error) {
	kind := b[at]
	if kind > octetBinary {
		return p, 0, malformed("unknown kind of packet", at)
	}
	n, i := 0, at+1
	for ; i < len(b) && b[i] <= 9; i++ {
		if i-at > maxLengthDigits {
			return p, 0, malformed("length too long", at)
		}
		n = 10*n + int(b[i])
	}
	if i == at+1 || i >= len(b) || b[i] != octetEnd {
		return p, 0, malformed("bad length", at)
	}
	i++
	if n == 0 || n > len(b)-i {
		return p, 0, malformed("wrong length", at)
	}
	next = i + n
	raw := b[i:next:next]
	if kind == octetBinary {
		if raw[0] > TypeNoop {
			return p, 0, malformed("unknown packet type", i)
		}
		return Packet{Type: raw[0], Binary: true, Data: raw[1:]}, next, nil
	}
	if !utf8.Valid(raw) {
		return p, 0, malformed("text that is not UTF-8", i)
	}
	p, err = decodePacket3(raw, i)
	return p, next, err
}

// decodeText3 reads the packet that starts at byte at and returns where the
// next one starts.
func decodeText3(b []byte, at int, dec *UTF8Twice) (p Packet, skip bool, next int, err error) {
	n, i := 0, at
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
		if i-at == maxLengthDigits {
			return p, false, 0, malformed("length too long", at)
		}
		n = 10*n + int(b[i]-'0')
	}
	if i == at || i >= len(b) || b[i] != ':' {
		return p, false, 0, malformed("bad length", at)
	}
	i++
	if n == 0 {
		return p, true, i, nil
	}
	size, top, ok := takeUTF16(b[i:], n)
	if !ok {
		return p, false, 0, malformed("wrong length or text that is not UTF-8", at)
	}
	next = i + size
	raw := b[i:next:next]
	if dec != nil && top >= utf8.RuneSelf {
		raw = dec.decode(raw, top)
	}
	p, err = decodePacket3(raw, i)
	return p, false, next, err
}

// decodePacket3 reads a packet in text form; at is its place in the payload.
func decodePacket3(raw []byte, at int) (Packet, error) {
	if raw[0] == 'b' {
		if len(raw) < 2 || raw[1] < '0' || raw[1] > '6' {
			return Packet{}, malformed("unknown packet type", at)
		}
		data, err := decodeBase64(raw[2:])
		if err != nil {
			return Packet{}, malformed("bad base64", at)
		}
		return Packet{Type: raw[1] - '0', Binary: true, Data: data}, nil
	}
	if raw[0] < '0' || raw[0] > '6' {
		return Packet{}, malformed("unknown packet type", at)
	}
	return Packet{Type: raw[0] - '0', Data: raw[1:]}, nil
}
