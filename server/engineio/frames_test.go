package engineio_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// TestFrames is in the manner of the Autobahn suite: what a client may and may
// not do with frames (RFC 6455, 5 to 7). Each case is sent in one piece and byte
// by byte. want lists what comes back, as op and payload; code is what the server
// then closes with, 0 for no close.
func TestFrames(t *testing.T) {
	t.Parallel()
	text := func(s string) []byte { return frame(0x80|opText, []byte(s)) }
	join := func(fs ...[]byte) []byte { return bytes.Join(fs, nil) }
	closeWith := func(code int, reason string) []byte {
		return frame(0x80|opClose, append([]byte{byte(code >> 8), byte(code)}, reason...))
	}
	const snowman = "4Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xe2\x98\x83"
	pong := func(s string) string { return string(rune(opPong)) + s }
	echo := func(s string) string { return string(rune(opText)) + s }
	x := func(n int) string { return strings.Repeat("x", n) }

	type test struct {
		name string
		send []byte
		want []string
		code int
	}
	tests := []test{
		{"text of 125 bytes", text("4" + x(124)), []string{echo("4" + x(124))}, 0},
		{"text of 126 bytes", text("4" + x(125)), []string{echo("4" + x(125))}, 0},
		{"text of 65535 bytes", text("4" + x(65534)), []string{echo("4" + x(65534))}, 0},
		{"text of 65536 bytes", text("4" + x(65535)), []string{echo("4" + x(65535))}, 0},
		{"several in one segment", join(text("4a"), text("4b"), text("4c")), []string{echo("4a"), echo("4b"), echo("4c")}, 0},
		{"length not in its shortest form", []byte{0x81, 0xfe, 0, 2, 0, 0, 0, 0, '4', 'a'}, []string{echo("4a")}, 0},

		{"ping", frame(0x80|opPing, nil), []string{pong("")}, 0},
		{"ping with data", frame(0x80|opPing, []byte("\x00\xff\xfe")), []string{pong("\x00\xff\xfe")}, 0},
		{"ping of 125 bytes", frame(0x80|opPing, []byte(x(125))), []string{pong(x(125))}, 0},
		{"ping of 126 bytes", frame(0x80|opPing, []byte(x(126))), nil, 1002},
		{"unasked pong", join(frame(0x80|opPong, []byte("hm")), text("4a")), []string{echo("4a")}, 0},
		{"ping in fragments", frame(opPing, []byte("a")), nil, 1002},
		{"pong in fragments", frame(opPong, nil), nil, 1002},

		{"RSV1", frame(0x80|0x40|opText, []byte("4a")), nil, 1002},
		{"RSV2", frame(0x80|0x20|opText, []byte("4a")), nil, 1002},
		{"RSV3 on a ping", frame(0x80|0x10|opPing, nil), nil, 1002},
		{"unmasked text", rawFrame(0x81, false, 2, []byte("4a")), nil, 1002},
		{"unmasked ping", rawFrame(0x80|opPing, false, 0, nil), nil, 1002},
		{"message, then unmasked", join(text("4a"), rawFrame(0x81, false, 2, []byte("4a"))), []string{echo("4a")}, 1002},

		{"fragments", join(frame(opText, []byte("4fra")), frame(0x80, []byte("gment"))), []string{echo("4fragment")}, 0},
		{"empty fragments", join(frame(opText, nil), frame(0, nil), frame(0x80, []byte("4a"))), []string{echo("4a")}, 0},
		{"empty last fragment", join(frame(opText, []byte("4a")), frame(0x80, nil)), []string{echo("4a")}, 0},
		{"many fragments", join(frame(opText, []byte("4")), bytes.Repeat(frame(0, []byte("ab")), 500), frame(0x80, nil)), []string{echo("4" + strings.Repeat("ab", 500))}, 0},
		{"ping between fragments", join(frame(opText, []byte("4fra")), frame(0x80|opPing, []byte("p")), frame(0x80, []byte("gment"))), []string{pong("p"), echo("4fragment")}, 0},
		{"close between fragments", join(frame(opText, []byte("4fra")), closeWith(1000, "")), nil, 1000},
		{"continuation of nothing", frame(0x80, []byte("4a")), nil, 1002},
		{"continuation after a whole message", join(text("4a"), frame(0, []byte("b"))), []string{echo("4a")}, 1002},
		{"text within fragments", join(frame(opText, []byte("4a")), text("4b")), nil, 1002},
		{"binary within text fragments", join(frame(opText, []byte("4a")), frame(0x80|opBinary, []byte("b"))), nil, 1002},

		{"UTF-8", text(snowman), []string{echo(snowman)}, 0},
		{"UTF-8 cut by fragments", join(frame(opText, []byte(snowman[:9])), frame(0, []byte(snowman[9:16])), frame(0x80, []byte(snowman[16:]))), []string{echo(snowman)}, 0},
		{"surrogates and overlong", text("4\xed\xa0\x80"), nil, 1007},
		{"overlong", text("4\xc0\xaf"), nil, 1007},
		{"beyond U+10FFFF", text("4\xf4\x90\x80\x80"), nil, 1007},
		{"cut at the end", text("4\xe2\x98"), nil, 1007},
		{"cut at the end of the last fragment", join(frame(opText, []byte("4a")), frame(0x80, []byte("\xe2\x98"))), nil, 1007},
		// Fails fast: the rest need not come.
		{"bad in the first of endless fragments", frame(opText, []byte("4\xff")), nil, 1007},
		{"bad in the first bytes of a frame", rawFrame(0x81, true, 900_000, []byte("4\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80abc")), nil, 1007},
		{"binary need not be UTF-8", frame(0x80|opBinary, []byte("\xff")), []string{string(rune(opBinary)) + "\xff"}, 0},

		{"announced 1,000,001 bytes", rawFrame(0x81, true, 1_000_001, nil), nil, 1009},
		{"announced 2^62 bytes", rawFrame(0x82, true, 1<<62, nil), nil, 1009},
		{"announced 2^63 bytes", rawFrame(0x82, true, 1<<63, nil), nil, 1002},
		{"too big in fragments", join(frame(opText, []byte("4"+x(600_000))), rawFrame(0x80, true, 400_000, nil)), nil, 1009},

		{"close", frame(0x80|opClose, nil), nil, 1005},
		{"close with a reason", closeWith(1001, "going away"), nil, 1001},
		{"close 3000", closeWith(3000, ""), nil, 3000},
		{"close 4999", closeWith(4999, ""), nil, 4999},
		{"close of one byte", frame(0x80|opClose, []byte{3}), nil, 1002},
		{"close with a bad reason", closeWith(1000, "\xff"), nil, 1007},
		{"close of 126 bytes", closeWith(1000, x(124)), nil, 1002},
		{"data after close", join(closeWith(1000, ""), text("4a"), frame(0x80|opPing, nil)), nil, 1000},
		{"two closes", join(closeWith(1000, ""), closeWith(1002, "")), nil, 1000},
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		tests = append(tests, test{fmt.Sprintf("opcode %x", op), frame(0x80|op, nil), nil, 1002},
			test{fmt.Sprintf("opcode %x after a message", op), join(text("4a"), frame(0x80|op, []byte("x"))), []string{echo("4a")}, 1002})
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		tests = append(tests, test{fmt.Sprintf("close %d", code), closeWith(code, ""), nil, 1002})
	}

	h := start(t, engineio.Options{})
	control := h.dial("&EIO=4")
	control.open()
	for _, tt := range tests {
		for _, bytewise := range []bool{false, true} {
			if bytewise && len(tt.send) > 4000 {
				continue
			}
			name := tt.name
			if bytewise {
				name += ", byte by byte"
			}
			t.Run(name, func(t *testing.T) {
				c := h.dial("&EIO=4")
				c.t = t
				c.open()
				go func() { // the server may stop reading before all is written
					if !bytewise {
						_, _ = c.nc.Write(tt.send)
						return
					}
					_ = c.nc.(*net.TCPConn).SetNoDelay(true)
					for i := range tt.send {
						_, _ = c.nc.Write(tt.send[i : i+1])
						if i < 20 {
							time.Sleep(50 * time.Microsecond)
						}
					}
				}()
				for _, w := range tt.want {
					c.expect(w[0], w[1:])
				}
				switch tt.code {
				case 0:
					c.send("4alive")
					c.expectText("4alive")
				case 1005:
					c.expectClose(0)
				default:
					c.expectClose(tt.code)
				}
			})
		}
	}
	// Nobody else has noticed.
	control.send("4control")
	control.expectText("4control")
}
