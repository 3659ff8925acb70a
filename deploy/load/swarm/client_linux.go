package swarm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Client is one client of a swarm. Its exported fields may be set by whoever
// drives the swarm.
type Client struct {
	// Index counts clients in the order in which they were opened, from 0.
	Index int
	// PID and Offset are what connection state recovery needs: kept over a loss,
	// and shown by Open. SID is the socket's id, "" in revision 3.
	SID, PID string
	Offset   []byte
	// KeepOffset copies the offset of every event; leave it off where nobody
	// recovers.
	KeepOffset bool
	// Recovered says that the last connection went on with the same socket.
	Recovered bool

	s        *Swarm
	place    Place
	state    state
	life     int           // counts connections
	interval time.Duration // of heartbeats, in revision 3
	sid      string        // of Engine.IO
	main     *conn         // the WebSocket, or the polls
	post     *conn         // polling: what is sent
	outbox   []byte        // polling: a payload that waits for its turn
	backlog  []string      // WebSocket: packets sent before it was open
}

type state uint8

const (
	away state = iota
	opening
	connecting // Engine.IO is open
	connected  // Socket.IO too
)

// NewClient makes a client that is not connected yet.
func (s *Swarm) NewClient(index int, p Place) *Client {
	if p.Path == "" {
		p.Path = "/socket.io/"
	}
	if p.Revision == 0 {
		p.Revision = 4
	}
	return &Client{Index: index, s: s, place: p}
}

// Place is where the client connects to.
func (c *Client) Place() Place { return c.place }

// Move sets where the client connects to from the next Open on.
func (c *Client) Move(server Place) { c.place.Server = server.Server }

// Connected says whether the server has the client in "/".
func (c *Client) Connected() bool { return c.state == connected }

// Open begins to connect; the handler hears Connected or Closed. With a PID it
// asks for recovery. An error means that this machine cannot: out of files, or
// of ports.
func (c *Client) Open() error {
	if c.state != away {
		return errors.New("the client is connected")
	}
	c.life++
	c.sid, c.interval = "", 0
	transport := "websocket"
	if c.place.Polling {
		transport = "polling"
	}
	address := c.address(transport)
	if c.s.o.Query != "" {
		address += "&" + c.s.o.Query
	}
	request := c.request("GET", address, "")
	if !c.place.Polling {
		request = strings.TrimSuffix(request, "\r\n") + "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	}
	t, err := c.s.dial(c, request)
	if err != nil {
		return err
	}
	t.busy = true
	c.main, c.state = t, opening
	return nil
}

func (c *Client) address(transport string) string {
	a := c.place.Path + "?EIO=" + strconv.Itoa(c.place.Revision) + "&transport=" + transport
	if c.sid != "" {
		a += "&sid=" + c.sid
	}
	return a
}

func (c *Client) request(method, address, body string) string {
	length := ""
	if method == "POST" {
		length = "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return method + " " + address + " HTTP/1.1\r\nHost: " + c.place.Server.String() + "\r\nUser-Agent: " + c.s.o.UserAgent + "\r\n" + length + "\r\n" + body
}

// Drop cuts the client off without a word, as a lost network does.
func (c *Client) Drop() {
	for _, t := range []*conn{c.main, c.post} {
		if t != nil {
			t.close()
		}
	}
	c.main, c.post, c.outbox, c.backlog, c.state = nil, nil, nil, nil, away
}

// Pause stops the client from reading, and lets it read again.
func (c *Client) Pause(on bool) error {
	if c.main == nil {
		return nil
	}
	c.main.paused = on
	return c.main.interest()
}

// Emit sends an event: array is its name and arguments in JSON.
func (c *Client) Emit(array string) { c.end(c.send("42" + array)) }

// EmitAck is Emit with an acknowledgement, which comes with the id.
func (c *Client) EmitAck(id int, array string) { c.end(c.send("42" + strconv.Itoa(id) + array)) }

// send sends one Engine.IO packet.
func (c *Client) send(packet string) error {
	switch {
	case c.state < connecting:
		return nil // lost with the connection
	case !c.place.Polling:
		c.s.frame = appendFrame(c.s.frame[:0], 1, packet)
		return c.main.write(c.s.frame)
	}
	c.outbox = appendPacket(c.place.Revision, c.outbox, packet)
	return c.deliver()
}

// deliver posts what waits, one request at a time.
func (c *Client) deliver() error {
	if len(c.outbox) == 0 || c.post != nil && (c.post.busy || c.post.dialing) {
		return nil
	}
	request := c.request("POST", c.address("polling"), string(c.outbox))
	c.outbox = c.outbox[:0]
	if c.post == nil {
		t, err := c.s.dial(c, request)
		if err != nil {
			return err
		}
		t.busy = true
		c.post = t
		return nil
	}
	c.post.busy = true
	return c.post.write([]byte(request))
}

// poll asks for more.
func (c *Client) poll() error {
	request := c.request("GET", c.address("polling"), "")
	if c.main == nil {
		t, err := c.s.dial(c, request)
		if err != nil {
			return err
		}
		t.busy = true
		c.main = t
		return nil
	}
	c.main.busy = true
	return c.main.write([]byte(request))
}

// failed takes the end of a connection. One that a server closes between two
// requests is made again.
func (c *Client) failed(t *conn, err error) {
	if err == nil || c.s.conns[t.number] != t {
		return
	}
	if c.place.Polling && !t.busy && errors.Is(err, errEnd) {
		t.close()
		if t == c.post {
			c.post = nil
		} else {
			c.main = nil
		}
		return
	}
	c.end(err)
}

// end is the end of the client's connection, if err says so.
func (c *Client) end(err error) {
	if err == nil || c.state == away {
		return
	}
	c.Drop()
	c.s.handler.Closed(c, err)
}

// arrived handles what a connection brought, and returns what is not whole.
func (c *Client) arrived(t *conn, b []byte, at time.Time) (rest []byte, err error) {
	if c.place.Polling || c.state == opening {
		if b, err = c.answers(t, b, at); err != nil || c.place.Polling || c.state == opening {
			return b, err
		}
	}
	life := c.life
	for c.main == t && c.life == life {
		op, payload, size, err := nextFrame(b)
		if err != nil {
			return nil, err
		}
		if size == 0 {
			return b, nil
		}
		b = b[size:]
		switch op {
		case 1:
			err = c.packet(payload, at)
		case 8:
			err = fmt.Errorf("the server closed the WebSocket: %x", payload)
		case 9:
			c.s.frame = appendFrame(c.s.frame[:0], 10, string(payload))
			err = t.write(c.s.frame)
		case 10:
		default:
			err = errFrame
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// answers handles answers in HTTP: to polls, posts and the upgrade.
func (c *Client) answers(t *conn, b []byte, at time.Time) (rest []byte, err error) {
	life := c.life
	for {
		r, n, err := nextResponse(b)
		if err != nil || n == 0 {
			return b, err
		}
		b = b[n:]
		if c.state == opening && !c.place.Polling {
			if r.status != 101 {
				return nil, r.refused()
			}
			c.state = connecting
			return b, nil
		}
		if r.status != 200 {
			return nil, r.refused()
		}
		t.busy = false
		if t == c.main {
			if c.state == opening {
				c.state = connecting
			}
			err = packets(c.place.Revision, r.body, func(packet []byte) error {
				if c.life != life || c.state == away {
					return nil
				}
				return c.packet(packet, at)
			})
		}
		if err != nil || c.life != life || c.state == away {
			return nil, err
		}
		isPost := t == c.post
		if r.close {
			t.close()
			if isPost {
				c.post = nil
			} else {
				c.main = nil
			}
		}
		if isPost {
			err = c.deliver()
		} else {
			err = c.poll()
		}
		if err != nil || r.close {
			return nil, err
		}
	}
}

// packet handles one Engine.IO packet.
func (c *Client) packet(p []byte, at time.Time) error {
	if len(p) == 0 {
		return errPayload
	}
	switch p[0] {
	case '0':
		c.sid = field(p, "sid")
		if c.place.Revision == 3 {
			// The server connects by itself; the client pings.
			c.interval = time.Duration(number(p, "pingInterval")) * time.Millisecond
			c.s.later(c, at)
			return nil
		}
		connect := "40"
		if c.PID != "" && len(c.Offset) > 0 {
			connect += `{"pid":"` + c.PID + `","offset":"` + string(c.Offset) + `"}`
		}
		return c.send(connect)
	case '1':
		return errors.New("the server closed the session")
	case '2':
		return c.send("3" + string(p[1:]))
	case '4':
		return c.message(p[1:], at)
	}
	return nil // pong, noop
}

// message handles one Socket.IO packet of the namespace "/".
func (c *Client) message(p []byte, at time.Time) error {
	if len(p) == 0 {
		return errPayload
	}
	switch p[0] {
	case '0':
		if c.state != connecting {
			return errors.New("connected twice")
		}
		c.state = connected
		sid, pid := field(p, "sid"), field(p, "pid")
		c.Recovered = sid != "" && sid == c.SID
		if pid != c.PID {
			c.Offset = c.Offset[:0] // another session's
		}
		c.SID, c.PID = sid, pid
		c.s.handler.Connected(c)
	case '1':
		return errors.New("the server disconnected the socket")
	case '2':
		_, array := cutID(p[1:])
		if c.KeepOffset && c.PID != "" {
			if offset := lastString(array); offset != nil {
				c.Offset = append(c.Offset[:0], offset...)
			}
		}
		c.s.handler.Event(c, array, at)
	case '3':
		if id, array := cutID(p[1:]); id >= 0 {
			c.s.handler.Ack(c, id, array, at)
		}
	case '4':
		return fmt.Errorf("the server refused the socket: %.100s", p[1:])
	}
	return nil
}
