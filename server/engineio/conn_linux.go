//go:build linux && (amd64 || arm64 || riscv64 || loong64)

package engineio

import (
	"sync"
	"syscall"
	"unsafe"
)

// canDirect says that sockets can be read and written here without blocking.
const canDirect = true

// sendFlags make a send non-blocking whatever the descriptor's own mode.
const sendFlags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL

// directWriter carries the arguments and results of one write through
// RawConn.Control without allocating: a function literal would escape.
type directWriter struct {
	b     []byte
	n     int
	errno syscall.Errno
	run   func(fd uintptr)
}

var directWriters = sync.Pool{New: func() any {
	w := new(directWriter)
	w.run = w.write
	return w
}}

// write tells the scheduler nothing (RawSyscall): a non-blocking send of at most
// 64 KiB is short, and telling costs a third of it (docs/decisions,
// "websocket-write-path").
func (w *directWriter) write(fd uintptr) {
	for len(w.b) > 0 {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(w.b))), uintptr(len(w.b)), sendFlags, 0, 0)
		switch errno {
		case 0:
			w.n += int(n)
			w.b = w.b[n:]
		case syscall.EINTR:
		default:
			w.errno = errno
			return
		}
	}
}

// writeDirect writes what the kernel takes at once.
func writeDirect(raw syscall.RawConn, b []byte) (int, error) {
	w := directWriters.Get().(*directWriter)
	w.b, w.n, w.errno = b, 0, 0
	// Control holds the descriptor, so that a close meanwhile cannot give its
	// number to another connection.
	err := raw.Control(w.run)
	n, errno := w.n, w.errno
	w.b = nil
	directWriters.Put(w)
	if err == nil && errno != 0 && errno != syscall.EAGAIN {
		err = errno
	}
	return n, err
}

// readDirect reads what is there.
func readDirect(fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// isReadable reports whether a read would return something: bytes, the end, or an
// error. The runtime forgets that a descriptor was ready when it begins to wait,
// so one must look before.
func isReadable(fd uintptr) bool {
	var b byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(&b)), 1, syscall.MSG_DONTWAIT|syscall.MSG_PEEK, 0, 0)
	return errno != syscall.EAGAIN && errno != syscall.EINTR
}
