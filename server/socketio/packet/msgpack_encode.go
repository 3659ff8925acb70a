package packet

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/tinylib/msgp/msgp"
)

// AppendMsgpack appends p as socket.io-msgpack-parser writes it: one binary
// message, with binary values where Data has placeholders. Integers that fit 64
// bits are written as such, in the shortest form, other numbers as float64. It
// fails when Data is not JSON of at most 10,000 levels, or has a placeholder
// without attachment; dst is then returned as it was. It allocates only to grow
// dst.
func AppendMsgpack(dst []byte, p *Packet) ([]byte, error) {
	n := uint32(2)
	if p.Data != nil {
		n++
	}
	if p.HasID {
		n++
	}
	t, ns := p.Type, p.Namespace
	if t == BinaryEvent || t == BinaryAck {
		t -= BinaryEvent - Event
	}
	if ns == "" {
		ns = "/"
	}
	w := msgpackWriter{checker: checker{b: p.Data}, out: dst, attachments: p.Attachments}
	w.out = msgp.AppendMapHeader(w.out, n)
	w.out = msgp.AppendString(w.out, "type")
	w.out = msgp.AppendUint64(w.out, uint64(t))
	if p.Data != nil {
		w.out = msgp.AppendString(w.out, "data")
		w.space()
		ok := w.value(0)
		w.space()
		if !ok || w.i < len(p.Data) {
			return dst, fmt.Errorf("encode packet: %w: bad JSON at byte %d", ErrMalformed, w.i)
		}
	}
	w.out = msgp.AppendString(w.out, "nsp")
	w.out = msgp.AppendString(w.out, ns)
	if p.HasID {
		w.out = msgp.AppendString(w.out, "id")
		w.out = msgp.AppendUint64(w.out, p.ID)
	}
	return w.out, nil
}

// msgpackDepth bounds the recursion of AppendMsgpack, for data that no
// decoder has bounded.
const msgpackDepth = 10_000

// msgpackWriter turns JSON into msgpack. The checker finds where strings,
// numbers and literals end.
type msgpackWriter struct {
	checker
	out         []byte
	attachments [][]byte
}

func (w *msgpackWriter) value(depth int) bool {
	if w.i >= len(w.b) || depth > msgpackDepth {
		return false
	}
	switch w.b[w.i] {
	case '"':
		return w.str()
	case '{':
		return w.object(depth)
	case '[':
		return w.array(depth)
	case 't':
		w.out = msgp.AppendBool(w.out, true)
		return w.literal("true")
	case 'f':
		w.out = msgp.AppendBool(w.out, false)
		return w.literal("false")
	case 'n':
		w.out = msgp.AppendNil(w.out)
		return w.literal("null")
	}
	return w.number()
}

func (w *msgpackWriter) str() bool {
	start := w.i + 1
	if !w.checker.str() {
		return false
	}
	s := w.b[start : w.i-1]
	if slices.Index(s, '\\') < 0 {
		w.out = msgp.AppendStringFromBytes(w.out, s)
		return true
	}
	at := len(w.out)
	w.out = appendUnquoted(w.out, s)
	n := uint32(len(w.out) - at)
	var head [5]byte
	w.out = slices.Insert(w.out, at, appendStringHeader(head[:0], n)...)
	return true
}

// appendStringHeader appends the header of a string of n bytes.
func appendStringHeader(b []byte, n uint32) []byte {
	switch {
	case n < 32:
		return append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdb), n)
}

func (w *msgpackWriter) number() bool {
	start := w.i
	if !w.checker.number() {
		return false
	}
	raw := w.b[start:w.i]
	if v, ok := parseUint(raw); ok {
		w.out = msgp.AppendUint64(w.out, v)
		return true
	}
	if v, ok := parseUint(raw[1:]); ok && raw[0] == '-' && v > 0 && v <= 1<<63 {
		w.out = msgp.AppendInt64(w.out, -int64(v))
		return true
	}
	var f float64
	var err error
	if len(raw) <= 32 {
		f, err = strconv.ParseFloat(string(raw), 64)
	} else {
		f, err = parseLongFloat(raw)
	}
	if err != nil && !math.IsInf(f, 0) {
		return false
	}
	w.out = msgp.AppendFloat64(w.out, f)
	return true
}

// parseLongFloat is apart so that numbers of usual length need no allocation.
//
//go:noinline
func parseLongFloat(raw []byte) (float64, error) {
	return strconv.ParseFloat(string(raw), 64)
}

// parseUint reads digits that fit 64 bits.
func parseUint(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || v > (math.MaxUint64-d)/10 {
			return 0, false
		}
		v = 10*v + d
	}
	return v, true
}

func (w *msgpackWriter) array(depth int) bool {
	w.i++
	at := len(w.out)
	w.out = append(w.out, 0)
	w.space()
	n := uint32(0)
	if w.i < len(w.b) && w.b[w.i] == ']' {
		w.i++
		w.head(at, n, 0x90, 0xdc)
		return true
	}
	for {
		if !w.value(depth + 1) {
			return false
		}
		n++
		w.space()
		if w.i >= len(w.b) {
			return false
		}
		w.i++
		switch w.b[w.i-1] {
		case ',':
			w.space()
		case ']':
			w.head(at, n, 0x90, 0xdc)
			return true
		default:
			return false
		}
	}
}

func (w *msgpackWriter) object(depth int) bool {
	if len(w.attachments) > 0 {
		if num, n := placeholder(w.b[w.i:]); n > 0 {
			if num >= len(w.attachments) {
				return false
			}
			w.i += n
			w.out = msgp.AppendBytes(w.out, w.attachments[num])
			return true
		}
	}
	w.i++
	at := len(w.out)
	w.out = append(w.out, 0)
	w.space()
	n := uint32(0)
	if w.i < len(w.b) && w.b[w.i] == '}' {
		w.i++
		w.head(at, n, 0x80, 0xde)
		return true
	}
	for {
		if w.i >= len(w.b) || w.b[w.i] != '"' || !w.str() {
			return false
		}
		w.space()
		if w.i >= len(w.b) || w.b[w.i] != ':' {
			return false
		}
		w.i++
		w.space()
		if !w.value(depth + 1) {
			return false
		}
		n++
		w.space()
		if w.i >= len(w.b) {
			return false
		}
		w.i++
		switch w.b[w.i-1] {
		case ',':
			w.space()
		case '}':
			w.head(at, n, 0x80, 0xde)
			return true
		default:
			return false
		}
	}
}

// head writes, at the byte kept for it, the header of an array or map whose n
// elements are now known: short holds n below 16, long starts one with 16 bits
// and long+1 one with 32. Larger ones are moved to make room.
func (w *msgpackWriter) head(at int, n uint32, short, long byte) {
	if n < 16 {
		w.out[at] = short | byte(n)
		return
	}
	var buf [5]byte
	h := binary.BigEndian.AppendUint16(append(buf[:0], long), uint16(n))
	if n > math.MaxUint16 {
		h = binary.BigEndian.AppendUint32(append(buf[:0], long+1), n)
	}
	w.out = slices.Replace(w.out, at, at+1, h...)
}
