// Package process reads what processes of this machine use.
package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a process has used since its start.
type Usage struct {
	// CPU is user and system time of all threads, User the first of them, which
	// is exact to 10 ms only.
	CPU, User time.Duration
	// RSS is its resident memory now, in bytes; Files of it are pages of files:
	// the program itself, and what is mapped.
	RSS, Files int64
	// Name is the program's, at most 15 bytes.
	Name string
}

// Read reads /proc (proc(5)).
func Read(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	// The name may hold anything, spaces and parentheses too.
	text := string(stat)
	from, to := strings.IndexByte(text, '('), strings.LastIndex(text, ") ")
	if from < 0 || to < from {
		return Usage{}, errors.New("/proc/pid/stat has another form")
	}
	fields := strings.Fields(text[to+2:])
	if len(fields) < 22 {
		return Usage{}, errors.New("/proc/pid/stat has another form")
	}
	number := func(i int) int64 {
		n, perr := strconv.ParseInt(fields[i], 10, 64)
		if perr != nil {
			err = perr
		}
		return n
	}
	const tick = time.Second / 100 // USER_HZ
	u := Usage{
		User: time.Duration(number(11)) * tick, RSS: number(21) * int64(os.Getpagesize()), Name: text[from+1 : to],
	}
	if err != nil {
		return Usage{}, err
	}
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return Usage{}, err
	}
	if _, err := fmt.Sscan(string(statm), new(int64), new(int64), &u.Files); err != nil {
		return Usage{}, fmt.Errorf("/proc/pid/statm has another form: %w", err)
	}
	u.Files *= int64(os.Getpagesize())
	// The clock of another process (clock_getcpuclockid(3)), in nanoseconds.
	const clockOfProcess = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|clockOfProcess), &t); err != nil {
		return Usage{}, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	u.CPU = time.Duration(t.Nano())
	return u, nil
}
