package engineio

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// frameReader turns the bytes of a WebSocket, in whatever pieces they arrive,
// into messages (RFC 6455, 5). It checks everything that the RFC lets a peer do
// wrong, and takes memory only for bytes that have arrived, never for a length
// that was announced. The zero value is ready; between messages it holds no
// buffer.
type frameReader struct {
	head  [ws.MaxHeaderSize]byte // an incomplete header
	headN uint8

	open bool // within a frame: op, fin, mask, pos and left are its own
	fin  bool
	op   ws.OpCode
	mask [4]byte
	pos  uint8 // payload bytes seen, modulo the mask's length
	left int64 // payload bytes to come

	fragmented bool      // a message has begun and its last frame has not
	msgOp      ws.OpCode // of the message that has begun
	parts      *parts    // what has come in several pieces; nil: nothing

	pings int    // in these bytes
	late  []byte // the last of them, if there are more than maxPongs
}

// maxPongs is how many pings are answered of those that come at once; of more, only
// the last (RFC 6455, 5.5.3). A ping is seven bytes, and a pong at worst a system
// call.
const maxPongs = 16

// parts are the beginnings of what has not arrived whole.
type parts struct {
	ctl   []byte // of a control frame
	msg   []byte // of a message
	valid int    // bytes of msg that are known to be UTF-8
}

// between reports whether the reader stands between two messages: it holds no
// part of anything.
func (f *frameReader) between() bool { return f.headN == 0 && !f.open && !f.fragmented }

// frameSink takes what a frameReader finds. The slices are valid, and may be
// changed, during the call. An error ends the reading and is returned by feed.
type frameSink interface {
	text(b []byte) error
	binary(b []byte) error
	ping(b []byte) error
	// closing is told the peer's close code, ws.StatusNoStatusRcvd if it gave none.
	closing(code ws.StatusCode) error
}

// frameError is a violation of RFC 6455 by the peer, and the code to close with.
type frameError struct {
	code ws.StatusCode
	text string
}

func (e *frameError) Error() string { return fmt.Sprintf("websocket: %s (%d)", e.text, e.code) }

// feed takes the next bytes of the connection, which it unmasks in place.
// Messages over limit bytes are refused when their size is known, before their
// bytes are kept.
func (f *frameReader) feed(b []byte, limit int64, sink frameSink) error {
	f.pings, f.late = 0, nil
	if err := f.frames(b, limit, sink); err != nil {
		return err
	}
	if f.pings > maxPongs {
		return sink.ping(f.late)
	}
	return nil
}

// frames is feed without the last of many pings.
func (f *frameReader) frames(b []byte, limit int64, sink frameSink) error {
	for {
		if !f.open {
			n, err := f.header(b, limit)
			if err != nil {
				return err
			}
			b = b[n:]
			if !f.open {
				return nil
			}
		}
		n := int(min(int64(len(b)), f.left))
		part := b[:n:n]
		b = b[n:]
		ws.Cipher(part, f.mask, int(f.pos))
		f.pos = uint8((int(f.pos) + n) % len(f.mask))
		f.left -= int64(n)
		f.open = f.left > 0

		var err error
		if f.op.IsControl() {
			err = f.control(part, sink)
		} else {
			err = f.data(part, sink)
		}
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return nil
		}
	}
}

// header reads a frame's header from the bytes kept and from b, and returns how
// many of b it took. f.open says whether it is complete.
func (f *frameReader) header(b []byte, limit int64) (int, error) {
	used := 0
	need := func(n int) bool {
		k := copy(f.head[f.headN:n], b[used:])
		f.headN += uint8(k)
		used += k
		return int(f.headN) == n
	}
	if f.headN < 2 && !need(2) {
		return used, nil
	}
	size, short := 2, f.head[1]&0x7f
	switch short {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	masked := f.head[1]&0x80 != 0
	if masked {
		size += 4
	}
	if int(f.headN) < size && !need(size) {
		return used, nil
	}
	f.headN = 0

	length := int64(short)
	switch short {
	case 126:
		length = int64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		length = int64(binary.BigEndian.Uint64(f.head[2:]))
		if length < 0 {
			return used, &frameError{ws.StatusProtocolError, "length with the highest bit set"}
		}
	}
	h := ws.Header{
		Fin: f.head[0]&0x80 != 0, Rsv: f.head[0] >> 4 & 7, OpCode: ws.OpCode(f.head[0] & 0xf),
		Masked: masked, Length: length,
	}
	state := ws.StateServerSide
	if f.fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return used, &frameError{ws.StatusProtocolError, err.Error()}
	}
	if !h.OpCode.IsControl() && length > limit-int64(len(f.message())) {
		return used, &frameError{ws.StatusMessageTooBig, "message too big"}
	}
	f.op, f.fin, f.left, f.pos, f.open = h.OpCode, h.Fin, length, 0, true
	copy(f.mask[:], f.head[size-4:size])
	return used, nil
}

// data takes part of a data frame.
func (f *frameReader) data(part []byte, sink frameSink) error {
	if f.op != ws.OpContinuation && !f.fragmented {
		f.msgOp = f.op
	}
	last := !f.open && f.fin
	whole, valid := part, 0
	if !last || len(f.message()) > 0 {
		// One piece of several. append doubles at most, so memory follows what has
		// arrived.
		p := f.part()
		p.msg = append(p.msg, part...)
		whole, valid = p.msg, p.valid
	}
	if f.msgOp == ws.OpText && !f.validate(whole, valid, last) {
		return &frameError{ws.StatusInvalidFramePayloadData, "text that is not UTF-8"}
	}
	if !last {
		if !f.open {
			f.fragmented = true
		}
		return nil
	}
	f.fragmented, f.parts = false, nil
	if f.msgOp == ws.OpText {
		return sink.text(whole)
	}
	return sink.binary(whole)
}

// part is where beginnings are kept.
func (f *frameReader) part() *parts {
	if f.parts == nil {
		f.parts = new(parts)
	}
	return f.parts
}

// message is what has arrived of a message in several pieces.
func (f *frameReader) message() []byte {
	if f.parts == nil {
		return nil
	}
	return f.parts.msg
}

// held is how many bytes that takes.
func (f *frameReader) held() int {
	if f.parts == nil {
		return 0
	}
	return cap(f.parts.msg)
}

// validate checks a text from byte valid on, and leaves a character that is cut at
// the end for the next time, unless last.
func (f *frameReader) validate(b []byte, valid int, last bool) bool {
	if last {
		return utf8.Valid(b[valid:])
	}
	end := len(b)
	for i := 1; i <= utf8.UTFMax-1 && end-i >= valid; i++ {
		if utf8.RuneStart(b[end-i]) {
			if !utf8.FullRune(b[end-i:]) {
				end -= i
			}
			break
		}
	}
	if !utf8.Valid(b[valid:end]) {
		return false
	}
	f.part().valid = end
	return true
}

// control takes part of a control frame; it may come between the frames of a
// message.
func (f *frameReader) control(part []byte, sink frameSink) error {
	if f.open || f.parts != nil && len(f.parts.ctl) > 0 {
		p := f.part()
		p.ctl = append(p.ctl, part...)
		part = p.ctl
	}
	if f.open {
		return nil
	}
	if p := f.parts; p != nil {
		p.ctl = nil
		if len(p.msg) == 0 {
			f.parts = nil
		}
	}
	switch f.op {
	case ws.OpPing:
		if f.pings++; f.pings > maxPongs {
			f.late = append(f.late[:0], part...)
			return nil
		}
		return sink.ping(part)
	case ws.OpPong:
		return nil
	}
	// RFC 6455, 5.5.1 and 7.4.
	code := ws.StatusNoStatusRcvd
	if len(part) == 1 {
		return &frameError{ws.StatusProtocolError, "close frame of one byte"}
	}
	if len(part) >= 2 {
		code = ws.StatusCode(binary.BigEndian.Uint16(part))
		reason := string(part[2:])
		if !utf8.ValidString(reason) {
			return &frameError{ws.StatusInvalidFramePayloadData, "close reason that is not UTF-8"}
		}
		if err := ws.CheckCloseFrameData(code, reason); err != nil {
			return &frameError{ws.StatusProtocolError, err.Error()}
		}
		if code >= 5000 {
			return &frameError{ws.StatusProtocolError, "close code out of range"}
		}
	}
	return sink.closing(code)
}
