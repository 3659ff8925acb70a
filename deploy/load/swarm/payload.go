package swarm

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

var errPayload = errors.New("a payload that is none")

// packets calls f for each Engine.IO packet of a poll's answer: separated by
// 0x1e in revision 4; each led by its length in UTF-16 units and a colon in
// revision 3 (engine.io-protocol, "Payload").
func packets(revision int, body []byte, f func(packet []byte) error) error {
	if revision == 4 {
		for len(body) > 0 {
			packet, rest, more := bytes.Cut(body, []byte{0x1e})
			if err := f(packet); err != nil {
				return err
			}
			if body = rest; !more {
				break
			}
		}
		return nil
	}
	for len(body) > 0 {
		head, rest, ok := bytes.Cut(body, []byte(":"))
		units, err := strconv.Atoi(string(head))
		if !ok || err != nil || units < 0 {
			return errPayload
		}
		end := 0
		for units > 0 {
			r, size := utf8.DecodeRune(rest[end:])
			if size == 0 {
				return errPayload
			}
			end += size
			if units--; r > 0xffff {
				units--
			}
		}
		if err := f(rest[:end]); err != nil {
			return err
		}
		body = rest[end:]
	}
	return nil
}

// appendPacket adds a packet to a payload to be posted. Its text is ASCII.
func appendPacket(revision int, payload []byte, packet string) []byte {
	if revision == 4 {
		if len(payload) > 0 {
			payload = append(payload, 0x1e)
		}
		return append(payload, packet...)
	}
	payload = strconv.AppendInt(payload, int64(len(packet)), 10)
	payload = append(payload, ':')
	return append(payload, packet...)
}

// field reads a string member of a flat JSON object, as open and CONNECT
// packets are; "" when there is none. Ids have nothing to escape.
func field(object []byte, name string) string {
	_, rest, ok := bytes.Cut(object, []byte(`"`+name+`":"`))
	if !ok {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}

// number reads a number member; 0 when there is none.
func number(object []byte, name string) int {
	_, rest, ok := bytes.Cut(object, []byte(`"`+name+`":`))
	if !ok {
		return 0
	}
	n := 0
	for _, c := range rest {
		if c < '0' || c > '9' || n > 1<<30 {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// cutID cuts an ack id off the front of a packet's rest; -1 when there is none.
func cutID(b []byte) (id int, rest []byte) {
	i, n := 0, 0
	for i < len(b) && i < 9 && b[i] >= '0' && b[i] <= '9' {
		n = n*10 + int(b[i]-'0')
		i++
	}
	if i == 0 {
		return -1, b
	}
	return n, b[i:]
}

// lastString is the last argument of an event's array, if it is a string
// without escapes: where servers with connection state recovery put the offset.
func lastString(array []byte) []byte {
	if len(array) < 4 || string(array[len(array)-2:]) != `"]` {
		return nil
	}
	inner := array[:len(array)-2]
	i := bytes.LastIndexByte(inner, '"')
	if i < 1 || inner[i-1] != ',' {
		return nil
	}
	return inner[i+1:]
}
