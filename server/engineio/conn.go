package engineio

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// conn is a hijacked connection: the connection layer's one interface. This form
// has a goroutine per connection, which waits without a buffer; a poller can
// stand behind the same methods.
//
// write and writeAll are called by one goroutine at a time; close and shutdown
// at any time, by anyone.
type conn interface {
	// start hands what arrives to r, beginning with buffered, until the
	// connection ends or r returns an error. spawn runs a goroutine that the owner
	// waits for.
	start(r receiver, buffered []byte, spawn func(func()))
	// write writes what the kernel takes at once and never blocks. n < len(b)
	// with a nil error means that no more can be written without waiting.
	write(b []byte) (n int, err error)
	// writeAll writes all of b and may block, for timeout at most; then the
	// error is a net.Error with Timeout.
	writeAll(b []byte, timeout time.Duration) error
	// shutdown says that no more will be written.
	shutdown()
	// close ends the connection, and with it a blocked writeAll, without blocking.
	close()
}

// receiver is told what a conn reads, on one goroutine at a time.
type receiver interface {
	// received may change b, which is valid only during the call. It may block:
	// then nothing more is read. An error ends the reading.
	received(b []byte) error
	// ended is called once, last: with io.EOF if the peer closed, with received's
	// own error, or with what went wrong.
	ended(err error)
}

// readSize is what one read takes. Buffers are held only while there are bytes
// to handle.
const readSize = 8 << 10

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// newConn wraps a connection taken from net/http.
func newConn(nc net.Conn) conn {
	if sc, ok := nc.(syscall.Conn); ok && canDirect {
		if raw, err := sc.SyscallConn(); err == nil {
			c := &directConn{nc: nc, raw: raw}
			c.readable = c.readNow
			return c
		}
	}
	return &plainConn{nc: nc}
}

// directConn reads and writes a descriptor without blocking.
type directConn struct {
	nc  net.Conn
	raw syscall.RawConn

	// owned by the reading goroutine
	readable func(fd uintptr) bool // readNow, made once
	buf      *[readSize]byte
	n        int
	err      error
}

func (c *directConn) start(r receiver, buffered []byte, spawn func(func())) {
	spawn(func() { r.ended(c.read(r, buffered)) })
}

func (c *directConn) read(r receiver, buffered []byte) error {
	if len(buffered) > 0 {
		if err := r.received(buffered); err != nil {
			return err
		}
		buffered = nil
	}
	for {
		// Returns when readNow has read something, and waits between its calls.
		if err := c.raw.Read(c.readable); err != nil {
			return err
		}
		if c.err != nil {
			return c.err
		}
		err := r.received(c.buf[:c.n])
		readBuffers.Put(c.buf)
		c.buf = nil
		if err != nil {
			return err
		}
	}
}

// readNow takes a buffer only if there is something to put into it, so that a
// silent connection holds none. It returns false to wait.
func (c *directConn) readNow(fd uintptr) bool {
	buf := readBuffers.Get().(*[readSize]byte)
	n, errno := readDirect(fd, buf[:])
	switch {
	case errno == syscall.EAGAIN:
		readBuffers.Put(buf)
		return false
	case errno != 0:
		readBuffers.Put(buf)
		c.err = errno
	case n == 0:
		readBuffers.Put(buf)
		c.err = io.EOF
	default:
		c.buf, c.n = buf, n
	}
	return true
}

func (c *directConn) write(b []byte) (int, error) { return writeDirect(c.raw, b) }

func (c *directConn) writeAll(b []byte, timeout time.Duration) error {
	return writeBlocking(c.nc, b, timeout)
}

func (c *directConn) shutdown() { shutdownConn(c.nc) }

func (c *directConn) close() { c.nc.Close() }

// plainConn is any net.Conn: TLS that ends here, net.Pipe in tests, systems
// without the direct form. It holds a read buffer, and every write waits on a
// goroutine.
type plainConn struct {
	nc net.Conn
}

func (c *plainConn) start(r receiver, buffered []byte, spawn func(func())) {
	spawn(func() { r.ended(c.read(r, buffered)) })
}

func (c *plainConn) read(r receiver, buffered []byte) error {
	if len(buffered) > 0 {
		if err := r.received(buffered); err != nil {
			return err
		}
		buffered = nil
	}
	var buf [4 << 10]byte
	for {
		n, err := c.nc.Read(buf[:])
		if n > 0 {
			if err := r.received(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

func (c *plainConn) write([]byte) (int, error) { return 0, nil }

func (c *plainConn) writeAll(b []byte, timeout time.Duration) error {
	return writeBlocking(c.nc, b, timeout)
}

func (c *plainConn) shutdown() { shutdownConn(c.nc) }

func (c *plainConn) close() {
	// Closing TLS says goodbye first, which can block: close below it.
	if t, ok := c.nc.(interface{ NetConn() net.Conn }); ok {
		t.NetConn().Close()
		return
	}
	c.nc.Close()
}

func writeBlocking(nc net.Conn, b []byte, timeout time.Duration) error {
	nc.SetWriteDeadline(time.Now().Add(timeout))
	_, err := nc.Write(b)
	nc.SetWriteDeadline(time.Time{})
	return err
}

// shutdownConn closes the writing half where there is one.
func shutdownConn(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		t.CloseWrite()
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
