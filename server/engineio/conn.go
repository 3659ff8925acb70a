package engineio

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// conn is a hijacked connection: the connection layer's one interface. There are
// two forms of it: a polledConn waits in a poller and costs an idle client 48
// bytes (Linux); a plainConn has a goroutine and is for all the rest.
//
// write and writeAll are called by one goroutine at a time; close and shutdown
// at any time, by anyone.
type conn interface {
	// start hands what arrives to r, beginning with buffered, until the
	// connection ends or r returns an error. It does not call r itself.
	start(r receiver, buffered []byte)
	// write writes what the kernel takes at once and never blocks. n < len(b)
	// with a nil error means that no more can be written without waiting.
	write(b []byte) (n int, err error)
	// writeAll writes all of b and may block, for timeout at most; then the
	// error is a net.Error with Timeout.
	writeAll(b []byte, timeout time.Duration) error
	// shutdown says that no more will be written.
	shutdown()
	// close ends the connection, and with it a blocked writeAll, without blocking
	// and without a call of the receiver.
	close()
}

// receiver is told what a conn reads, by one goroutine at a time.
type receiver interface {
	// received may change b, which is valid only during the call. It may block:
	// then nothing more is read from this connection, and no other one notices.
	// An error ends the reading.
	received(b []byte) error
	// ended is called once, last: with io.EOF if the peer closed, with received's
	// own error, or with what went wrong.
	ended(err error)
}

// network makes a server's connections.
type network struct {
	// wg counts a started connection until its receiver's ended has returned. It is
	// the server's.
	wg      *sync.WaitGroup
	poller  *poller // nil where there is none
	workers workers
}

// newConn wraps a connection taken from net/http, which is not to be used any more.
func (n *network) newConn(nc net.Conn) conn {
	if c := n.poller.adopt(nc); c != nil {
		return c
	}
	_ = nc.SetDeadline(time.Time{}) // net/http's
	return &plainConn{nc: nc, wg: n.wg}
}

// close ends the poller, and workers that wait. All connections must have been
// closed.
func (n *network) close() {
	n.poller.close()
	n.workers.close()
}

// plainConn is any net.Conn: TLS that ends here, a listener of the caller's own,
// systems without a poller. It holds a goroutine with a read buffer, and every
// write waits on another.
type plainConn struct {
	nc net.Conn
	wg *sync.WaitGroup
}

func (c *plainConn) start(r receiver, buffered []byte) {
	c.wg.Go(func() { r.ended(c.read(r, buffered)) })
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
	_ = c.nc.SetWriteDeadline(time.Now().Add(timeout))
	_, err := c.nc.Write(b)
	_ = c.nc.SetWriteDeadline(time.Time{})
	return err
}

// shutdown closes the writing half where there is one. TLS says goodbye first,
// which can block; its close frame has said it already.
func (c *plainConn) shutdown() {
	if _, ok := c.nc.(*tls.Conn); ok {
		return
	}
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

func (c *plainConn) close() {
	// Closing TLS says goodbye first, which can block: close below it.
	if t, ok := c.nc.(interface{ NetConn() net.Conn }); ok {
		_ = t.NetConn().Close()
		return
	}
	_ = c.nc.Close()
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
