package swarm

import (
	"encoding/binary"
	"errors"
)

// maxPiece bounds a frame and an answer, in bytes.
const maxPiece = 1 << 20

var errFrame = errors.New("a frame that no server should send")

// nextFrame cuts the first WebSocket frame off b: its opcode, its payload and
// the bytes it took. n is 0 when b holds less than one frame. Server frames are
// unmasked and, since nothing was negotiated, have no reserved bit; a fragment
// is refused (RFC 6455, 5.2).
func nextFrame(b []byte) (op byte, payload []byte, n int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	if b[0]&0x80 == 0 || b[0]&0x70 != 0 || b[1]&0x80 != 0 {
		return 0, nil, 0, errFrame
	}
	head, size := 2, int(b[1])
	switch size {
	case 126:
		if len(b) < 4 {
			return 0, nil, 0, nil
		}
		head, size = 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if len(b) < 10 {
			return 0, nil, 0, nil
		}
		long := binary.BigEndian.Uint64(b[2:])
		if long > maxPiece {
			return 0, nil, 0, errFrame
		}
		head, size = 10, int(long)
	}
	if len(b) < head+size {
		return 0, nil, 0, nil
	}
	return b[0] & 0x0f, b[head : head+size], head + size, nil
}

// appendFrame appends a client's frame. The mask is four zero bytes: legal, and
// it spares a pass over the payload.
func appendFrame(dst []byte, op byte, text string) []byte {
	dst = append(dst, 0x80|op)
	switch {
	case len(text) < 126:
		dst = append(dst, 0x80|byte(len(text)))
	case len(text) < 1<<16:
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(text)))
	default:
		dst = append(dst, 0x80|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(len(text)))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, text...)
}
