//go:build linux && (amd64 || arm64 || riscv64 || loong64)

package engineio

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// poller waits for all of a server's polled connections at once: one goroutine and
// one epoll descriptor, which itself is waited for in the runtime's poller, so that
// no thread blocks. It calls nothing that could block it: a connection with
// something to read gets a goroutine for as long as that lasts.
type poller struct {
	n     *network
	epoll *os.File // in the runtime's poller
	fd    int      // of epoll
	ended chan struct{}

	events [pollBatch]syscall.EpollEvent // owned by run
	count  int                           // of events; owned by run

	mu sync.Mutex
	// Guarded by mu. An event names a place in conns and the round in which it was
	// given: one that comes late, for a connection that has gone, finds another
	// round, or nobody.
	conns  []*polledConn
	free   []int32
	round  int32
	closed bool // fd may be somebody else's
}

// pollBatch is how many events are taken at once.
const pollBatch = 128

// edges are what is waited for, each time anew that it happens. Where it becomes
// possible to write is waited for only by a blocked writeAll.
const edges = syscall.EPOLLIN | syscall.EPOLLRDHUP | epollET

// epollET is syscall.EPOLLET, which is a negative constant there.
const epollET = 1 << 31

// newPoller starts a poller for n's connections.
func newPoller(n *network) (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a poller: %w", err)
	}
	// For package os to give it to the runtime's poller.
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("make a poller: %w", err)
	}
	p := &poller{n: n, epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd, ended: make(chan struct{})}
	raw, err := p.epoll.SyscallConn()
	if err != nil {
		_ = p.epoll.Close()
		return nil, fmt.Errorf("make a poller: %w", err)
	}
	go p.run(raw)
	return p, nil
}

// close ends the poller's goroutine. Connections that are still there hear nothing
// any more; they can be closed.
func (p *poller) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.epoll.Close()
	<-p.ended
}

func (p *poller) run(raw syscall.RawConn) {
	defer close(p.ended)
	for {
		if err := raw.Read(p.poll); err != nil {
			return // closed
		}
		p.deal(p.events[:p.count])
		if p.count == pollBatch {
			runtime.Gosched() // those that were started come first
		}
	}
}

// deal tells connections what has happened to them.
func (p *poller) deal(events []syscall.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		e := &events[i]
		if c := p.conns[e.Fd]; c != nil && c.round == e.Pad {
			c.happened(e.Events)
		}
	}
}

// poll takes what has happened; false: nothing has.
func (p *poller) poll(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd,
			uintptr(unsafe.Pointer(&p.events[0])), pollBatch, 0, 0, 0)
		switch errno {
		case 0:
			p.count = int(n)
			return n > 0
		case syscall.EINTR:
		default:
			// The descriptor and the memory are ours: it cannot be.
			panic(fmt.Sprintf("engineio: epoll_pwait: %v", errno))
		}
	}
}

// adopt takes a connection over, with a descriptor of its own. nil: it cannot be
// polled, and stays what it was.
func (p *poller) adopt(nc net.Conn) conn {
	if p == nil {
		return nil
	}
	// Not anything that embeds one of these: it may count on its Close.
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	fd, errno := uintptr(0), syscall.EBADF
	err = raw.Control(func(own uintptr) {
		fd, _, errno = syscall.RawSyscall(syscall.SYS_FCNTL, own, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil || errno != 0 {
		return nil // no descriptor is free
	}
	_ = nc.Close()
	return newPolledConn(p, int(fd))
}

// watch has events told to a connection that is not closed meanwhile. One that is
// not watched yet is given its place. One goroutine at a time.
func (p *poller) watch(c *polledConn, events uint32) error {
	op := syscall.EPOLL_CTL_MOD
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	if c.place < 0 {
		op = syscall.EPOLL_CTL_ADD
		p.round++
		c.round = p.round
		if n := len(p.free); n > 0 {
			c.place = p.free[n-1]
			p.free = p.free[:n-1]
			p.conns[c.place] = c
		} else {
			c.place = int32(len(p.conns))
			p.conns = append(p.conns, c)
		}
	}
	e := syscall.EpollEvent{Events: events, Fd: c.place, Pad: c.round}
	// It does not block: it need not tell the scheduler, and may hold the lock.
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(c.fd),
		uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// remove takes a connection's place back. Its descriptor, the only one of its
// file, leaves the epoll set when it is closed.
func (p *poller) remove(c *polledConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.place >= 0 {
		p.conns[c.place] = nil
		p.free = append(p.free, c.place)
		c.place = -1
	}
}
