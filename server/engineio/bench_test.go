//go:build linux

package engineio_test

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

// drainAll reads, and counts, everything that arrives at the clients. One
// goroutine per client would cost the benchmark more than the server: like a load
// generator, it goes round and reads what is there.
func drainAll(clients []*wsClient, bytes *atomic.Int64) (stop func()) {
	var fds []uintptr
	for _, c := range clients {
		raw, err := c.nc.(*net.TCPConn).SyscallConn()
		if err != nil {
			panic(err)
		}
		_ = raw.Control(func(fd uintptr) { fds = append(fds, fd) })
	}
	var quit atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 256<<10)
		for !quit.Load() {
			idle := true
			for _, fd := range fds {
				if n, _ := syscall.Read(int(fd), buf); n > 0 {
					bytes.Add(int64(n))
					idle = false
				}
			}
			if idle {
				time.Sleep(200 * time.Microsecond)
			}
		}
	})
	return func() {
		quit.Store(true)
		wg.Wait()
	}
}

// BenchmarkQueue is the publisher's cost per recipient.
func BenchmarkQueue(b *testing.B) { benchmarkFan(b, 1) }

// BenchmarkFlush1000 is a broadcast to 1,000 clients, from Queue to the last byte
// at the last client; several are under way at once, as under load.
func BenchmarkFlush1000(b *testing.B) { benchmarkFan(b, 1000) }

func benchmarkFan(b *testing.B, n int) {
	h := start(b, engineio.Options{QueueBytes: 64 << 20, QueuePackets: 1 << 20})
	clients := make([]*wsClient, n)
	sessions := make([]*engineio.Session, n)
	for i := range n {
		clients[i] = h.dial("&EIO=4")
		clients[i].open()
		sessions[i] = h.session().s
	}
	var received atomic.Int64
	stop := drainAll(clients, &received)
	defer stop()
	text := make([]byte, 128)
	for i := range text {
		text[i] = 'x'
	}
	const wire = 4 + 1 + 128 // header with two bytes of length, digit, text
	var sent int64
	// So many broadcasts may be under way.
	const window = 8
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		p := sessions[0].Prepare(text, nil)
		for _, s := range sessions {
			if err := s.Queue(p); err != nil {
				b.Fatal(err)
			}
		}
		sent += int64(n) * wire
		for n > 1 && sent-received.Load() > window*int64(n)*wire {
			time.Sleep(50 * time.Microsecond)
		}
	}
	for received.Load() < sent {
		time.Sleep(50 * time.Microsecond)
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N*n), "cpu-ns/delivery")
}

// cpuTime is what this process has used, clients included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEcho is a message there and back, one at a time: the cost of waking up.
func BenchmarkEcho(b *testing.B) {
	h := start(b, engineio.Options{})
	c := h.dial("&EIO=4")
	c.open()
	msg := frame(0x81, []byte("4hello"))
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		_, _ = c.nc.Write(msg)
		if _, _, err := c.next(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}
