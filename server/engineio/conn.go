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
	// connection ends or r returns an error. Its goroutine counts in wg.
	start(r receiver, buffered []byte, wg *sync.WaitGroup)
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

// readSize is what one read takes.
const readSize = 8 << 10

// newConn wraps a connection taken from net/http.
func newConn(nc net.Conn) conn {
	if sc, ok := nc.(syscall.Conn); ok && canDirect {
		if raw, err := sc.SyscallConn(); err == nil {
			return &directConn{nc: nc, raw: raw}
		}
	}
	return &plainConn{nc: nc}
}

// directConn reads and writes a descriptor without blocking.
//
// One goroutine at a time belongs to it. It waits with a stack of 2 KB, the
// smallest there is; handling what has arrived grows the stack, and the runtime
// does not shrink one of 4 KB again. So a goroutine that will probably wait long
// starts a new one to do that, and ends: 5 µs for 2 KB of memory or more.
type directConn struct {
	nc  net.Conn
	raw syscall.RawConn
	wg  *sync.WaitGroup

	// owned by the goroutine
	r     receiver
	last  uint32 // when something was handled last, in Unix seconds
	early uint8  // how many times that was, counted to shedEarly
}

const (
	// shedAfter is the silence, in seconds, after which more silence is expected: a
	// connection that only answers pings sheds its stack at each of them.
	shedAfter = 2
	// shedEarly is how many of a connection's first messages belong to its
	// beginning, after which many are silent.
	shedEarly = 2
)

func (c *directConn) start(r receiver, buffered []byte, wg *sync.WaitGroup) {
	c.r, c.wg = r, wg
	wg.Add(1)
	if len(buffered) == 0 {
		go c.wait()
		return
	}
	go func() {
		if err := r.received(buffered); err != nil {
			c.end(err)
			return
		}
		c.wait()
	}()
}

// wait is the whole goroutine. Its frames, and those of what it calls before it
// parks, are few and small on purpose.
func (c *directConn) wait() {
	for {
		if err := c.raw.Read(isReadable); err != nil {
			c.end(err)
			return
		}
		if err := c.handle(); err != nil {
			c.end(err)
			return
		}
		if c.shed() {
			go c.wait()
			return
		}
	}
}

// shed decides whether the wait that follows is worth a new goroutine.
func (c *directConn) shed() bool {
	now := uint32(time.Now().Unix())
	gap := now - c.last
	c.last = now
	if c.early < shedEarly {
		c.early++
		return true
	}
	return gap > shedAfter
}

func (c *directConn) end(err error) {
	c.r.ended(err)
	c.wg.Done()
}

// handle reads once and hands over what there is. It takes a buffer only for that
// time, so that a silent connection holds none.
func (c *directConn) handle() error {
	buf := readBuffers.Get().(*readBuffer)
	defer buf.free()
	if err := c.raw.Control(buf.read); err != nil {
		return err
	}
	switch {
	case buf.errno == syscall.EAGAIN:
		return nil
	case buf.errno != 0:
		return buf.errno
	case buf.n == 0:
		return io.EOF
	}
	return c.r.received(buf.b[:buf.n])
}

// readBuffer is a buffer and the result of reading into it. read is fill, made
// once: a function literal would be allocated for every read.
type readBuffer struct {
	b     [readSize]byte
	n     int
	errno syscall.Errno
	read  func(fd uintptr)
}

func (b *readBuffer) fill(fd uintptr) { b.n, b.errno = readDirect(fd, b.b[:]) }

func (b *readBuffer) free() { readBuffers.Put(b) }

// readBuffers are held only while there are bytes to handle.
var readBuffers = sync.Pool{New: func() any {
	b := new(readBuffer)
	b.read = b.fill
	return b
}}

func (c *directConn) write(b []byte) (int, error) { return writeDirect(c.raw, b) }

func (c *directConn) writeAll(b []byte, timeout time.Duration) error {
	return writeBlocking(c.nc, b, timeout)
}

func (c *directConn) shutdown() { shutdownConn(c.nc) }

func (c *directConn) close() { _ = c.nc.Close() }

// plainConn is any net.Conn: TLS that ends here, net.Pipe in tests, systems
// without the direct form. It holds a read buffer, and every write waits on a
// goroutine.
type plainConn struct {
	nc net.Conn
}

func (c *plainConn) start(r receiver, buffered []byte, wg *sync.WaitGroup) {
	wg.Go(func() { r.ended(c.read(r, buffered)) })
}

func (c *plainConn) read(r receiver, buffered []byte) error {
	if len(buffered) > 0 {
		if err := r.received(buffered); err != nil {
			return err
		}
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
		_ = t.NetConn().Close()
		return
	}
	_ = c.nc.Close()
}

func writeBlocking(nc net.Conn, b []byte, timeout time.Duration) error {
	_ = nc.SetWriteDeadline(time.Now().Add(timeout))
	_, err := nc.Write(b)
	_ = nc.SetWriteDeadline(time.Time{})
	return err
}

// shutdownConn closes the writing half where there is one.
func shutdownConn(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		_ = t.CloseWrite()
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
