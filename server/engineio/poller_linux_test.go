//go:build linux && (amd64 || arm64 || riscv64 || loong64)

package engineio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// polling is a poller with its listener.
type polling struct {
	network
	t  *testing.T
	l  net.Listener
	wg sync.WaitGroup
}

func startPolling(t *testing.T) *polling {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &polling{t: t, l: l}
	p.network.wg = &p.wg
	if p.poller, err = newPoller(&p.network); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.wg.Wait()
		p.network.close()
		_ = l.Close()
	})
	return p
}

// pair makes a connection and its peer.
func (p *polling) pair() (*polledConn, *net.TCPConn) {
	p.t.Helper()
	peer, err := net.Dial("tcp", p.l.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = peer.Close() })
	nc, err := p.l.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	c, ok := p.newConn(nc).(*polledConn)
	if !ok {
		p.t.Fatal("not polled")
	}
	return c, peer.(*net.TCPConn)
}

// taker keeps what it is given.
type taker struct {
	got  chan []byte
	end  chan error
	hold chan struct{} // not nil: received waits for it
}

func newTaker() *taker { return &taker{got: make(chan []byte, 1000), end: make(chan error, 2)} }

func (r *taker) received(b []byte) error {
	r.got <- bytes.Clone(b)
	if r.hold != nil {
		<-r.hold
	}
	return nil
}

func (r *taker) ended(err error) { r.end <- err }

func await[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(15 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}

// An event that was taken before its connection went must not be the next one's,
// which has the same place and the same descriptor.
func TestLateEvent(t *testing.T) {
	p := startPolling(t)
	a, _ := p.pair()
	ra := newTaker()
	a.start(ra, nil)
	p.poller.mu.Lock()
	late := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: a.place, Pad: a.round}
	p.poller.mu.Unlock()
	fd := a.fd
	a.close()
	if err := await(t, ra.end); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	b, _ := p.pair()
	rb := newTaker()
	b.start(rb, nil)
	if b.place != late.Fd {
		t.Fatalf("place %d, not %d", b.place, late.Fd)
	}
	if b.fd != fd {
		t.Logf("descriptor %d, not %d: something else took it", b.fd, fd)
	}
	happened := func(e syscall.EpollEvent) bool {
		before := b.state.Load()
		p.poller.deal([]syscall.EpollEvent{e})
		return b.state.Load() != before
	}
	// Nobody reads while the goroutine is kept from running by this state.
	for !b.state.CompareAndSwap(0, reading) {
		time.Sleep(time.Millisecond)
	}
	if happened(late) {
		t.Error("the late event was taken for the new connection's")
	}
	if !happened(syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: b.place, Pad: b.round}) {
		t.Error("the new connection's own event was not")
	}
	b.rest()
	if !b.rest() {
		t.Error("more to do")
	}
	b.close()
	_ = await(t, rb.end)
}

// A write that comes when its connection has been closed must not go out on
// another one that has the descriptor now.
func TestLateWrite(t *testing.T) {
	p := startPolling(t)
	var writers sync.WaitGroup
	for i := range 100 {
		c, peer := p.pair()
		r := newTaker()
		c.start(r, nil)
		own := bytes.Repeat([]byte{byte(i)}, 64)
		for range 2 {
			writers.Go(func() {
				for {
					if _, err := c.write(own); err != nil {
						return
					}
				}
			})
		}
		buf := make([]byte, 4096)
		n, err := peer.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		c.close()
		for err == nil {
			if bytes.Count(buf[:n], own[:1]) != n {
				t.Fatalf("connection %d got another one's bytes: %x", i, buf[:n])
			}
			n, err = peer.Read(buf)
		}
		if err := await(t, r.end); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	writers.Wait()
}

// The end may be told together with the last bytes, and before anybody reads.
func TestEndWithLastBytes(t *testing.T) {
	p := startPolling(t)
	for i := range 50 {
		c, peer := p.pair()
		r := newTaker()
		last := bytes.Repeat([]byte("x"), 1+i*100)
		if i%2 == 0 {
			c.start(r, nil)
		}
		if _, err := peer.Write(last); err != nil {
			t.Fatal(err)
		}
		_ = peer.CloseWrite()
		if i%2 != 0 {
			c.start(r, []byte("y"))
			last = append([]byte("y"), last...)
		}
		var got []byte
		for len(got) < len(last) {
			got = append(got, await(t, r.got)...)
		}
		if !bytes.Equal(got, last) {
			t.Fatalf("%d bytes instead of %d", len(got), len(last))
		}
		if err := await(t, r.end); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		c.close()
	}
}

// Receivers that block, more of them than events are taken at once, hold nobody
// else up; their own connections are read no further, and end when they return.
func TestBlockedReceivers(t *testing.T) {
	p := startPolling(t)
	blocked := newTaker()
	blocked.hold = make(chan struct{})
	const many = 2 * pollBatch
	conns := make([]*polledConn, many)
	for i := range conns {
		c, peer := p.pair()
		conns[i] = c
		c.start(blocked, nil)
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for range conns {
		await(t, blocked.got)
	}
	free := newTaker()
	c, peer := p.pair()
	c.start(free, nil)
	for range 100 {
		if _, err := peer.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		if b := await(t, free.got); string(b) != "y" {
			t.Fatalf("got %q", b)
		}
	}
	blocked.end = make(chan error, many)
	for _, c := range conns {
		c.close()
	}
	select {
	case err := <-blocked.end:
		t.Errorf("ended while it was being called: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(blocked.hold)
	for range conns {
		_ = await(t, blocked.end)
	}
	c.close()
	_ = await(t, free.end)
}

// A connection whose client floods it is read in turn with the others.
func TestFlood(t *testing.T) {
	p := startPolling(t)
	flooded, flooder := p.pair()
	sink := &counter{end: make(chan error, 1)}
	flooded.start(sink, nil)
	var flood sync.WaitGroup
	b := make([]byte, 256<<10)
	if _, err := flooder.Write(b); err != nil {
		t.Fatal(err)
	}
	flood.Go(func() {
		for {
			if _, err := flooder.Write(b); err != nil {
				return
			}
		}
	})
	c, peer := p.pair()
	r := newTaker()
	c.start(r, nil)
	for range 100 {
		if _, err := peer.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		await(t, r.got)
	}
	flooded.close()
	_ = await(t, sink.end)
	flood.Wait()
	c.close()
	_ = await(t, r.end)
	if sink.n == 0 {
		t.Error("no flood")
	}
}

type counter struct {
	n   int
	end chan error
}

func (r *counter) received(b []byte) error { r.n += len(b); return nil }
func (r *counter) ended(err error)         { r.end <- err }

// A blocked writeAll goes on when the peer reads, and ends with its time or with
// the connection; before start as after it.
func TestBlockedWriteAll(t *testing.T) {
	p := startPolling(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // no socket's buffers take that
	for _, started := range []bool{false, true} {
		c, peer := p.pair()
		r := newTaker()
		if started {
			c.start(r, nil)
		}
		if err := c.writeAll(large, 50*time.Millisecond); !isTimeout(err) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("started %v: %v", started, err)
		}
		if c.blocked.Load() != nil {
			t.Error("still blocked")
		}
		done := make(chan error, 1)
		go func() { done <- c.writeAll(large, time.Hour) }()
		time.Sleep(10 * time.Millisecond)
		c.close()
		if err := await(t, done); !errors.Is(err, net.ErrClosed) {
			t.Errorf("started %v: %v", started, err)
		}
		_ = peer.Close()
		if !started {
			c.start(r, nil) // too late
		}
		if err := await(t, r.end); !errors.Is(err, net.ErrClosed) {
			t.Errorf("started %v: %v", started, err)
		}

		c, peer = p.pair()
		r = newTaker()
		if started {
			c.start(r, nil)
		}
		go func() { done <- c.writeAll(large, time.Minute) }()
		got := make([]byte, len(large))
		if _, err := io.ReadFull(peer, got); err != nil {
			t.Fatal(err)
		}
		if err := await(t, done); err != nil || !bytes.Equal(got, large) {
			t.Errorf("started %v: %v, or other bytes", started, err)
		}
		if !started {
			c.start(r, nil)
		}
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		await(t, r.got)
		c.close()
		_ = await(t, r.end)
	}
}

func TestPolledConnSize(t *testing.T) {
	if n := unsafe.Sizeof(polledConn{}); n > 48 {
		t.Errorf("%d bytes for every idle connection, more than 48", n)
	}
}

// A connection that comes when the poller has ended must not touch whatever has
// its descriptor now.
func TestPollerEnded(t *testing.T) {
	p := startPolling(t)
	c, _ := p.pair()
	p.network.close()
	r := newTaker()
	c.start(r, nil)
	if err := await(t, r.end); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	c.close()
	p.poller = nil // for the cleanup
}
