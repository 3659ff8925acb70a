package main

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// echo sends back what it gets.
type echo struct {
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]struct{} // guarded by mu
}

func newEcho(t *testing.T) *echo {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{listener: l, conns: make(map[net.Conn]struct{})}
	e.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.conns[c] = struct{}{}
			e.mu.Unlock()
			e.wg.Go(func() {
				_, _ = io.Copy(c, c)
				c.Close()
				e.mu.Lock()
				delete(e.conns, c)
				e.mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		e.mu.Lock()
		for c := range e.conns {
			c.Close()
		}
		e.mu.Unlock()
		e.wg.Wait()
	})
	return e
}

func (e *echo) addr() string { return e.listener.Addr().String() }

func (e *echo) open() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.conns)
}

type echoClient struct {
	t    *testing.T
	conn net.Conn
}

func dialEcho(t *testing.T, addr string) *echoClient {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &echoClient{t, c}
}

func (c *echoClient) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *echoClient) expect(s string) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(deadline))
	b := make([]byte, len(s))
	if _, err := io.ReadFull(c.conn, b); err != nil || string(b) != s {
		c.t.Fatalf("got %q, %v; expected %q", b, err, s)
	}
}

func (c *echoClient) mustEcho(s string) {
	c.t.Helper()
	c.send(s)
	c.expect(s)
}

// silent: nothing comes for a while, and the connection stays.
func (c *echoClient) silent() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := c.conn.Read(make([]byte, 16))
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("expected silence, got %d bytes, %v", n, err)
	}
}

// ended: the connection is closed.
func (c *echoClient) ended() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(deadline))
	if n, err := c.conn.Read(make([]byte, 16)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("expected the end, got %d bytes, %v", n, err)
	}
}
