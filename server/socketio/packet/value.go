package packet

import (
	"fmt"
	"slices"
)

// DecodeValue turns one msgpack value, whatever it is, into JSON with
// placeholders, by the rules of [DecodeMsgpack]: for messages that are msgpack
// and no packets, such as those that servers send each other. It takes the
// limits MaxBytes, MaxDepth and MaxAttachments. b is not kept. Errors wrap
// [ErrMalformed] or [ErrLimit].
func DecodeValue(b []byte, l Limits) (data []byte, attachments [][]byte, err error) {
	l = l.withDefaults()
	if len(b) > l.MaxBytes {
		return nil, nil, fmt.Errorf("decode value: %w: more than %d bytes", ErrLimit, l.MaxBytes)
	}
	if len(b) == 0 {
		return nil, nil, fmt.Errorf("decode value: %w", errMsgpack("nothing there"))
	}
	r := msgpackReader{in: b, limits: l, out: make([]byte, 0, len(b)+len(b)/4+16)}
	switch err := r.value(0); {
	case err != nil:
		return nil, nil, fmt.Errorf("decode value: %w", err)
	case len(r.in) > 0:
		return nil, nil, fmt.Errorf("decode value: %w", errMsgpack("bytes behind the value"))
	case r.lookalike && len(r.attachments) > 0:
		return nil, nil, fmt.Errorf("decode value: %w: a map that looks like a placeholder beside binary", ErrMalformed)
	}
	return r.out, r.attachments, nil
}

// AppendValue appends JSON as one msgpack value, with binary values where it
// has placeholders, by the rules of [AppendMsgpack].
func AppendValue(dst, data []byte, attachments [][]byte) ([]byte, error) {
	w := msgpackWriter{checker: checker{b: data}, out: dst, attachments: attachments}
	w.space()
	ok := w.value(0)
	w.space()
	if !ok || w.i < len(data) {
		return dst, fmt.Errorf("encode value: %w: bad JSON at byte %d", ErrMalformed, w.i)
	}
	return w.out, nil
}

// AppendReplaced appends JSON that has passed [Check] with each placeholder
// replaced by what write appends for it.
func AppendReplaced(dst, data []byte, write func(dst []byte, num int) []byte) []byte {
	for i := 0; i < len(data); {
		switch data[i] {
		case '"':
			c := checker{b: data, i: i}
			if !c.str() {
				return append(dst, data[i:]...)
			}
			dst = append(dst, data[i:c.i]...)
			i = c.i
		case '{':
			if num, n := placeholder(data[i:]); n > 0 {
				dst = write(dst, num)
				i += n
				continue
			}
			dst = append(dst, '{')
			i++
		default:
			end := len(data)
			if n := slices.IndexFunc(data[i:], func(c byte) bool { return c == '"' || c == '{' }); n >= 0 {
				end = i + n
			}
			dst = append(dst, data[i:end]...)
			i = end
		}
	}
	return dst
}
