package swarm

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Handler is told what happens. Bytes are valid during the call only.
type Handler interface {
	// Connected: the server has taken the client into "/".
	Connected(c *Client)
	// Event came: the array of its name and arguments, in JSON.
	Event(c *Client, array []byte, at time.Time)
	// Ack of EmitAck came: the array of its arguments.
	Ack(c *Client, id int, array []byte, at time.Time)
	// Closed: the client has no connection any more, and has had one or tried to.
	// It is not called for Drop.
	Closed(c *Client, err error)
}

// Options of a swarm. The zero value is ready to use.
type Options struct {
	// Spin lets Poll look without sleeping, so that wake-ups of this process
	// stay out of a server's bill.
	Spin bool
	// UserAgent of every request; that of a browser when empty, which is who
	// gets offsets for recovery.
	UserAgent string
	// Query is added to the address of each handshake: "recovery=1".
	Query string
}

const browser = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

// Swarm is the clients and the one loop that drives them. It may be used by one
// goroutine at a time.
type Swarm struct {
	o       Options
	handler Handler
	epoll   int
	scratch []byte
	frame   []byte // for writing
	events  []unix.EpollEvent
	conns   []*conn // by the number that epoll knows
	free    []int32 // numbers to use again
	freed   []int32 // the same from the next Poll on
	pings   []ping  // of revision 3, ascending by time from head on
	head    int

	// Sent and Received count bytes on the wire, in the server's terms of HTTP
	// and frames; below them is only TCP.
	Sent, Received uint64
}

// Place is where a client connects, and how.
type Place struct {
	// Server is the address; Path is "/socket.io/" when empty.
	Server netip.AddrPort
	Path   string
	// Source is the address to come from; the system's choice when invalid.
	Source netip.Addr
	// Revision of Engine.IO: 4, or 3; 0 means 4.
	Revision int
	// Polling instead of WebSocket.
	Polling bool
	// ReceiveBuffer (SO_RCVBUF) and MaxSegment (TCP_MAXSEG) are those of a client
	// on a narrow link, in bytes: what the kernels hold for it is then little. The
	// system's choice when 0.
	ReceiveBuffer, MaxSegment int
}

// New makes a swarm without clients.
func New(handler Handler, o Options) (*Swarm, error) {
	if o.UserAgent == "" {
		o.UserAgent = browser
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &Swarm{o: o, handler: handler, epoll: fd, scratch: make([]byte, maxPiece+(256<<10)), events: make([]unix.EpollEvent, 512)}, nil
}

// Close drops every connection at once.
func (s *Swarm) Close() {
	for _, c := range s.conns {
		if c != nil {
			c.close()
		}
	}
	_ = unix.Close(s.epoll)
}

// conn is one TCP connection of a client.
type conn struct {
	s       *Swarm
	c       *Client
	fd      int
	number  int32
	dialing bool
	paused  bool
	busy    bool   // a request is under way (polling)
	partial []byte // of an unfinished piece; nil almost always
	out     []byte // what the kernel has not taken yet; nil almost always
	// then is what is sent once the connection is there.
	then string
}

// dial begins a connection.
func (s *Swarm) dial(c *Client, first string) (*conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	fail := func(what string, err error) (*conn, error) {
		return nil, fmt.Errorf("%s: %w", what, errors.Join(err, unix.Close(fd)))
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fail("TCP_NODELAY", err)
	}
	if n := c.place.ReceiveBuffer; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n); err != nil {
			return fail("SO_RCVBUF", err)
		}
	}
	if n := c.place.MaxSegment; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, n); err != nil {
			return fail("TCP_MAXSEG", err)
		}
	}
	if c.place.Source.IsValid() {
		// The port is chosen when the destination is known: so each pair of
		// addresses has all of them.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return fail("IP_BIND_ADDRESS_NO_PORT", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: c.place.Source.As4()}); err != nil {
			return fail("bind to "+c.place.Source.String(), err)
		}
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(c.place.Server.Port()), Addr: c.place.Server.Addr().As4()})
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fail("connect", err)
	}
	t := &conn{s: s, c: c, fd: fd, dialing: true, then: first}
	if n := len(s.free); n > 0 {
		t.number, s.free = s.free[n-1], s.free[:n-1]
		s.conns[t.number] = t
	} else {
		t.number = int32(len(s.conns))
		s.conns = append(s.conns, t)
	}
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: t.number}); err != nil {
		s.conns[t.number] = nil
		s.freed = append(s.freed, t.number)
		return fail("epoll", err)
	}
	return t, nil
}

// close drops the connection at once; without lingering there is no TIME_WAIT
// to use up ports.
func (t *conn) close() {
	_ = unix.SetsockoptLinger(t.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(t.fd)
	t.s.conns[t.number] = nil
	t.s.freed = append(t.s.freed, t.number)
	t.partial, t.out = nil, nil
}

func (t *conn) interest() error {
	var events uint32
	if !t.paused {
		events = unix.EPOLLIN
	}
	if t.dialing || len(t.out) > 0 {
		events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(t.s.epoll, unix.EPOLL_CTL_MOD, t.fd, &unix.EpollEvent{Events: events, Fd: t.number})
}

// write sends b, and keeps what the kernel does not take.
func (t *conn) write(b []byte) error {
	t.s.Sent += uint64(len(b))
	if len(t.out) > 0 {
		if len(t.out) > maxPiece {
			return errors.New("the server does not read")
		}
		t.out = append(t.out, b...)
		return nil
	}
	n, err := unix.Write(t.fd, b)
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("write: %w", err)
	}
	if n = max(n, 0); n < len(b) {
		t.out = append(t.out, b[n:]...)
		return t.interest()
	}
	return nil
}

func (t *conn) flush() error {
	n, err := unix.Write(t.fd, t.out)
	if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("write: %w", err)
	}
	if t.out = t.out[max(n, 0):]; len(t.out) == 0 {
		t.out = nil
		return t.interest()
	}
	return nil
}

// ready handles what epoll says of the connection.
func (t *conn) ready(events uint32) error {
	if t.dialing {
		if code, err := unix.GetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			return fmt.Errorf("connect: %w", errors.Join(err, unix.Errno(code)))
		}
		t.dialing = false
		if err := t.interest(); err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		first := t.then
		t.then = ""
		return t.write([]byte(first))
	}
	if events&unix.EPOLLOUT != 0 && len(t.out) > 0 {
		if err := t.flush(); err != nil {
			return err
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		return t.read()
	}
	return nil
}

func (t *conn) read() error {
	s := t.s
	kept := copy(s.scratch, t.partial)
	n, err := unix.Read(t.fd, s.scratch[kept:])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return errEnd
	}
	s.Received += uint64(n)
	rest, err := t.c.arrived(t, s.scratch[:kept+n], time.Now())
	switch {
	case err != nil:
		return err
	case s.conns[t.number] != t: // closed by the handler
	case len(rest) == 0:
		t.partial = nil
	case len(rest) > maxPiece:
		return errFrame
	default:
		t.partial = append(t.partial[:0], rest...)
	}
	return nil
}

var errEnd = errors.New("the server closed the connection")

// ping is when a client of revision 3 says that it lives.
type ping struct {
	c    *Client
	life int
	at   time.Time
}

// Poll handles what has arrived, waiting at most wait for something. An error is
// the loop's own; a client's goes to the handler.
func (s *Swarm) Poll(wait time.Duration) error {
	s.free = append(s.free, s.freed...)
	s.freed = s.freed[:0]
	now := time.Now()
	for s.head < len(s.pings) && !s.pings[s.head].at.After(now) {
		p := s.pings[s.head]
		if s.head++; s.head > 4096 && s.head > len(s.pings)/2 {
			s.pings = append(s.pings[:0], s.pings[s.head:]...)
			s.head = 0
		}
		if p.c.life == p.life && p.c.state != away {
			p.c.end(p.c.send("2"))
			s.later(p.c, now)
		}
	}
	ms := int(wait / time.Millisecond) // rounded down: the caller's clock decides
	if s.o.Spin {
		ms = 0
	}
	if s.head < len(s.pings) {
		ms = min(ms, max(int(s.pings[s.head].at.Sub(now)/time.Millisecond), 0))
	}
	n, err := unix.EpollWait(s.epoll, s.events, ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, e := range s.events[:max(n, 0)] {
		if t := s.conns[e.Fd]; t != nil {
			t.c.failed(t, t.ready(e.Events))
		}
	}
	return nil
}

// later has a client of revision 3 ping in its interval.
func (s *Swarm) later(c *Client, now time.Time) {
	if c.interval > 0 {
		s.pings = append(s.pings, ping{c, c.life, now.Add(c.interval)})
	}
}
