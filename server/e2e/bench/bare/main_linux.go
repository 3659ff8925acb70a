// Command bare is the floor under the benchmark: one thread, one epoll loop, and
// for each message one write(2) of a ready-made frame to each connection. It
// knows just enough of the protocol for the load to take it for a server, and it keeps none of its promises: it checks nothing, and a client
// that does not read ends it.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The server's part of a handshake. The load does not look at the accept key.
const (
	switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
	opening  = `0{"sid":"bare","upgrades":[],"pingInterval":3600000,"pingTimeout":20000,"maxPayload":1000000}`
	accepted = `40{"sid":"bare"}`
	joined   = `430[]`
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // and no finalizer before
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	listener := int(f.Fd())
	if err := unix.SetNonblock(listener, true); err != nil {
		return err
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	add := func(fd int) error {
		return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	if err := add(listener); err != nil {
		return err
	}
	fmt.Println("listening", l.Addr().(*net.TCPAddr).Port)
	rooms := map[string][]int{}
	events := make([]unix.EpollEvent, 512)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			fd := int(e.Fd)
			if fd == listener {
				client, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
				if err != nil {
					continue // gone again
				}
				if err := unix.SetsockoptInt(client, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
					return err
				}
				if err := add(client); err != nil {
					return err
				}
				continue
			}
			n, err := unix.Read(fd, buf)
			if n <= 0 {
				if errors.Is(err, unix.EAGAIN) {
					continue
				}
				return nil // the load has had enough
			}
			if err := handle(fd, rooms, buf[:n]); err != nil {
				return err
			}
		}
	}
}

// handle answers what the load sends: it masks with zeros, and a read has whole
// frames.
func handle(fd int, rooms map[string][]int, b []byte) error {
	if bytes.HasPrefix(b, []byte("GET ")) {
		return write(fd, append([]byte(switching), frame(opening)...))
	}
	for len(b) >= 6 {
		size, head := int(b[1]&0x7f), 6
		if size == 126 {
			size, head = int(b[2])<<8|int(b[3]), 8
		}
		if len(b) < head+size {
			return errors.New("half a frame")
		}
		text := b[head : head+size]
		b = b[head+size:]
		switch {
		case string(text) == "40":
			if err := write(fd, frame(accepted)); err != nil {
				return err
			}
		case bytes.HasPrefix(text, []byte("420")):
			// 420["join","room"]
			parts := bytes.Split(text, []byte{'"'})
			if len(parts) != 5 {
				return fmt.Errorf("a join of %d parts", len(parts))
			}
			room := string(parts[3])
			rooms[room] = append(rooms[room], fd)
			if err := write(fd, frame(joined)); err != nil {
				return err
			}
		case bytes.HasPrefix(text, []byte("42")):
			// 42["msg","room","payload"]: the payload goes to the room.
			parts := bytes.Split(text, []byte{'"'})
			if len(parts) != 7 {
				return fmt.Errorf("a message of %d parts", len(parts))
			}
			delivery := frame(`42["msg","` + string(parts[5]) + `"]`)
			for _, to := range rooms[string(parts[3])] {
				if err := write(to, delivery); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// frame is a server's text frame.
func frame(text string) []byte {
	if n := len(text); n < 126 {
		return append([]byte{0x81, byte(n)}, text...)
	}
	return append([]byte{0x81, 126, byte(len(text) >> 8), byte(len(text))}, text...)
}

func write(fd int, b []byte) error {
	// RawSyscall: see docs/decisions, "websocket-write-path".
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return fmt.Errorf("write: %w", errno)
	}
	if int(n) != len(b) {
		return errors.New("a client does not read")
	}
	return nil
}
