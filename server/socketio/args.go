package socketio

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/antchat/antchat/server/socketio/packet"
)

// Args are the arguments of an event or of an acknowledgement, still encoded.
// The zero value has none. Args are immutable and may be kept.
type Args struct {
	elements    [][]byte
	attachments [][]byte
}

// Len is the number of arguments.
func (a Args) Len() int { return len(a.elements) }

// Raw is the JSON text of argument i, nil when there is none. Binary parts
// stand in it as {"_placeholder":true,"num":n}, n an index of Attachments. It
// must not be changed.
func (a Args) Raw(i int) json.RawMessage {
	if i < 0 || i >= len(a.elements) {
		return nil
	}
	return a.elements[i]
}

// Attachments are the binary parts. They must not be changed.
func (a Args) Attachments() [][]byte { return a.attachments }

// Decode decodes argument i into v, as json.Unmarshal does. Binary parts
// decode into []byte (and [Binary]). A missing argument leaves v alone. The
// error is a *PayloadError.
func (a Args) Decode(i int, v any) error {
	raw := a.Raw(i)
	if raw == nil {
		return nil
	}
	if len(a.attachments) > 0 {
		filled, err := fillPlaceholders(raw, a.attachments)
		if err != nil {
			return &PayloadError{Index: i, Err: err}
		}
		raw = filled
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return &PayloadError{Index: i, Err: err}
	}
	return nil
}

// Scan decodes the first arguments in their order, one into each of into: see
// [Args.Decode]. Missing ones leave what they are for alone; further ones are
// passed over.
func (a Args) Scan(into ...any) error {
	for i, v := range into {
		if err := a.Decode(i, v); err != nil {
			return err
		}
	}
	return nil
}

// Values are the arguments for passing on: given to Emit or Answer, each is
// encoded as it came, with its binary parts.
func (a Args) Values() []any {
	values := make([]any, len(a.elements))
	for i, raw := range a.elements {
		values[i] = argument{raw: raw, attachments: a.attachments}
	}
	return values
}

// argument is one element of Values.
type argument struct {
	raw         []byte
	attachments [][]byte
}

// appendTo appends the argument to an array's text, and its binary parts to
// those of the array.
func (a argument) appendTo(data []byte, attachments [][]byte) ([]byte, [][]byte, error) {
	raw, err := replacePlaceholders(a.raw, len(a.attachments), func(dst []byte, n int) []byte {
		dst = appendPlaceholder(dst, len(attachments))
		attachments = append(attachments, a.attachments[n])
		return dst
	})
	return append(data, raw...), attachments, err
}

// parseArgs splits a JSON array into Args, leaving out the first skip elements
// (the event's name).
func parseArgs(data []byte, attachments [][]byte, skip int) (Args, error) {
	if len(data) == 0 {
		return Args{}, nil
	}
	elements, err := packet.Args(data)
	if err != nil {
		return Args{}, fmt.Errorf("split arguments: %w", err)
	}
	return Args{elements: elements[min(skip, len(elements)):], attachments: attachments}, nil
}

var errPlaceholder = errors.New("placeholder out of range")

// fillPlaceholders replaces each {"_placeholder":true,"num":n} by the base64
// text of attachment n, which is how encoding/json reads a []byte. The codec
// has checked that each index is in range and named once in the whole packet,
// so the result is no more than a third larger than what arrived.
func fillPlaceholders(raw []byte, attachments [][]byte) ([]byte, error) {
	return replacePlaceholders(raw, len(attachments), func(dst []byte, n int) []byte {
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, attachments[n])
		return append(dst, '"')
	})
}

// replacePlaceholders copies JSON with each placeholder, whose index is below
// count, replaced by what put appends.
func replacePlaceholders(raw []byte, count int, put func(dst []byte, n int) []byte) ([]byte, error) {
	if count == 0 || !bytes.Contains(raw, []byte("_placeholder")) {
		return raw, nil
	}
	var out []byte
	last := 0
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
		case '{':
			n, end, ok := placeholderAt(raw, i)
			if !ok {
				i++
				continue
			}
			if n >= count {
				return nil, errPlaceholder
			}
			out = put(append(out, raw[last:i]...), n)
			i, last = end, end
		default:
			i++
		}
	}
	return append(out, raw[last:]...), nil
}

// skipString returns the index after the JSON string that opens at i.
func skipString(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(raw)
}

// placeholderAt reads the object that opens at i as a placeholder.
func placeholderAt(raw []byte, i int) (n, end int, ok bool) {
	// A placeholder has no nested object, so it ends at the first brace that is
	// not within one of its key strings.
	j := i + 1
	for j < len(raw) && raw[j] != '}' {
		if raw[j] == '{' || raw[j] == '[' {
			return 0, 0, false
		}
		if raw[j] == '"' {
			j = skipString(raw, j)
			continue
		}
		j++
	}
	if j >= len(raw) {
		return 0, 0, false
	}
	var p struct {
		Placeholder bool `json:"_placeholder"`
		Num         *int `json:"num"`
	}
	if json.Unmarshal(raw[i:j+1], &p) != nil || !p.Placeholder || p.Num == nil || *p.Num < 0 {
		return 0, 0, false
	}
	return *p.Num, j + 1, true
}
