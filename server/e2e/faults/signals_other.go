//go:build !unix

package main

import "syscall"

// None of these is ever sent: without signals the program ends at once.
const (
	hasSignals = false

	sigStop  = syscall.Signal(0)
	sigCont  = syscall.Signal(0)
	sigUser1 = syscall.Signal(0)
	sigUser2 = syscall.Signal(0)
)
