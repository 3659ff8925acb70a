package main

import (
	"encoding/binary"
	"errors"
	"strconv"
)

var errFrame = errors.New("a frame that no server should send")

// nextFrame cuts the first WebSocket frame off b: its opcode, its payload and
// the bytes it took. n is 0 when b holds less than one frame. Server frames
// are unmasked, and the benchmark's are never fragmented (RFC 6455, 5.2).
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
		return 0, nil, 0, errFrame // nothing here is over 64 KiB
	}
	if len(b) < head+size {
		return 0, nil, 0, nil
	}
	return b[0] & 0x0f, b[head : head+size], head + size, nil
}

// appendFrame appends a client's text frame. The mask is four zero bytes:
// legal, and it spares the load generator a pass over the payload.
func appendFrame(dst []byte, text string) []byte {
	dst = append(dst, 0x81)
	if len(text) < 126 {
		dst = append(dst, 0x80|byte(len(text)))
	} else {
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(text)))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, text...)
}

const (
	payloadSize   = 128
	messageDigits = 8
	// deliveryHead is how a delivery starts; the message's number follows.
	deliveryHead = `42["msg","`
)

// message is the payload of message number n: the number, then padding.
func message(n int) string {
	digits := strconv.Itoa(n)
	b := make([]byte, payloadSize)
	for i := range b {
		b[i] = 'x'
	}
	for i := range messageDigits {
		b[i] = '0'
	}
	copy(b[messageDigits-len(digits):], digits)
	return string(b)
}

// messageNumber reads the number back from a delivery; -1 when the packet is
// not one, or is not whole.
func messageNumber(packet []byte) int {
	if len(packet) < len(deliveryHead)+payloadSize || string(packet[:len(deliveryHead)]) != deliveryHead {
		return -1
	}
	n := 0
	for _, c := range packet[len(deliveryHead) : len(deliveryHead)+messageDigits] {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
