package redis

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slowSentinel answers every question for a primary after a while, with an
// address of its own each time, and counts its callers.
func slowSentinel(t *testing.T, after time.Duration) (addr string, calls *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	calls = &atomic.Int64{}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					switch strings.ToLower(in.Text()) {
					case "hello":
						_, _ = c.Write([]byte("-ERR unknown command\r\n"))
					case "get-master-addr-by-name":
						n := calls.Add(1)
						time.Sleep(after)
						_, _ = fmt.Fprintf(c, "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n%d\r\n", 1000+n)
					}
				}
			})
		}
	})
	return ln.Addr().String(), calls
}

// TestOneSearch: when a primary has moved, the calls that notice it look for the
// new one together, and what comes late from the old one does not make them look
// again.
func TestOneSearch(t *testing.T) {
	addr, calls := slowSentinel(t, 100*time.Millisecond)
	o, err := Options{URL: "redis+sentinel://" + addr + "/main"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConnector(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	c.serve([]string{"key"})
	everybody := func() {
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if _, err := c.address(t.Context(), 0); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	everybody()
	if n := calls.Load(); n != 1 {
		t.Errorf("the Sentinel was asked %d times", n)
	}
	first, err := c.pool(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	c.forget(0, first)
	everybody()
	for range 200 {
		c.forget(0, first)
	}
	everybody()
	if n := calls.Load(); n != 2 {
		t.Errorf("the Sentinel was asked %d times, the primary has moved once", n)
	}
}
