//go:build linux && (amd64 || arm64 || riscv64 || loong64)

package engineio

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	writePathConns = 1000
	writePathSize  = 150
	// writePathReader makes the test binary the clients' process, which dials this
	// address.
	writePathReader = "ENGINEIO_WRITEPATH_READER"
)

func init() {
	if addr := os.Getenv(writePathReader); addr != "" {
		readEverything(addr)
		os.Exit(0)
	}
}

// readEverything dials the connections, reads what arrives, and reports on stdout
// how much that is, until stdin ends.
func readEverything(addr string) {
	fds := make([]int, writePathConns)
	conns := make([]net.Conn, writePathConns)
	for i := range fds {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			os.Exit(1)
		}
		conns[i] = c
		raw, _ := c.(*net.TCPConn).SyscallConn()
		_ = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	buf := make([]byte, 256<<10)
	var total, told uint64
	for {
		for _, fd := range fds {
			if n, _ := syscall.Read(fd, buf); n > 0 {
				total += uint64(n)
			}
		}
		if total == told {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		told = total
		_, _ = os.Stdout.Write(binary.BigEndian.AppendUint64(nil, total))
	}
}

// BenchmarkWritePath compares ways to write a 150-byte frame to each of 1,000
// loopback connections whose clients are another process, from as many goroutines
// as there are processors. docs/decisions, "websocket-write-path", has what came
// out. The figure that counts is cpu-ns/message: what this process used.
//
//	go test -run '^$' -bench WritePath -cpu 1,2 -count 5 ./server/engineio
func BenchmarkWritePath(b *testing.B) {
	const joined = 8
	one := make([]byte, writePathSize)
	many := make([]byte, joined*writePathSize)
	plain := func(nc net.Conn) func([]byte) (int, error) { return nc.Write }
	ours := func(nc net.Conn) func([]byte) (int, error) {
		return newPolledConn(nil, descriptor(b, nc)).write
	}
	ways := []struct {
		name   string
		frame  []byte
		writer func(net.Conn) func([]byte) (int, error)
	}{
		{"net.Conn", one, plain},
		{"RawSyscall", one, ours},
		{"net.Conn, 8 joined", many, plain},
		{"RawSyscall, 8 joined", many, ours},
	}
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			exe, err := os.Executable()
			if err != nil {
				b.Fatal(err)
			}
			clients := exec.Command(exe)
			clients.Env = append(os.Environ(), writePathReader+"="+l.Addr().String(), "GOMAXPROCS=1")
			stdin, _ := clients.StdinPipe()
			stdout, _ := clients.StdoutPipe()
			if err := clients.Start(); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = clients.Wait() }()
			defer stdin.Close()
			conns := make([]net.Conn, writePathConns)
			write := make([]func([]byte) (int, error), writePathConns)
			for i := range conns {
				if conns[i], err = l.Accept(); err != nil {
					b.Fatal(err)
				}
				defer conns[i].Close()
				write[i] = way.writer(conns[i])
			}
			var received atomic.Int64
			go func() {
				var n [8]byte
				for {
					if _, err := io.ReadFull(stdout, n[:]); err != nil {
						return
					}
					received.Store(int64(binary.BigEndian.Uint64(n[:])))
				}
			}()

			writers := runtime.GOMAXPROCS(0)
			var sent int64
			begin := used()
			for b.Loop() {
				var wg sync.WaitGroup
				for w := range writers {
					wg.Go(func() {
						for i := w; i < len(conns); i += writers {
							for p := way.frame; len(p) > 0; {
								n, err := write[i](p)
								if err != nil {
									b.Error(err)
									return
								}
								if p = p[n:]; len(p) > 0 {
									time.Sleep(100 * time.Microsecond)
								}
							}
						}
					})
				}
				wg.Wait()
				sent += int64(len(conns) * len(way.frame))
				for sent-received.Load() > 8*int64(len(conns)*len(way.frame)) {
					time.Sleep(100 * time.Microsecond)
				}
			}
			for received.Load() < sent {
				time.Sleep(100 * time.Microsecond)
			}
			messages := float64(sent / writePathSize)
			b.ReportMetric(float64(used()-begin)/messages, "cpu-ns/message")
			b.ReportMetric(float64(b.Elapsed())/messages, "ns/message")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// descriptor is a connection's own one, which stays the connection's.
func descriptor(b *testing.B, nc net.Conn) (fd int) {
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(own uintptr) { fd = int(own) })
	}
	if err != nil {
		b.Fatal(err)
	}
	return fd
}

// used is the processor time of this process.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
