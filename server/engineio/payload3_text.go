package engineio

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// UTF8Twice remembers, for one revision 3 session, whether its client may be
// Socket.IO 1.x, which encodes the text of polling payloads twice in UTF-8 and
// says so nowhere. The zero value is a new session's. It is not safe for
// concurrent use.
//
// A text packet whose UTF-16 units are all at most 0xFF, and are UTF-8 when
// read as bytes, is decoded once more. Units above 0xFF, or units that are no
// UTF-8, cannot come from 1.x: from then on the session's text is taken as it
// comes. What remains wrong is a 2.x client whose first text beyond ASCII is
// something like "Ã©": that arrives as "é".
type UTF8Twice struct {
	once bool // the client is known to encode once
}

// decode returns raw, decoded once more if it was encoded twice. top is the
// largest character in raw.
func (d *UTF8Twice) decode(raw []byte, top rune) []byte {
	if d.once {
		return raw
	}
	if top > 0xff {
		d.once = true
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		out = append(out, byte(r))
		i += n
	}
	out, ok := repairSurrogates(out)
	if !ok {
		d.once = true
		return raw
	}
	return out
}

// repairSurrogates reports whether b is UTF-8, and replaces, in place, lone
// surrogates by U+FFFD: 1.x lets them through.
func repairSurrogates(b []byte) ([]byte, bool) {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r != utf8.RuneError || n > 1 {
			i += n
			continue
		}
		// ED A0..BF xx: U+D800 to U+DFFF, as many bytes as U+FFFD has.
		if len(b)-i < 3 || b[i] != 0xed || b[i+1]&0xe0 != 0xa0 || b[i+2]&0xc0 != 0x80 {
			return nil, false
		}
		i += copy(b[i:], "\uFFFD")
	}
	return b, true
}

// takeUTF16 says how many bytes of b the next n UTF-16 units are, and what the
// largest character among them is. ok is false when b ends before, a character
// outside the first plane would be cut, or b is not UTF-8.
func takeUTF16(b []byte, n int) (size int, top rune, ok bool) {
	for n > 0 {
		// ASCII, eight at a time.
		for n >= 8 && len(b)-size >= 8 && binary.LittleEndian.Uint64(b[size:])&highBits == 0 {
			size += 8
			n -= 8
		}
		if n == 0 {
			break
		}
		if size >= len(b) {
			return 0, 0, false
		}
		if b[size] < utf8.RuneSelf {
			size++
			n--
			continue
		}
		r, w := utf8.DecodeRune(b[size:])
		if r == utf8.RuneError && w <= 1 {
			return 0, 0, false
		}
		size += w
		n -= utf16.RuneLen(r)
		top = max(top, r)
	}
	return size, top, n == 0
}

// utf16Len is the number of UTF-16 code units of b.
func utf16Len(b []byte) int {
	n := 0
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			n++
			continue
		}
		r, w := utf8.DecodeRune(b[i:])
		i += w
		n += utf16.RuneLen(r)
	}
	return n
}

// highBits is set in a byte of eight when it is not ASCII.
const highBits = 0x8080808080808080

// isASCII reports whether every byte of b is below 0x80.
func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&highBits != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendEscaped appends a message's text, with \uXXXX for the characters beyond
// ASCII in the JSON strings of a Socket.IO packet, and unchanged when it is
// not such a packet.
func appendEscaped(dst, msg []byte) []byte {
	i, ok := socketIOBody(msg)
	if !ok {
		return append(dst, msg...)
	}
	start := len(dst)
	dst = append(dst, msg[:i]...)
	inString := false
	for i < len(msg) {
		c := msg[i]
		if c < utf8.RuneSelf {
			if c == '"' {
				inString = !inString
			}
			dst = append(dst, c)
			i++
			if c == '\\' && inString && i < len(msg) && msg[i] < utf8.RuneSelf {
				dst = append(dst, msg[i])
				i++
			}
			continue
		}
		r, w := utf8.DecodeRune(msg[i:])
		if !inString || (r == utf8.RuneError && w == 1) {
			// JSON has only ASCII outside strings: this only looked like it.
			return append(dst[:start], msg...)
		}
		i += w
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			dst = appendUnit(dst, hi)
			r = lo
		}
		dst = appendUnit(dst, r)
	}
	if inString {
		return append(dst[:start], msg...)
	}
	return dst
}

// appendUnit appends a UTF-16 unit as a JSON escape.
func appendUnit(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// socketIOBody finds where the JSON of a Socket.IO packet starts
// (socket.io-protocol v4, "Packet encoding"): type, attachments and '-',
// namespace and ',', ack id, JSON. ok is false when msg is nothing like it.
func socketIOBody(msg []byte) (i int, ok bool) {
	if len(msg) < 3 || msg[0] < '0' || msg[0] > '6' {
		return 0, false
	}
	digits := func(i int) int {
		for i < len(msg) && '0' <= msg[i] && msg[i] <= '9' {
			i++
		}
		return i
	}
	i = 1
	if msg[0] == '5' || msg[0] == '6' {
		i = digits(i)
		if i == 1 || i == len(msg) || msg[i] != '-' {
			return 0, false
		}
		i++
	}
	if i < len(msg) && msg[i] == '/' {
		for i < len(msg) && msg[i] != ',' {
			i++
		}
		i++
	}
	i = digits(i)
	if i >= len(msg)-1 {
		return 0, false
	}
	switch last := msg[len(msg)-1]; msg[i] {
	case '[':
		return i, last == ']'
	case '{':
		return i, last == '}'
	case '"':
		return i, last == '"' && msg[0] == '4'
	}
	return 0, false
}
