package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

// Packet types, the same in both revisions (engine.io-protocol v4, "Packet
// types"). On the wire they are the ASCII digits '0' to '6', except before
// binary data of revision 3, where they are the bytes 0 to 6.
const (
	TypeOpen    byte = 0
	TypeClose   byte = 1
	TypePing    byte = 2
	TypePong    byte = 3
	TypeMessage byte = 4
	TypeUpgrade byte = 5
	TypeNoop    byte = 6
)

// Packet is one Engine.IO packet.
type Packet struct {
	// Type is 0 to 6, as a number and not as a digit.
	Type byte
	// Binary says that Data came, or is to go, as binary. Only messages are
	// binary.
	Binary bool
	// Data is what follows the type: UTF-8 unless Binary.
	Data []byte
}

var (
	// ErrPayload is wrapped by every error about a body that is not a payload.
	ErrPayload = errors.New("malformed payload")
	// ErrPayloadPackets means that a payload holds more packets than allowed.
	ErrPayloadPackets = errors.New("too many packets in one payload")
)

// malformed is the error for a payload that breaks the format at byte at.
func malformed(what string, at int) error {
	return fmt.Errorf("decode payload: %w: %s at byte %d", ErrPayload, what, at)
}

// tooMany is the error for a payload with more packets than max.
func tooMany(limit int) error {
	return fmt.Errorf("decode payload: %w: more than %d", ErrPayloadPackets, limit)
}

// decodeBase64 decodes the standard alphabet. Padding may be absent, as some
// clients leave it out. Line ends are passed over: the Java and Android client
// of Socket.IO 2.x breaks its base64 every 76 characters and ends it with one.
func decodeBase64(b []byte) ([]byte, error) {
	enc := base64.RawStdEncoding
	if bytes.HasSuffix(bytes.TrimRight(b, "\r\n"), []byte("=")) {
		enc = base64.StdEncoding
	}
	out := make([]byte, enc.DecodedLen(len(b)))
	n, err := enc.Decode(out, b) // skips line ends by itself
	if err != nil {
		return nil, err
	}
	return out[:n], nil
}
