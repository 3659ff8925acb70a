package engineio

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrJSONP is wrapped by every error about the body of a JSONP POST.
var ErrJSONP = errors.New("malformed JSONP body")

// AppendJSONP appends the answer to a JSONP poll: a call of the client's
// callback with the payload as a JavaScript string (engine.io-protocol v3,
// "Transports", "Polling", "JSONP"). Of index, the query's j, only the digits
// are used, so that nobody can write script into the answer. payload is text:
// a JSONP client gets binary as base64.
func AppendJSONP(dst []byte, index string, payload []byte) []byte {
	dst = append(dst, "___eio["...)
	for _, c := range []byte(index) {
		if '0' <= c && c <= '9' {
			dst = append(dst, c)
		}
	}
	dst = append(dst, `]("`...)
	done := 0
	for i := 0; i < len(payload); i++ {
		c := payload[i]
		// U+2028 and U+2029 (E2 80 A8, E2 80 A9) end a line in older
		// JavaScript, where a string must not have one.
		line := c == 0xe2 && len(payload)-i >= 3 && payload[i+1] == 0x80 && payload[i+2]&^1 == 0xa8
		if c >= 0x20 && c != '"' && c != '\\' && !line {
			continue
		}
		dst = append(dst, payload[done:i]...)
		done = i + 1
		switch {
		case line:
			dst = appendUnit(dst, 0x2028|rune(payload[i+2]&1))
			i += 2
			done = i + 1
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = appendUnit(dst, rune(c))
		}
	}
	dst = append(dst, payload[done:]...)
	return append(dst, `");`...)
}

// DecodeJSONPBody returns the payload in a JSONP POST, whose body is a form
// with the field d. The client writes a line feed as \n and a \n as \\n, since
// browsers change line ends in forms; that is undone. It refuses a body with no
// d or several, bad percent-encoding, text that is not UTF-8, and a payload
// longer than limit bytes (0 or less: no limit). The payload is a copy.
func DecodeJSONPBody(body []byte, limit int) ([]byte, error) {
	var field []byte
	found := false
	for rest, more := body, true; more; {
		var pair []byte
		pair, rest, more = bytes.Cut(rest, []byte{'&'})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		if string(name) != "d" {
			continue
		}
		if found {
			return nil, fmt.Errorf("decode payload: %w: several fields d", ErrJSONP)
		}
		found, field = true, value
	}
	if !found {
		return nil, fmt.Errorf("decode payload: %w: no field d", ErrJSONP)
	}
	out := make([]byte, 0, len(field))
	slashes := 0 // backslashes that out ends with
	for i := 0; i < len(field); i++ {
		c := field[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if len(field)-i < 3 {
				return nil, fmt.Errorf("decode payload: %w: bad percent-encoding", ErrJSONP)
			}
			hi, lo := unhex(field[i+1]), unhex(field[i+2])
			if hi > 15 || lo > 15 {
				return nil, fmt.Errorf("decode payload: %w: bad percent-encoding", ErrJSONP)
			}
			c = hi<<4 | lo
			i += 2
		}
		switch {
		case c == '\\':
			slashes++
		case c == 'n' && slashes == 1:
			out[len(out)-1] = '\n'
			slashes = 0
			continue
		case c == 'n' && slashes > 1:
			out = out[:len(out)-1]
			slashes = 0
		default:
			slashes = 0
		}
		out = append(out, c)
	}
	if limit > 0 && len(out) > limit {
		return nil, fmt.Errorf("decode payload: %w: longer than %d bytes", ErrJSONP, limit)
	}
	if !utf8.Valid(out) {
		return nil, fmt.Errorf("decode payload: %w: text that is not UTF-8", ErrJSONP)
	}
	return out, nil
}

// unhex is the value of a hexadecimal digit, or more than 15.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}
