//go:build unix

package main

import "syscall"

// fileLimit is how many files the process may have open.
func fileLimit() (files uint64, known bool) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur), err == nil
}
