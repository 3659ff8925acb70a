//go:build unix

package main

import (
	"log/slog"
	"syscall"
)

// spareFiles is what the process needs besides one file per connection.
const spareFiles = 64

// warnFileLimit says so when the system lets the process open fewer files than
// engine.max_sessions has connections. Go has raised the soft limit to the hard
// one already.
func warnFileLimit(logger *slog.Logger, sessions int) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	if uint64(limit.Cur) < uint64(sessions)+spareFiles {
		logger.Warn("the limit of open files is below engine.max_sessions: connections will fail before that limit is reached (raise it with ulimit -n or LimitNOFILE=)",
			"open_files", limit.Cur, "engine.max_sessions", sessions)
	}
}
