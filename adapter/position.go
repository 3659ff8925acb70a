package adapter

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// MaxLanes bounds the lanes of a fleet. One lane on one node and on a single
// Redis, four on a Redis Cluster.
const MaxLanes = 4

// Position is a place in every lane: how far a link, or a client, has come.
// Lanes that a fleet does not have stay 0.
type Position [MaxLanes]uint64

// Max is the component-wise maximum.
func (p Position) Max(q Position) Position {
	for i, v := range q {
		p[i] = max(p[i], v)
	}
	return p
}

// offsetVersion opens every offset, so that a later form can be told apart.
const offsetVersion = "1."

// ErrOffset is what ParseOffset returns for text that no Offset call made.
var ErrOffset = errors.New("adapter: malformed offset")

// AppendOffset appends the offset text of p for a fleet of the given number of
// lanes: what socket.io-client keeps and sends back to recover. The text has
// only characters that stand in a JSON string as they are.
func (p Position) AppendOffset(dst []byte, lanes int) []byte {
	var raw [8 * MaxLanes]byte
	for i := range lanes {
		binary.BigEndian.PutUint64(raw[8*i:], p[i])
	}
	dst = append(dst, offsetVersion...)
	return base64.RawURLEncoding.AppendEncode(dst, raw[:8*lanes])
}

// Offset is AppendOffset as a string.
func (p Position) Offset(lanes int) string { return string(p.AppendOffset(nil, lanes)) }

// ParseOffset reads what Offset wrote, for the same number of lanes.
func ParseOffset(s string, lanes int) (Position, error) {
	var p Position
	body, ok := strings.CutPrefix(s, offsetVersion)
	if !ok || len(body) != base64.RawURLEncoding.EncodedLen(8*lanes) {
		return p, ErrOffset
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) != 8*lanes {
		return p, ErrOffset
	}
	for i := range lanes {
		p[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	return p, nil
}
