package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// socket is one Socket.IO client, whoever implements it, as a member sees it.
type socket interface {
	// emit sends an event with one argument and asks for an acknowledgement.
	// done is called once: with the answer, or with an error when none came in
	// time or the connection was lost. It is called from the socket's own
	// goroutines, never from within emit.
	emit(event string, payload any, done func(answer json.RawMessage, err error))
	// jump leaves the connection half-open and connects anew, as a phone does
	// that changes its network. Sockets that cannot do so by themselves return
	// false.
	jump() bool
	// close leaves for good.
	close()
}

// observer hears what happens to a socket, one call at a time, in the order of
// arrival.
type observer interface {
	connected(recovered bool)
	disconnected(reason string)
	event(name string, payload json.RawMessage)
}

// ackTimeout is how long a client waits for an answer before it sends again.
// The server says "unavailable" sooner when its store is away.
const ackTimeout = 8 * time.Second

var (
	errTimeout = errors.New("no answer in time")
	errGone    = errors.New("the connection was lost")
)

// wsSocket is the load client: raw WebSocket, Engine.IO 3 or 4, Socket.IO v4
// or v5, and recovery by pid and offset as the JavaScript client does it.
type wsSocket struct {
	// Immutable.
	addr     string
	session  string
	revision int
	recovers bool
	to       observer
	stop     context.CancelFunc
	done     chan struct{}

	// Owned by run.
	pid, offset string
	grave       []net.Conn // half-open, closed at the end

	mu     sync.Mutex
	conn   net.Conn // guarded by mu; nil while there is none
	joined bool     // guarded by mu: in the root namespace
	left   bool     // guarded by mu: this connection was left by jump
	broken bool     // guarded by mu: a write failed
	nextID int      // guarded by mu
	acks   map[int]*ackWait
}

type ackWait struct {
	timer *time.Timer
	done  func(json.RawMessage, error)
}

func openWS(ctx context.Context, addr, session string, revision int, recovers bool, to observer) *wsSocket {
	ctx, stop := context.WithCancel(ctx)
	s := &wsSocket{
		addr: addr, session: session, revision: revision, recovers: recovers, to: to, stop: stop,
		done: make(chan struct{}), acks: make(map[int]*ackWait),
	}
	go s.run(ctx)
	return s
}

// run connects again and again until close.
func (s *wsSocket) run(ctx context.Context) {
	defer close(s.done)
	defer func() {
		for _, c := range s.grave {
			_ = c.Close()
		}
	}()
	wait := firstWait
	for ctx.Err() == nil {
		up, jumped, reason := s.connection(ctx)
		switch {
		case up:
			wait = firstWait
		default:
			wait = min(2*wait, longestWait)
		}
		if up {
			s.to.disconnected(reason)
		}
		if !jumped {
			// Half as long to one and a half times as long, as the JavaScript
			// client does, so that not everybody comes at once.
			_ = pause(ctx, wait/2+time.Duration(rand.Int64N(int64(wait))))
		}
	}
}

const (
	firstWait   = 200 * time.Millisecond
	longestWait = 2 * time.Second
)

// connection is one connection from the dialling to its end. up: it was in the
// namespace.
func (s *wsSocket) connection(ctx context.Context) (up, jumped bool, reason string) {
	conn, in, err := s.dial(ctx)
	if err != nil {
		return false, false, err.Error()
	}
	s.mu.Lock()
	s.conn, s.left, s.broken = conn, false, false
	s.mu.Unlock()
	watching := context.AfterFunc(ctx, func() { _ = conn.Close() })
	up, reason = s.read(conn, in)
	watching()

	s.mu.Lock()
	jumped = s.left
	s.conn, s.joined = nil, false
	lost := s.acks
	s.acks = make(map[int]*ackWait)
	s.mu.Unlock()
	if jumped && len(s.grave) < 16 {
		_ = conn.SetDeadline(time.Time{})
		s.grave = append(s.grave, conn)
	} else {
		_ = conn.Close()
	}
	for _, a := range lost {
		a.timer.Stop()
		a.done(nil, errGone)
	}
	return up, jumped, reason
}

func (s *wsSocket) dial(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	q := url.Values{"EIO": {strconv.Itoa(s.revision)}, "transport": {"websocket"}}
	if s.recovers {
		q.Set("recovery", "1")
	}
	if s.revision == 3 {
		q.Set("session", s.session)
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"User-Agent": {"antchat-faults"}})}
	conn, in, _, err := d.Dial(ctx, "ws://"+s.addr+"/socket.io/?"+q.Encode())
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	if in == nil {
		in = bufio.NewReaderSize(conn, 4096)
	}
	return conn, in, nil
}

type openPacket struct {
	PingInterval int64 `json:"pingInterval"`
	PingTimeout  int64 `json:"pingTimeout"`
}

// read handles packets until the connection ends.
func (s *wsSocket) read(conn net.Conn, in *bufio.Reader) (up bool, reason string) {
	silence := 10 * time.Second
	beat := time.NewTimer(time.Hour)
	defer beat.Stop()
	reader := wsutil.Reader{Source: in, State: ws.StateClientSide, CheckUTF8: true, OnIntermediate: wsutil.ControlFrameHandler(conn, ws.StateClientSide)}
	for {
		_ = conn.SetReadDeadline(time.Now().Add(silence))
		if s.ends() {
			return up, "left"
		}
		text, err := nextText(&reader, conn)
		if err != nil {
			return up, err.Error()
		}
		if text == "" {
			continue
		}
		switch kind, body := text[0], text[1:]; kind {
		case '0':
			var open openPacket
			if err := json.Unmarshal([]byte(body), &open); err != nil {
				return up, "an odd open packet"
			}
			silence = time.Duration(open.PingInterval+open.PingTimeout) * time.Millisecond
			if s.revision == 3 {
				// engine.io-protocol v3, "ping": the client's part.
				every := time.Duration(open.PingInterval) * time.Millisecond
				beat.Reset(every)
				stop := make(chan struct{})
				defer close(stop)
				go func() {
					for {
						select {
						case <-beat.C:
							beat.Reset(every)
							_ = s.write(conn, "2")
						case <-stop:
							return
						}
					}
				}()
			} else if err := s.write(conn, "40"+s.auth()); err != nil {
				return up, err.Error()
			}
		case '1':
			return up, "the server closed"
		case '2':
			_ = s.write(conn, "3"+body)
		case '4':
			if err := s.packet(body, &up); err != nil {
				return up, err.Error()
			}
		}
	}
}

// nextText returns the next text message, "" for a frame that carries none.
func nextText(r *wsutil.Reader, conn net.Conn) (string, error) {
	head, err := r.NextFrame()
	if err != nil {
		return "", err
	}
	if head.OpCode.IsControl() {
		return "", wsutil.ControlFrameHandler(conn, ws.StateClientSide)(head, r)
	}
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			if errors.Is(err, io.EOF) {
				return b.String(), nil
			}
			return "", err
		}
	}
}

func (s *wsSocket) auth() string {
	auth := map[string]string{"session": s.session}
	if s.recovers && s.pid != "" {
		auth["pid"] = s.pid
		if s.offset != "" {
			auth["offset"] = s.offset
		}
	}
	b, _ := json.Marshal(auth) // a map of strings
	return string(b)
}

// packet handles a Socket.IO packet of the root namespace.
func (s *wsSocket) packet(p string, up *bool) error {
	if p == "" {
		return errors.New("an empty packet")
	}
	switch kind, body := p[0], p[1:]; kind {
	case '0':
		var accept struct{ PID string }
		if body != "" {
			if err := json.Unmarshal([]byte(body), &accept); err != nil {
				return errors.New("an odd accept")
			}
		}
		recovered := s.pid != "" && accept.PID == s.pid
		if s.recovers {
			s.pid = accept.PID
		}
		s.mu.Lock()
		s.joined = true
		s.mu.Unlock()
		*up = true
		s.to.connected(recovered)
	case '1':
		return errors.New("the server disconnected the socket")
	case '2':
		digits := 0
		for digits < len(body) && body[digits] >= '0' && body[digits] <= '9' {
			digits++
		}
		var args []json.RawMessage
		var name string
		if err := json.Unmarshal([]byte(body[digits:]), &args); err != nil || len(args) == 0 || json.Unmarshal(args[0], &name) != nil {
			return errors.New("an odd event")
		}
		var last string
		if s.recovers && s.pid != "" && json.Unmarshal(args[len(args)-1], &last) == nil {
			s.offset = last
		}
		args = append(args, nil)
		s.to.event(name, args[1])
	case '3':
		digits := 0
		for digits < len(body) && body[digits] >= '0' && body[digits] <= '9' {
			digits++
		}
		id, _ := strconv.Atoi(body[:digits])
		var args []json.RawMessage
		if err := json.Unmarshal([]byte(body[digits:]), &args); err != nil {
			return errors.New("an odd acknowledgement")
		}
		args = append(args, nil)
		s.settle(id, args[0], nil)
	case '4':
		// Worth another try: a node that cannot reach its store says so here.
		return errors.New("connect refused: " + body)
	default:
		return fmt.Errorf("an odd packet %.20q", p)
	}
	return nil
}

func (s *wsSocket) settle(id int, answer json.RawMessage, err error) {
	s.mu.Lock()
	a := s.acks[id]
	delete(s.acks, id)
	s.mu.Unlock()
	if a != nil {
		a.timer.Stop()
		a.done(answer, err)
	}
}

func (s *wsSocket) emit(event string, payload any, done func(json.RawMessage, error)) {
	data, err := json.Marshal([]any{event, payload})
	s.mu.Lock()
	conn := s.conn
	if err != nil || !s.joined || s.left {
		s.mu.Unlock()
		go done(nil, errGone)
		return
	}
	s.nextID++
	id := s.nextID
	s.acks[id] = &ackWait{timer: time.AfterFunc(ackTimeout, func() { s.settle(id, nil, errTimeout) }), done: done}
	s.mu.Unlock()
	if s.write(conn, "42"+strconv.Itoa(id)+string(data)) != nil {
		s.mu.Lock()
		s.broken = s.conn == conn
		s.mu.Unlock()
		_ = conn.SetReadDeadline(time.Now()) // read notices, and settles the ack
	}
}

// ends says that the connection is of no use any more. Who decides so sets the
// read deadline after it, so that read looks.
func (s *wsSocket) ends() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left || s.broken
}

func (s *wsSocket) write(conn net.Conn, text string) error {
	frame := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(text))))
	_ = conn.SetWriteDeadline(time.Now().Add(4 * time.Second))
	_, err := conn.Write(frame) // whole frames: net.Conn's Write is atomic towards other writers
	return err
}

func (s *wsSocket) jump() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.joined {
		s.left = true
		_ = s.conn.SetReadDeadline(time.Now())
	}
	return true
}

func (s *wsSocket) close() {
	s.stop()
	<-s.done
}
