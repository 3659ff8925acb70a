//go:build !(linux && (amd64 || arm64 || riscv64 || loong64))

package engineio

import "syscall"

// canDirect is false: every connection is a plainConn.
const canDirect = false

func writeDirect(syscall.RawConn, []byte) (int, error) { return 0, nil }

func readDirect(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func isReadable(uintptr) bool { return true }
