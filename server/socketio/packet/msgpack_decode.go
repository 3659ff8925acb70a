package packet

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// maxKeys bounds the keys of a msgpack packet. The protocol has four; client
// libraries add their own, such as options.
const maxKeys = 16

// DecodeMsgpack reads a packet of socket.io-msgpack-parser: a map with type,
// nsp and perhaps data and id; other keys are skipped. The packet becomes what
// the ordinary parser would have made of it: data as JSON, binary values as
// placeholders with attachments. b is not kept. Errors wrap [ErrMalformed] or
// [ErrLimit].
//
// Integers and floats keep their value; NaN and infinities become null, as in
// JSON.stringify, and dates the string that it writes. undefined becomes null
// in an array and is left out of a map. Map keys are strings. A map that looks
// like a placeholder is data when the packet has no binary value, and an error
// when it has one, since no receiver could tell the two apart.
func DecodeMsgpack(b []byte, l Limits) (*Packet, error) {
	l = l.withDefaults()
	if len(b) > l.MaxBytes {
		return nil, fmt.Errorf("decode packet: %w: more than %d bytes", ErrLimit, l.MaxBytes)
	}
	r := msgpackReader{in: b, limits: l}
	p, err := r.packet()
	if err != nil {
		return nil, fmt.Errorf("decode packet: %w", err)
	}
	return p, nil
}

// msgpackReader turns msgpack into JSON.
type msgpackReader struct {
	in          []byte
	out         []byte
	attachments [][]byte
	elements    int  // of the outermost array
	lookalike   bool // a map with the key _placeholder was there
	limits      Limits
}

// errMsgpack is the error for bytes that are not what they should be.
func errMsgpack(what string) error {
	return fmt.Errorf("%w: bad msgpack: %s", ErrMalformed, what)
}

func (r *msgpackReader) packet() (*Packet, error) {
	n, rest, err := msgp.ReadMapHeaderBytes(r.in)
	if err != nil {
		return nil, errMsgpack("not a map")
	}
	if n > maxKeys {
		return nil, fmt.Errorf("%w: more than %d keys in a msgpack packet", ErrLimit, maxKeys)
	}
	r.in = rest
	p := &Packet{}
	var data []byte
	var hasType, hasNamespace, hasData bool
	for range n {
		key, err := r.str()
		if err != nil {
			return nil, err
		}
		switch string(key) {
		case "type":
			v, err := r.uint()
			if err != nil || hasType || v > uint64(ConnectError) {
				return nil, errMsgpack("type")
			}
			p.Type, hasType = Type(v), true
		case "nsp":
			ns, err := r.str()
			if err != nil || hasNamespace {
				return nil, errMsgpack("namespace")
			}
			if err := checkNamespace(ns, r.limits.MaxNamespace); err != nil {
				return nil, err
			}
			p.Namespace, hasNamespace = string(ns), true
		case "id":
			if r.undefined() {
				continue
			}
			v, err := r.uint()
			if err != nil || p.HasID || v > MaxID {
				return nil, errMsgpack("ack id")
			}
			p.ID, p.HasID = v, true
		case "data":
			if r.undefined() {
				continue
			}
			if hasData {
				return nil, errMsgpack("data twice")
			}
			hasData = true
			// JSON is seldom longer than msgpack by more than this.
			r.out = make([]byte, 0, len(r.in)+len(r.in)/4+16)
			if err := r.value(0); err != nil {
				return nil, err
			}
			data = r.out
		default:
			skipped := msgpackReader{in: r.in, limits: r.limits}
			if err := skipped.value(1); err != nil {
				return nil, err
			}
			r.in = skipped.in
		}
	}
	switch {
	case len(r.in) > 0:
		return nil, errMsgpack("bytes behind the packet")
	case !hasType || !hasNamespace:
		return nil, errMsgpack("a packet needs type and nsp")
	case r.lookalike && len(r.attachments) > 0:
		return nil, fmt.Errorf("%w: a map that looks like a placeholder beside binary", ErrMalformed)
	case len(r.attachments) > 0 && p.Type != Event && p.Type != Ack:
		return nil, fmt.Errorf("%w: %v with binary", ErrMalformed, p.Type)
	case r.elements > r.limits.MaxArgs:
		return nil, fmt.Errorf("%w: more than %d arguments", ErrLimit, r.limits.MaxArgs)
	}
	if data == nil {
		if p.Type == Event || p.Type == Ack || p.Type == ConnectError {
			return nil, fmt.Errorf("%w: %v without data", ErrMalformed, p.Type)
		}
	} else if err := checkShape(p.Type, data, 5); err != nil {
		return nil, err
	}
	if err := checkHeader(p); err != nil {
		return nil, err
	}
	p.Data, p.Attachments = data, r.attachments
	return p, nil
}

// undefined skips an undefined, which notepack.io 2 writes as an extension of
// type 0 with the byte 0, and reports whether there was one.
func (r *msgpackReader) undefined() bool {
	if len(r.in) < 3 || r.in[0] != 0xd4 || r.in[1] != 0 || r.in[2] != 0 {
		return false
	}
	r.in = r.in[3:]
	return true
}

// str reads a string. It is a slice of the input.
func (r *msgpackReader) str() ([]byte, error) {
	s, rest, err := msgp.ReadStringZC(r.in)
	if err != nil {
		return nil, errMsgpack("not a string")
	}
	if !utf8.Valid(s) {
		return nil, errMsgpack("a string that is not UTF-8")
	}
	r.in = rest
	return s, nil
}

// uint reads an integer that is not negative.
func (r *msgpackReader) uint() (uint64, error) {
	v, rest, err := msgp.ReadUint64Bytes(r.in)
	if err != nil {
		return 0, err
	}
	r.in = rest
	return v, nil
}

// value appends the next value as JSON. It is inside depth arrays and maps.
func (r *msgpackReader) value(depth int) error {
	// As JSON it can be six times longer.
	if len(r.out) > r.limits.MaxBytes {
		return fmt.Errorf("%w: more than %d bytes as JSON", ErrLimit, r.limits.MaxBytes)
	}
	switch msgp.NextType(r.in) {
	case msgp.StrType:
		s, err := r.str()
		if err != nil {
			return err
		}
		r.out = appendQuoted(r.out, s)
		return nil
	case msgp.BinType:
		b, rest, err := msgp.ReadBytesZC(r.in)
		if err != nil {
			return errMsgpack("binary")
		}
		r.in = rest
		return r.attach(b)
	case msgp.MapType:
		return r.mapValue(depth)
	case msgp.ArrayType:
		return r.array(depth)
	case msgp.Float64Type, msgp.Float32Type:
		return r.float()
	case msgp.IntType, msgp.UintType:
		return r.integer()
	case msgp.BoolType:
		v, rest, err := msgp.ReadBoolBytes(r.in)
		if err != nil {
			return errMsgpack("bool")
		}
		r.out = strconv.AppendBool(r.out, v)
		r.in = rest
		return nil
	case msgp.NilType:
		r.out = append(r.out, "null"...)
		r.in = r.in[1:]
		return nil
	}
	return r.extension()
}

func (r *msgpackReader) integer() error {
	// The signed formats: negative fixint and int 8 to 64.
	if c := r.in[0]; c >= 0xe0 || c >= 0xd0 && c <= 0xd3 {
		v, rest, err := msgp.ReadInt64Bytes(r.in)
		if err != nil {
			return errMsgpack("integer")
		}
		r.out = strconv.AppendInt(r.out, v, 10)
		r.in = rest
		return nil
	}
	v, err := r.uint()
	if err != nil {
		return errMsgpack("integer")
	}
	r.out = strconv.AppendUint(r.out, v, 10)
	return nil
}

func (r *msgpackReader) float() error {
	var f float64
	var rest []byte
	var err error
	if msgp.NextType(r.in) == msgp.Float32Type {
		var f32 float32
		f32, rest, err = msgp.ReadFloat32Bytes(r.in)
		f = float64(f32)
	} else {
		f, rest, err = msgp.ReadFloat64Bytes(r.in)
	}
	if err != nil {
		return errMsgpack("float")
	}
	r.in = rest
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.out = append(r.out, "null"...)
		return nil
	}
	r.out = appendFloat(r.out, f)
	return nil
}

// attach appends a placeholder for b.
func (r *msgpackReader) attach(b []byte) error {
	if len(r.attachments) >= r.limits.MaxAttachments {
		return fmt.Errorf("%w: more than %d attachments", ErrLimit, r.limits.MaxAttachments)
	}
	r.out = append(r.out, `{"_placeholder":true,"num":`...)
	r.out = strconv.AppendInt(r.out, int64(len(r.attachments)), 10)
	r.out = append(r.out, '}')
	own := make([]byte, len(b))
	copy(own, b)
	r.attachments = append(r.attachments, own)
	return nil
}

func (r *msgpackReader) array(depth int) error {
	if depth >= r.limits.MaxDepth {
		return fmt.Errorf("%w: msgpack deeper than %d", ErrLimit, r.limits.MaxDepth)
	}
	n, rest, err := msgp.ReadArrayHeaderBytes(r.in)
	if err != nil || uint64(n) > uint64(len(rest)) {
		return errMsgpack("array")
	}
	r.in = rest
	r.out = append(r.out, '[')
	for i := range n {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		if r.undefined() {
			r.out = append(r.out, "null"...)
		} else if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.out = append(r.out, ']')
	if depth == 0 {
		r.elements = int(n)
	}
	return nil
}

func (r *msgpackReader) mapValue(depth int) error {
	if depth >= r.limits.MaxDepth {
		return fmt.Errorf("%w: msgpack deeper than %d", ErrLimit, r.limits.MaxDepth)
	}
	n, rest, err := msgp.ReadMapHeaderBytes(r.in)
	if err != nil || 2*uint64(n) > uint64(len(rest)) {
		return errMsgpack("map")
	}
	r.in = rest
	r.out = append(r.out, '{')
	first := true
	for range n {
		key, err := r.str()
		if err != nil {
			return err
		}
		if r.undefined() {
			continue
		}
		if !first {
			r.out = append(r.out, ',')
		}
		first = false
		if string(key) == placeholderKey {
			r.lookalike = true
		}
		r.out = appendQuoted(r.out, key)
		r.out = append(r.out, ':')
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
	r.out = append(r.out, '}')
	return nil
}

// extension appends the extensions that clients write: of type 0 (notepack.io
// 2) undefined, a Date as int64 milliseconds in 8 fixed bytes, and an
// ArrayBuffer in a variable number of bytes; of type -1 the timestamps of the
// msgpack specification.
func (r *msgpackReader) extension() error {
	if r.undefined() {
		r.out = append(r.out, "null"...)
		return nil
	}
	kind, body, fixed, rest, ok := cutExtension(r.in)
	if !ok {
		return errMsgpack("unknown or cut value")
	}
	r.in = rest
	switch {
	case kind == 0 && !fixed:
		return r.attach(body)
	case kind == 0 && len(body) == 8:
		r.date(int64(binary.BigEndian.Uint64(body)))
		return nil
	case kind == -1:
		var sec int64
		var nano uint32
		switch len(body) {
		case 4:
			sec = int64(binary.BigEndian.Uint32(body))
		case 8:
			v := binary.BigEndian.Uint64(body)
			sec, nano = int64(v&(1<<34-1)), uint32(v>>34)
		case 12:
			nano, sec = binary.BigEndian.Uint32(body), int64(binary.BigEndian.Uint64(body[4:]))
		default:
			return errMsgpack("timestamp")
		}
		if nano >= 1e9 {
			return errMsgpack("timestamp")
		}
		if sec > maxDate/1000 || sec < -maxDate/1000 {
			r.date(math.MaxInt64)
			return nil
		}
		r.date(sec*1000 + int64(nano/1e6))
		return nil
	}
	return errMsgpack("unknown extension")
}

// cutExtension splits the extension that b starts with from what follows.
func cutExtension(b []byte) (kind int8, body []byte, fixed bool, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, false, nil, false
	}
	var n uint64
	head := 1 // bytes before the type
	switch b[0] {
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		n, fixed = 1<<(b[0]-0xd4), true
	case 0xc7:
		n, head = uint64(b[1]), 2
	case 0xc8:
		if len(b) < 3 {
			return 0, nil, false, nil, false
		}
		n, head = uint64(binary.BigEndian.Uint16(b[1:])), 3
	case 0xc9:
		if len(b) < 5 {
			return 0, nil, false, nil, false
		}
		n, head = uint64(binary.BigEndian.Uint32(b[1:])), 5
	default:
		return 0, nil, false, nil, false
	}
	if len(b) <= head || n > uint64(len(b)-head-1) {
		return 0, nil, false, nil, false
	}
	end := head + 1 + int(n)
	return int8(b[head]), b[head+1 : end], fixed, b[end:], true
}

// maxDate is the latest moment, in milliseconds, that JavaScript's Date has
// (ECMAScript, "Time Values and Time Range"); the earliest is its negative.
const maxDate = 8_640_000_000_000_000

// date appends the moment ms after 1970 as Date.prototype.toJSON writes it:
// null for one that Date does not have.
func (r *msgpackReader) date(ms int64) {
	if ms > maxDate || ms < -maxDate {
		r.out = append(r.out, "null"...)
		return
	}
	t := time.UnixMilli(ms).UTC()
	r.out = append(r.out, '"')
	if y := t.Year(); y < 0 || y > 9999 {
		sign := byte('+')
		if y < 0 {
			sign, y = '-', -y
		}
		r.out = append(r.out, sign)
		r.out = fmt.Appendf(r.out, "%06d", y)
		r.out = t.AppendFormat(r.out, "-01-02T15:04:05.000Z")
	} else {
		r.out = t.AppendFormat(r.out, "2006-01-02T15:04:05.000Z")
	}
	r.out = append(r.out, '"')
}
