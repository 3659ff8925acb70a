package e2e

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// rawWS is a WebSocket by hand: it can send what no library would.
type rawWS struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dialWS opens a WebSocket with the given query, such as
// "EIO=4&transport=websocket".
func dialWS(t *testing.T, addr, query string) *rawWS {
	t.Helper()
	ws, status, err := tryWS(t, addr, query, "")
	if err != nil || status != http.StatusSwitchingProtocols {
		t.Fatalf("WebSocket with %s: status %d, %v", query, status, err)
	}
	return ws
}

// tryWS is dialWS for those who expect a refusal. headers are further lines,
// each ending in CRLF.
func tryWS(t *testing.T, addr, query, headers string) (*rawWS, int, error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, deadline)
	if err != nil {
		return nil, 0, err
	}
	t.Cleanup(func() { conn.Close() })
	ws := &rawWS{t: t, conn: conn, in: bufio.NewReaderSize(conn, 512)}
	_ = conn.SetDeadline(time.Now().Add(deadline))
	if _, err := fmt.Fprintf(conn, "GET /socket.io/?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", query, addr, headers); err != nil {
		return nil, 0, err
	}
	resp, err := http.ReadResponse(ws.in, nil)
	if err != nil {
		return nil, 0, err
	}
	resp.Body.Close()
	return ws, resp.StatusCode, nil
}

// connectWS opens a revision 4 WebSocket and joins the root namespace.
func connectWS(t *testing.T, addr string) *rawWS {
	t.Helper()
	ws := openWS(t, addr)
	ws.text("40")
	ws.expect("40{")
	return ws
}

// openWS opens a revision 4 session that is in no namespace yet.
func openWS(t *testing.T, addr string) *rawWS {
	t.Helper()
	ws := dialWS(t, addr, "EIO=4&transport=websocket")
	ws.expect("0{")
	return ws
}

// Opcodes of RFC 6455.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// frame is a masked frame; head is the first byte whole (FIN, RSV, opcode).
func frame(head byte, payload []byte) []byte {
	b := []byte{head}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

const fin = 0x80

// text sends a text frame; a failing write shows at the next read.
func (ws *rawWS) text(s string) { ws.bytes(frame(fin|opText, []byte(s))) }

func (ws *rawWS) bytes(b []byte) {
	_ = ws.conn.SetWriteDeadline(time.Now().Add(deadline))
	_, _ = ws.conn.Write(b)
}

var errTooLong = errors.New("the server sent a frame over 4 MiB")

// read returns the next frame.
func (ws *rawWS) read() (op byte, payload []byte, err error) {
	return ws.readUntil(time.Now().Add(deadline))
}

func (ws *rawWS) readUntil(end time.Time) (op byte, payload []byte, err error) {
	_ = ws.conn.SetReadDeadline(end)
	var head [2]byte
	if _, err := io.ReadFull(ws.in, head[:]); err != nil {
		return 0, nil, err
	}
	if head[1]&0x80 != 0 || head[0]&0x70 != 0 {
		return 0, nil, fmt.Errorf("the server sent a masked frame or reserved bits: %x", head)
	}
	size := uint64(head[1])
	switch size {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(ws.in, b[:]); err != nil {
			return 0, nil, err
		}
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(ws.in, b[:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(b[:])
	}
	if size > 4<<20 {
		return 0, nil, errTooLong
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(ws.in, payload)
	return head[0] & 0x0f, payload, err
}

// packet returns the next Engine.IO packet, answering heartbeats.
func (ws *rawWS) packet() (string, error) { return ws.packetUntil(time.Now().Add(deadline)) }

func (ws *rawWS) packetUntil(end time.Time) (string, error) {
	for {
		op, payload, err := ws.readUntil(end)
		switch {
		case err != nil:
			return "", err
		case op == opClose:
			return "", closedError(payload)
		case op == opPing:
			ws.bytes(frame(fin|opPong, payload))
		case op == opText && string(payload) == "2":
			ws.text("3")
		case op == opText || op == opBinary:
			return string(payload), nil
		}
	}
}

// closedError is the close frame's payload.
type closedError []byte

// code is 1005 when there was none.
func (e closedError) code() int {
	if len(e) < 2 {
		return 1005
	}
	return int(binary.BigEndian.Uint16(e))
}

func (e closedError) Error() string {
	return fmt.Sprintf("closed with %d %q", e.code(), string(e[min(2, len(e)):]))
}

// expect reads until a packet with that prefix and returns it whole.
func (ws *rawWS) expect(prefix string) string {
	ws.t.Helper()
	for {
		p, err := ws.packet()
		if err != nil {
			ws.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(p, prefix) {
			return p
		}
	}
}

// closed reads until the server has ended the connection: the close frame's
// code, 1005 for one without, 0 when there was no close frame.
func (ws *rawWS) closed() int {
	ws.t.Helper()
	for end := time.Now().Add(deadline); ; {
		_, err := ws.packetUntil(end)
		var c closedError
		switch {
		case err == nil:
		case errors.As(err, &c):
			return c.code()
		case timedOut(err):
			ws.t.Fatal("the server keeps the connection open")
		default:
			return 0
		}
	}
}

// call emits an event with an acknowledgement and decodes its first argument
// into out. Events that come in between are dropped.
func (ws *rawWS) call(out any, event string, args ...any) error {
	data, err := json.Marshal(append([]any{event}, args...))
	if err != nil {
		return err
	}
	ws.text("421" + string(data))
	for {
		p, err := ws.packet()
		if err != nil {
			return err
		}
		answer, ok := strings.CutPrefix(p, "431")
		if !ok {
			continue
		}
		values := []any{out}
		return json.Unmarshal([]byte(answer), &values)
	}
}

// mustCall is call, for what must not fail.
func (ws *rawWS) mustCall(out any, event string, args ...any) {
	ws.t.Helper()
	var raw json.RawMessage
	if err := ws.call(&raw, event, args...); err != nil {
		ws.t.Fatalf("%s: %v", event, err)
	}
	if refused(raw) {
		ws.t.Fatalf("%s: %s", event, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			ws.t.Fatalf("%s: %v in %s", event, err, raw)
		}
	}
}

// refused: the acknowledgement is an error.
func refused(ack json.RawMessage) bool {
	var answer struct{ Error json.RawMessage }
	return json.Unmarshal(ack, &answer) == nil && answer.Error != nil
}

// timedOut: a deadline passed, as against an end of the connection.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
