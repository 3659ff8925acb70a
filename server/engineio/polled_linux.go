//go:build linux && (amd64 || arm64 || riscv64 || loong64)

package engineio

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// polledConn is a connection that a poller watches. While nothing arrives it is
// these bytes and a descriptor.
type polledConn struct {
	p     *poller
	r     receiver // set by start
	fd    int32
	place int32 // in p.conns, -1 while the poller does not know it; guarded by p.mu
	round int32 // guarded by p.mu
	// state is a count of those who use fd, in steps of inUse, and flags below that.
	// Once closed is set the count only falls, and who takes it to zero closes fd:
	// so its number cannot become another connection's under a call that uses it.
	state atomic.Uint32
	// blocked is a writeAll that waits.
	blocked atomic.Pointer[blocked]
}

const (
	closed uint32 = 1 << iota
	// reading: a goroutine reads, or nothing is to be read: before start, and after
	// the end. Who sets it is the one who may call r.
	reading
	// again: something happened while reading was set.
	again
	// hungUp: the peer has said that it writes no more.
	hungUp
	inUse
)

// blocked waits until writing is possible. ready is never closed.
type blocked struct{ ready chan struct{} }

func newPolledConn(p *poller, fd int) *polledConn {
	c := &polledConn{p: p, fd: int32(fd), place: -1}
	c.state.Store(reading)
	return c
}

func (c *polledConn) start(r receiver, buffered []byte) {
	c.r = r
	c.p.n.wg.Add(1)
	if err := c.watch(edges); err != nil {
		go c.end(err)
		return
	}
	switch {
	case len(buffered) > 0:
		c.p.n.workers.do(func() {
			if err := r.received(buffered); err != nil {
				c.end(err)
				return
			}
			c.run()
		})
	case !c.rest():
		c.p.n.workers.do(c.run)
	}
}

// happened is called by the poller. It does not block.
func (c *polledConn) happened(events uint32) {
	if events&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		c.unblock()
	}
	if events&^syscall.EPOLLOUT == 0 {
		return
	}
	for {
		old := c.state.Load()
		if old&closed != 0 {
			return
		}
		next := old | reading
		if old&reading != 0 {
			next |= again
		}
		if events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			next |= hungUp
		}
		if c.state.CompareAndSwap(old, next) {
			if old&reading == 0 {
				c.p.n.workers.do(c.run)
			}
			return
		}
	}
}

// rest takes reading back. false: there is more to do.
func (c *polledConn) rest() bool {
	for {
		old := c.state.Load()
		switch {
		case old&closed != 0:
			return false
		case old&again != 0:
			if c.state.CompareAndSwap(old, old&^again) {
				return false
			}
		case c.state.CompareAndSwap(old, old&^reading):
			return true
		}
	}
}

// run is the goroutine of a connection with something to read. Reading is set.
func (c *polledConn) run() {
	buf := readBuffers.Get().(*[readSize]byte)
	err := c.read(buf[:])
	readBuffers.Put(buf)
	if err != nil {
		c.end(err)
	}
}

const (
	// readSize is what one read takes.
	readSize = 8 << 10
	// readYield is after how many reads other goroutines get the processor: the
	// scheduler does not see the time that direct calls take.
	readYield = 8
)

// readBuffers are held only while there are bytes to handle.
var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// read hands over what there is. nil: there is no more for now.
func (c *polledConn) read(buf []byte) error {
	for n := 1; ; n++ {
		if !c.acquire() {
			return net.ErrClosed
		}
		k, errno := receive(c.fd, buf)
		c.release()
		switch {
		case errno == syscall.EAGAIN:
			if c.rest() {
				return nil
			}
			continue
		case errno != 0:
			return errno
		case k == 0:
			return io.EOF
		}
		if err := c.r.received(buf[:k]); err != nil {
			return err
		}
		// What comes after a read that got less than it could is a new event; only
		// the end may have come in the same.
		if k < len(buf) && c.state.Load()&hungUp == 0 && c.rest() {
			return nil
		}
		if n%readYield == 0 {
			runtime.Gosched()
		}
	}
}

// end ends the reading for good: reading stays set.
func (c *polledConn) end(err error) {
	c.r.ended(err)
	c.p.n.wg.Done()
}

// acquire keeps fd from being closed until release; false: it is closed.
func (c *polledConn) acquire() bool {
	for {
		old := c.state.Load()
		if old&closed != 0 {
			return false
		}
		if c.state.CompareAndSwap(old, old+inUse) {
			return true
		}
	}
}

func (c *polledConn) release() {
	if now := c.state.Add(^(inUse - 1)); now&closed != 0 && now < inUse {
		c.free()
	}
}

// free gives the descriptor back.
func (c *polledConn) free() {
	c.p.remove(c)
	_ = syscall.Close(int(c.fd))
}

func (c *polledConn) close() {
	for {
		old := c.state.Load()
		if old&closed != 0 {
			return
		}
		if !c.state.CompareAndSwap(old, old|closed|reading) {
			continue
		}
		if old < inUse {
			c.free()
		}
		c.unblock()
		if old&reading == 0 {
			go c.end(net.ErrClosed)
		}
		return
	}
}

func (c *polledConn) shutdown() {
	if c.acquire() {
		_ = syscall.Shutdown(int(c.fd), syscall.SHUT_WR)
		c.release()
	}
}

func (c *polledConn) write(b []byte) (int, error) {
	if !c.acquire() {
		return 0, net.ErrClosed
	}
	n, errno := send(c.fd, b)
	c.release()
	if errno != 0 && errno != syscall.EAGAIN {
		return n, errno
	}
	return n, nil
}

func (c *polledConn) writeAll(b []byte, timeout time.Duration) error {
	n, err := c.write(b)
	if err != nil || n == len(b) {
		return err
	}
	w := &blocked{ready: make(chan struct{}, 1)}
	c.blocked.Store(w)
	defer c.blocked.Store(nil)
	t := time.NewTimer(timeout)
	defer t.Stop()
	if err := c.watch(edges | syscall.EPOLLOUT); err != nil {
		return err
	}
	defer func() { _ = c.watch(edges) }() // else a few events more
	for {
		b = b[n:]
		if n, err = c.write(b); err != nil || n == len(b) {
			return err
		}
		select {
		case <-w.ready:
		case <-t.C:
			return os.ErrDeadlineExceeded
		}
	}
}

func (c *polledConn) unblock() {
	if w := c.blocked.Load(); w != nil {
		select {
		case w.ready <- struct{}{}:
		default:
		}
	}
}

// watch has the poller tell what happens.
func (c *polledConn) watch(events uint32) error {
	if !c.acquire() {
		return net.ErrClosed
	}
	defer c.release()
	return c.p.watch(c, events)
}

// The calls below tell the scheduler nothing (RawSyscall): a non-blocking send of
// at most 64 KiB is short, and telling costs a third of it (docs/decisions,
// "websocket-write-path"). MSG_DONTWAIT makes them non-blocking whatever the
// descriptor's own mode.

// send writes what the kernel takes at once. An error may come after some bytes.
func send(fd int32, b []byte) (sent int, errno syscall.Errno) {
	for len(b) > 0 {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			sent += int(n)
			b = b[n:]
		case syscall.EINTR:
		default:
			return sent, errno
		}
	}
	return sent, 0
}

// receive reads what is there.
func receive(fd int32, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}
