//go:build unix

package main

import (
	"fmt"
	"syscall"
	"time"
)

// ownCPU is the processor time that this process has used, in seconds.
func ownCPU() (float64, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds(), nil
}
