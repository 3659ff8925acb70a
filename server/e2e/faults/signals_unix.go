//go:build unix

package main

import "syscall"

// What pauses processes and tells the clock, where there are such signals.
const (
	hasSignals = true

	sigStop  = syscall.SIGSTOP
	sigCont  = syscall.SIGCONT
	sigUser1 = syscall.SIGUSR1
	sigUser2 = syscall.SIGUSR2
)
