package engineio

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// webSocket is a session's WebSocket, or one that is on its way to become that.
type webSocket struct {
	s    *Session
	conn conn
	// ends is when its age is reached (newAge); it stands here for its size.
	ends uint32
	b64  bool // its request asked for base64

	// Owned by the reading goroutine.
	discard bool   // nothing that arrives matters any more
	pongs   uint8  // for Engine.IO's pings (revision 3) in these bytes
	begun   *begun // not nil while a message or frame is incomplete
	probe   *probe // not nil for a candidate
}

// begun is a message, or a frame, that has not come to its end yet. What has come
// of it is held, and control frames may come in between, so silence alone does not
// bound it.
type begun struct {
	w      *webSocket
	frames *frameReader
	timer  entry // Options.BodyTimeout
	intake intake
}

// expired is called by the wheel.
func (b *begun) expired() { b.w.conn.close() }

// reader goes on with what has begun, or begins.
func (w *webSocket) reader() *frameReader {
	if w.begun != nil {
		return w.begun.frames
	}
	return frameReaders.Get().(*frameReader)
}

// keep keeps a reader for the next bytes, if it is within a message or frame, and
// bounds how long that may take, and how much all of them hold.
func (w *webSocket) keep(f *frameReader) error {
	if f.between() {
		w.whole()
		*f = frameReader{}
		frameReaders.Put(f)
		return nil
	}
	srv := w.s.srv
	if w.begun == nil {
		w.begun = &begun{w: w, frames: f, intake: intake{s: srv}}
		w.begun.timer.owner = w.begun
		srv.wheel.set(&w.begun.timer, srv.o.BodyTimeout)
	}
	if !w.begun.intake.hold(f.held()) {
		return &frameError{statusTryAgainLater, errCrowded.Error()}
	}
	return nil
}

// statusTryAgainLater is of IANA's WebSocket Close Code Number Registry.
const statusTryAgainLater ws.StatusCode = 1013

// whole notes that what had begun is there: before it is handled, which may take
// its time.
func (w *webSocket) whole() {
	if w.begun != nil {
		w.s.srv.wheel.remove(&w.begun.timer)
		w.begun.intake.release()
		w.begun = nil
	}
}

// frameReaders are held only within a message.
var frameReaders = sync.Pool{New: func() any { return new(frameReader) }}

// closeFrame has no status, as Node's.
var closeFrame = prepareControl(ws.OpClose, nil)

// errEnded ends a feed when the session, or the candidate, takes no more.
var errEnded = errors.New("ended")

// isUpgrade reports whether a request asks for WebSocket. What asks for another
// protocol is served as if it did not (RFC 9110, 7.8): HTTP clients, such as Java's
// and curl, offer h2c with ordinary requests.
func isUpgrade(r *http.Request) bool {
	for _, v := range r.Header.Values("Upgrade") {
		for protocol := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "websocket") {
				return true
			}
		}
	}
	return false
}

// checkUpgrade reports whether r, which asks for WebSocket, is a handshake that will
// succeed (RFC 6455, 4.2.1), so that refusals can still be ordinary answers.
func checkUpgrade(r *http.Request) bool {
	if r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 ||
		len(r.Header.Get("Sec-WebSocket-Key")) != 24 || r.Header.Get("Sec-WebSocket-Version") != "13" {
		return false
	}
	for _, v := range r.Header.Values("Connection") {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}

// takeOver takes the connection from net/http. buffered is what net/http has read
// beyond the request, answer the handshake's answer, which the caller writes. On an
// error everything has been answered.
func (s *Server) takeOver(w http.ResponseWriter, r *http.Request) (nc net.Conn, buffered, answer []byte, err error) {
	answer = appendSwitching(make([]byte, 0, answerSize), r.Header.Get("Sec-WebSocket-Key"), w.Header())
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "WebSocket is not possible here", http.StatusInternalServerError)
		return nil, nil, nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		peek, _ := rw.Reader.Peek(n)
		// A copy, so that net/http's buffer goes.
		buffered = append(buffered, peek...)
	}
	return nc, buffered, answer, nil
}

// answerSize is room for a handshake's answer and an open packet.
const answerSize = 384

// acceptGUID is RFC 6455's, 1.3.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// appendSwitching appends the answer to a checked handshake (RFC 6455, 4.2.2), with
// the headers that were set on the way here (cookies, CORS).
func appendSwitching(dst []byte, key string, more http.Header) []byte {
	sum := sha1.Sum([]byte(key + acceptGUID))
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	dst = append(dst, "\r\n"...)
	if len(more) > 0 {
		var b bytes.Buffer
		_ = more.Write(&b) // a Buffer takes everything
		dst = append(dst, b.Bytes()...)
	}
	return append(dst, "\r\n"...)
}

// received is called by the conn.
func (w *webSocket) received(b []byte) error {
	if w.discard {
		return nil
	}
	w.pongs = 0
	frames := w.reader()
	err := frames.feed(b, w.s.srv.o.MaxHTTPBufferSize, w)
	if err == nil {
		err = w.keep(frames)
	}
	if err == nil {
		return nil
	}
	// Go on reading, for the reason given in drainedLocked.
	w.discard = true
	w.whole()
	var fe *frameError
	if errors.As(err, &fe) {
		if h := w.s.srv.o.Hooks.FrameError; h != nil {
			h(int(fe.code))
		}
		reason := ReasonTransportError
		if fe.code == ws.StatusInvalidFramePayloadData {
			reason = ReasonParseError
		}
		w.leave(reason, ending{frame: prepareClose(fe.code)})
	}
	return nil
}

// leave ends the session, or, for a candidate, only this WebSocket.
func (w *webSocket) leave(reason string, e ending) {
	if w.probe == nil {
		w.s.finish(reason, e)
		return
	}
	frame := e.frame
	if frame == nil {
		frame = closeFrame
	}
	_ = w.conn.writeAll(frame.wire, time.Second)
	w.abandon(reason)
}

// ended is called by the conn when nothing more can be read.
func (w *webSocket) ended(err error) {
	w.discard = true
	w.whole()
	if w.probe != nil {
		w.abandon("connection ended")
		return
	}
	// Whether the end came with a FIN, a reset or our own close: Node calls a lost
	// connection "transport close" too.
	w.s.abort(ReasonTransportClose)
}

// text, binary, ping and closing are called by the frameReader.

func (w *webSocket) text(b []byte) error {
	w.whole()
	if len(b) == 0 {
		w.leave(ReasonParseError, ending{})
		return errEnded
	}
	p := Packet{Type: b[0] - '0', Data: b[1:]}
	if b[0] == 'b' {
		// Base64, for those who cannot take binary; revision 3 keeps the type digit.
		data := b[1:]
		p.Type = TypeMessage
		if w.s.revision == 3 {
			if len(data) == 0 {
				w.leave(ReasonParseError, ending{})
				return errEnded
			}
			p.Type, data = data[0]-'0', data[1:]
		}
		var err error
		p.Binary = true
		if p.Data, err = decodeBase64(data); err != nil {
			w.leave(ReasonParseError, ending{})
			return errEnded
		}
	}
	return w.packet(p)
}

func (w *webSocket) binary(b []byte) error {
	w.whole()
	p := Packet{Type: TypeMessage, Binary: true, Data: b}
	if w.s.revision == 3 {
		if len(b) == 0 {
			w.leave(ReasonParseError, ending{})
			return errEnded
		}
		p.Type, p.Data = b[0], b[1:]
	}
	return w.packet(p)
}

func (w *webSocket) packet(p Packet) error {
	if p.Type > TypeNoop {
		w.leave(ReasonParseError, ending{})
		return errEnded
	}
	if w.probe != nil {
		if w.probe.arrival != nil {
			return w.arriving(p)
		}
		return w.probing(p)
	}
	if p.Type == TypePing && w.s.revision == 3 {
		// They are all alike, and so are their pongs: the first few are enough.
		if w.pongs == maxPongs {
			w.s.heard()
			return nil
		}
		w.pongs++
	}
	if !w.s.receive(TransportWebSocket, p) {
		return errEnded
	}
	return nil
}

func (w *webSocket) ping(b []byte) error {
	pong := prepareControl(ws.OpPong, b)
	if w.probe != nil {
		return w.conn.writeAll(pong.wire, time.Second)
	}
	if w.s.Queue(pong) != nil {
		return errEnded
	}
	return nil
}

func (w *webSocket) closing(code ws.StatusCode) error {
	frame := closeFrame
	if code != ws.StatusNoStatusRcvd {
		frame = prepareClose(code)
	}
	if w.probe == nil {
		w.s.peerClosing()
	}
	w.leave(ReasonTransportClose, ending{frame: frame, peer: true})
	return errEnded
}

// peerClosing notes that the peer's close frame has come, in case the session is
// closing already.
func (s *Session) peerClosing() {
	s.mu.Lock()
	s.peerClosed = true
	done := s.state == stateClosing && !s.writing && s.queue.count() == 0
	s.mu.Unlock()
	if done {
		s.ws.conn.close()
	}
}

func prepareClose(code ws.StatusCode) *Prepared {
	return prepareControl(ws.OpClose, binary.BigEndian.AppendUint16(nil, uint16(code)))
}
