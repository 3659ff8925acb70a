package socketio

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// Binary is a value that travels as a binary attachment, at any depth of an
// argument. A plain []byte is encoded by encoding/json as a base64 string;
// both decode from an attachment.
type Binary []byte

// binaryMark opens the string that a Binary leaves in encoded JSON until
// encodeArray replaces it by a placeholder. It is random in each process, so
// no text of a client can pass for it.
var binaryMark = "\x01bin:" + rand.Text() + ":"

// binaryMarkJSON is the mark as encoding/json writes it, with its quote.
var binaryMarkJSON = func() []byte {
	b, _ := json.Marshal(binaryMark)
	return b[:len(b)-1]
}()

// MarshalJSON is for this package's encoder, which turns the result into an
// attachment; elsewhere the bytes come out as a marked base64 string.
func (b Binary) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, len(binaryMarkJSON)+base64.StdEncoding.EncodedLen(len(b))+1)
	out = append(out, binaryMarkJSON...)
	out = base64.StdEncoding.AppendEncode(out, b)
	return append(out, '"'), nil
}

// extractBinary replaces marks in encoded JSON from index from on by
// placeholders, and appends what they held to attachments.
func extractBinary(data []byte, from int, attachments [][]byte) ([]byte, [][]byte, error) {
	at := bytes.Index(data[from:], binaryMarkJSON)
	if at < 0 {
		return data, attachments, nil
	}
	out := append([]byte(nil), data[:from]...)
	rest := data[from:]
	for at >= 0 {
		out = append(out, rest[:at]...)
		rest = rest[at+len(binaryMarkJSON):]
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			return nil, nil, fmt.Errorf("encode binary: unterminated mark")
		}
		part, err := base64.StdEncoding.AppendDecode(nil, rest[:end])
		if err != nil {
			return nil, nil, fmt.Errorf("encode binary: %w", err)
		}
		out = appendPlaceholder(out, len(attachments))
		attachments = append(attachments, part)
		rest = rest[end+1:]
		at = bytes.Index(rest, binaryMarkJSON)
	}
	return append(out, rest...), attachments, nil
}

func appendPlaceholder(dst []byte, n int) []byte {
	dst = append(dst, `{"_placeholder":true,"num":`...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '}')
}
