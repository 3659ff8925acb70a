//go:build clockjump

package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// A server that is built with this tag, and with the overlay of package time
// that server/e2e/faults makes, lets its wall clock jump: an hour ahead at
// SIGUSR1, an hour back at SIGUSR2. Everything in the process sees it, libraries
// too, as when somebody sets the machine's clock.
func init() {
	jumps := make(chan os.Signal, 4)
	signal.Notify(jumps, syscall.SIGUSR1, syscall.SIGUSR2)
	// Lives as long as the process.
	go func() {
		for s := range jumps {
			by := time.Hour
			if s == syscall.SIGUSR2 {
				by = -time.Hour
			}
			time.JumpForFaults(by)
			slog.Warn("the clock has jumped", "by", by)
		}
	}()
}
