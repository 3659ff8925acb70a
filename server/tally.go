package main

import (
	"log/slog"
	"sync/atomic"

	"github.com/antchat/antchat/server/engineio"
)

// tally counts what an operator asks about first; the totals are logged at the
// end. Safe for concurrent use.
type tally struct {
	sessions atomic.Int64 // opened
	slow     atomic.Int64 // closed because they did not read
	refused  atomic.Int64 // requests turned away
	panics   atomic.Int64 // of handlers
}

func (t *tally) hooks(logger *slog.Logger) engineio.Hooks {
	return engineio.Hooks{
		Opened:  func(string, int) { t.sessions.Add(1) },
		Refused: func(engineio.RefusalCode) { t.refused.Add(1) },
		SlowClient: func(bytes, messages int, overflow bool) {
			t.slow.Add(1)
			logger.Debug("closed a client that does not read", "bytes", bytes, "messages", messages, "overflow", overflow)
		},
		Panicked: func() { t.panics.Add(1) },
	}
}

// LogValue makes the totals one group of a log line.
func (t *tally) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int64("sessions", t.sessions.Load()), slog.Int64("slow_clients", t.slow.Load()),
		slog.Int64("refused", t.refused.Load()), slog.Int64("panics", t.panics.Load()),
	)
}
