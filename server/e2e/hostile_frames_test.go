package e2e

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestHostileFrames: what RFC 6455 forbids closes that connection with its
// code, and no other.
func TestHostileFrames(t *testing.T) {
	p := startServer(t, hostileSettings)
	c := startControl(t, p)

	declared := func(n uint64) []byte { // a length and not one byte of it
		return append(binary.BigEndian.AppendUint64([]byte{fin | opText, 0x80 | 127}, n), 1, 2, 3, 4)
	}
	unmasked := []byte("\x81\x0242")
	for _, test := range []struct {
		name  string
		bytes []byte
		code  int
	}{
		{"an unmasked frame", unmasked, 1002},
		{"RSV1", frame(fin|0x40|opText, []byte("42")), 1002},
		{"RSV3", frame(fin|0x10|opText, []byte("42")), 1002},
		{"reserved opcode 3", frame(fin|3, []byte("x")), 1002},
		{"reserved control opcode 11", frame(fin|11, nil), 1002},
		{"a fragmented ping", frame(opPing, []byte("x")), 1002},
		{"a ping of 126 bytes", frame(fin|opPing, make([]byte, 126)), 1002},
		{"a close of one byte", frame(fin|opClose, []byte{3}), 1002},
		{"a close with code 1005", frame(fin|opClose, []byte{0x03, 0xed}), 1002},
		{"a close with code 999", frame(fin|opClose, []byte{0x03, 0xe7}), 1002},
		{"a close with a reason that is no UTF-8", frame(fin|opClose, []byte{0x03, 0xe8, 0xff}), 1007},
		{"a stray continuation", frame(fin|opContinuation, []byte("x")), 1002},
		{"a text within fragments", slices.Concat(frame(opText, []byte("42")), frame(fin|opText, []byte("42"))), 1002},
		{"text that is no UTF-8", frame(fin|opText, []byte("42[\"\xff\xfe\"]")), 1007},
		{"text with a surrogate", frame(fin|opText, []byte("42[\"\xed\xa0\x80\"]")), 1007},
		{"text that is no UTF-8, in fragments", slices.Concat(frame(opText, []byte("42[\"\xe2")), frame(fin|opContinuation, []byte("\"]"))), 1007},
		{"2 MB declared", declared(2_000_000), 1009},
		{"2^62 bytes declared", declared(1 << 62), 1009},
		{"2^63 bytes declared", declared(1 << 63), 1002},
		{"a whole frame over the limit", frame(fin|opText, bytes.Repeat([]byte("4"), 1_000_001)), 1009},
		{"over the limit in fragments", slices.Concat(frame(opText, bytes.Repeat([]byte("4"), 600_000)), frame(fin|opContinuation, make([]byte, 600_000))), 1009},
	} {
		t.Run(test.name, func(t *testing.T) {
			ws := connectWS(t, p.addr)
			go ws.bytes(test.bytes) // the server may stop reading half way
			// 0: the reset that follows unread bytes overtook the close frame.
			if code := ws.closed(); code != test.code && code != 0 && !(test.code == 1002 && code == 1009) {
				t.Errorf("closed with %d, want %d", code, test.code)
			}
		})
	}
	c.advance()

	t.Run("harmless", func(t *testing.T) {
		ws := connectWS(t, p.addr)
		// A fragmented message with a ping within.
		ws.bytes(slices.Concat(frame(opText, []byte(`425["join `)), frame(fin|opPing, []byte("in between")),
			frame(opContinuation, []byte(`room",{"room":"`)), frame(opContinuation, nil), frame(fin|opContinuation, []byte(`fragments 조각"}]`))))
		op, payload, err := ws.read()
		if err != nil || op != opPong || string(payload) != "in between" {
			t.Errorf("the ping was answered by opcode %d, %q, %v", op, payload, err)
		}
		ws.expect(`435[{`)
		ws.bytes(frame(fin|opPong, []byte("unasked")))
		// One byte at a time.
		for _, b := range frame(fin|opText, []byte(`426["leave room",{"room":"fragments 조각"}]`)) {
			ws.bytes([]byte{b})
		}
		ws.expect(`436[{`)
		// A proper goodbye is answered.
		ws.bytes(frame(fin|opClose, []byte{0x03, 0xe8}))
		if code := ws.closed(); code != 1000 {
			t.Errorf("a close with 1000 was answered by %d", code)
		}
	})

	t.Run("cut off half way", func(t *testing.T) {
		whole := slices.Concat(frame(fin|opText, []byte(`451-["file","r",{"_placeholder":true,"num":0}]`)), frame(fin|opBinary, make([]byte, 200)))
		for i := 0; i < len(whole); i += 7 {
			ws := connectWS(t, p.addr)
			ws.bytes(whole[:i])
			ws.conn.Close()
		}
	})

	t.Run("noise", func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		for range 100 {
			ws := connectWS(t, p.addr)
			noise := make([]byte, 1+random.IntN(300))
			for i := range noise {
				noise[i] = byte(random.Uint32())
			}
			ws.bytes(noise)
			ws.conn.Close()

			// Good packets with one byte changed.
			ws = connectWS(t, p.addr)
			good := []byte(`4212["new message",{"room":"noise","message":"안녕","id":"x"}]`)
			good[random.IntN(len(good))] = byte(random.Uint32())
			ws.bytes(frame(fin|opText, good))
			ws.bytes(frame(fin|opClose, nil))
			ws.closed()
		}
	})
	c.advance()
}
