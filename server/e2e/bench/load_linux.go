package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// load is many raw WebSocket clients (Engine.IO 4, Socket.IO 5) on one epoll
// loop and one goroutine: no goroutine and no buffer per client, so that the
// generator costs far less than what it measures.
type load struct {
	epoll   int
	spin    bool
	clients []client
	rooms   []room
	scratch []byte
	events  []unix.EpollEvent

	ready   int // clients that are connected (and have joined, where asked)
	opening int // handshakes under way

	// The messages under way: indexed by number.
	messages    []published
	outstanding int // messages that somebody has not got yet
	delivered   int
	repeated    int
	latency     histogram // of every delivery
	first       histogram // of each message's first delivery
}

// room is a room and its members, by their place in clients.
type room struct {
	name    string
	members []int32
	sent    int // messages
}

// published is a message: when, to which room, and how many have not got it.
type published struct {
	at            time.Time
	room, missing int32
}

// place is where a client belongs: a server's port, and a room or nowhere.
type place struct{ port, room int32 }

const nowhere = -1

type client struct {
	fd      int
	place   place
	state   state
	partial []byte   // bytes of an unfinished frame; nil almost always
	seen    []uint64 // one bit per message number
}

type state uint8

const (
	dialling state = iota
	upgrading
	connecting
	joining
	connected
)

func newLoad(spin bool) (*load, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &load{epoll: fd, spin: spin, scratch: make([]byte, 256<<10), events: make([]unix.EpollEvent, 512)}, nil
}

// close drops every connection at once; with no lingering there is no
// TIME_WAIT to use up the ports of the next run.
func (l *load) close() {
	for i := range l.clients {
		_ = unix.SetsockoptLinger(l.clients[i].fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(l.clients[i].fd)
	}
	_ = unix.Close(l.epoll)
}

// connect opens a client for each place, at most atOnce handshakes at a time,
// and has it join its room. It returns when the last is connected.
func (l *load) connect(ctx context.Context, places []place, atOnce int) error {
	before := len(l.clients)
	l.clients = slices.Grow(l.clients, len(places))
	all := before + len(places)
	for i, p := range places {
		if p.room == nowhere {
			continue
		}
		for int(p.room) >= len(l.rooms) {
			l.rooms = append(l.rooms, room{name: "bench" + strconv.Itoa(len(l.rooms))})
		}
		l.rooms[p.room].members = append(l.rooms[p.room].members, int32(before+i))
	}
	deadline := time.Now().Add(2 * time.Minute)
	for l.ready < all {
		for l.opening < atOnce && len(l.clients) < all {
			if err := l.dial(places[len(l.clients)-before]); err != nil {
				return fmt.Errorf("dial: %w", err)
			}
		}
		if err := l.poll(100 * time.Millisecond); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d clients connected within two minutes", l.ready, all)
		}
	}
	return nil
}

func (l *load) dial(at place) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(at.port), Addr: [4]byte{127, 0, 0, 1}})
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return errors.Join(err, unix.Close(fd))
	}
	l.clients = append(l.clients, client{fd: fd, place: at})
	l.opening++
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd,
		&unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(len(l.clients) - 1)})
}

// poll handles what has arrived, waiting at most wait for something.
func (l *load) poll(wait time.Duration) error {
	ms := int(wait / time.Millisecond) // rounded down: the caller's clock decides
	if l.spin {
		ms = 0
	}
	n, err := unix.EpollWait(l.epoll, l.events, ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, e := range l.events[:max(n, 0)] {
		c := &l.clients[e.Fd]
		if c.state == dialling {
			if err := l.upgrade(c, e.Fd); err != nil {
				return err
			}
			continue
		}
		if err := l.read(c); err != nil {
			return fmt.Errorf("client %d: %w", e.Fd, err)
		}
	}
	return nil
}

// upgrade sends the WebSocket handshake once TCP is connected. The User-Agent
// is a browser's: that is who gets recovery offsets.
func (l *load) upgrade(c *client, index int32) error {
	if code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		return fmt.Errorf("connect: %w", errors.Join(err, unix.Errno(code)))
	}
	c.state = upgrading
	request := fmt.Sprintf("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"+
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", c.place.port)
	if err := l.write(c, []byte(request)); err != nil {
		return err
	}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: index})
}

// write expects the kernel to take all of it: a client's few bytes always fit.
func (l *load) write(c *client, b []byte) error {
	n, err := unix.Write(c.fd, b)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if n != len(b) {
		return errors.New("write: the kernel took only a part")
	}
	return nil
}

func (l *load) read(c *client) error {
	kept := copy(l.scratch, c.partial)
	n, err := unix.Read(c.fd, l.scratch[kept:])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return errors.New("the server closed the connection")
	}
	now := time.Now()
	b := l.scratch[:kept+n]
	if c.state == upgrading {
		rest, err := handshake(b)
		if err != nil {
			return err
		}
		if rest == nil {
			c.partial = append(c.partial[:0], b...)
			return nil
		}
		c.state, b = connecting, rest
	}
	for {
		op, payload, size, err := nextFrame(b)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		b = b[size:]
		switch op {
		case 1:
			if err := l.packet(c, payload, now); err != nil {
				return err
			}
		case 8:
			return fmt.Errorf("the server closed the WebSocket: %x", payload)
		default:
			return errFrame
		}
	}
	if len(b) == 0 {
		c.partial = nil
	} else {
		c.partial = append(c.partial[:0], b...)
	}
	return nil
}

// handshake returns what follows the 101 answer: nil while that is not whole.
func handshake(b []byte) ([]byte, error) {
	const end = "\r\n\r\n"
	for i := 0; i+len(end) <= len(b); i++ {
		if string(b[i:i+len(end)]) == end {
			if len(b) < 12 || string(b[9:12]) != "101" {
				return nil, fmt.Errorf("the server refused the upgrade: %.40q", b)
			}
			return b[i+len(end):], nil
		}
	}
	return nil, nil
}

func (l *load) packet(c *client, p []byte, now time.Time) error {
	switch {
	case len(p) == 0:
		return errFrame
	case p[0] == '2':
		return l.write(c, appendFrame(nil, "3"))
	case p[0] == '0':
		return l.write(c, appendFrame(nil, "40"))
	case c.state == connecting && len(p) > 2 && string(p[:3]) == "40{":
		if c.place.room == nowhere {
			l.connected(c)
			return nil
		}
		c.state = joining
		return l.write(c, appendFrame(nil, `420["join","`+l.rooms[c.place.room].name+`"]`))
	case c.state == joining && len(p) > 2 && string(p[:3]) == "430":
		l.connected(c)
		return nil
	}
	n := messageNumber(p)
	if n < 0 || n >= len(l.messages) || l.messages[n].room != c.place.room {
		return fmt.Errorf("an unexpected packet: %.80q", p)
	}
	for len(c.seen) <= n/64 {
		c.seen = append(c.seen, 0)
	}
	if c.seen[n/64]&(1<<(n%64)) != 0 {
		l.repeated++
		return nil
	}
	c.seen[n/64] |= 1 << (n % 64)
	l.delivered++
	m := &l.messages[n]
	l.latency.add(now.Sub(m.at), 1)
	if int(m.missing) == len(l.rooms[m.room].members) {
		l.first.add(now.Sub(m.at), 1)
	}
	if m.missing--; m.missing == 0 {
		l.outstanding--
	}
	return nil
}

func (l *load) connected(c *client) {
	c.state = connected
	l.ready++
	l.opening--
}

// publish sends the next message to a room; the members take turns. when is
// the time that latencies count from.
func (l *load) publish(at int, when time.Time) error {
	n, r := len(l.messages), &l.rooms[at]
	l.messages = append(l.messages, published{at: when, room: int32(at), missing: int32(len(r.members))})
	l.outstanding++
	c := &l.clients[r.members[(r.sent*7919)%len(r.members)]]
	r.sent++
	return l.write(c, appendFrame(nil, `42["msg","`+r.name+`","`+message(n)+`"]`))
}

// fanOut is one measured stretch of publishing.
type fanOut struct {
	From, Rooms int           // in turn to so many rooms, from this one on
	Window      int           // messages kept outstanding; used when Rate is 0
	Rate        float64       // messages a second
	WarmUp      time.Duration // not measured
	Measure     time.Duration
}

// run publishes as o says. measured is called when the measured stretch
// begins and when it ends. It then waits for what is still under way and
// returns how many deliveries never came.
func (l *load) run(ctx context.Context, o fanOut, measured func() error) (lost int, err error) {
	start := time.Now()
	begun := false
	next := func(i int) int { return o.From + i%o.Rooms }
	for i := 0; ; {
		now := time.Now()
		if !begun && now.Sub(start) >= o.WarmUp {
			begun = true
			l.latency.reset()
			l.first.reset()
			l.delivered = 0
			if err := measured(); err != nil {
				return 0, err
			}
		}
		if now.Sub(start) >= o.WarmUp+o.Measure {
			break
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		wait := 100 * time.Millisecond
		if o.Rate > 0 {
			for {
				due := start.Add(time.Duration(float64(i) / o.Rate * float64(time.Second)))
				if wait = due.Sub(now); wait > 0 {
					break
				}
				if err := l.publish(next(i), due); err != nil {
					return 0, err
				}
				i++
			}
		} else {
			for l.outstanding < o.Window {
				if err := l.publish(next(i), time.Now()); err != nil {
					return 0, err
				}
				i++
			}
		}
		if err := l.poll(wait); err != nil {
			return 0, err
		}
	}
	if err := measured(); err != nil {
		return 0, err
	}
	for deadline := time.Now().Add(10 * time.Second); l.outstanding > 0 && time.Now().Before(deadline); {
		if err := l.poll(100 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	for _, m := range l.messages {
		lost += int(m.missing)
	}
	return lost, nil
}

// idle keeps the connections open for d, answering heartbeats.
func (l *load) idle(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.poll(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
