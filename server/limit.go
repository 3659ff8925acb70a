package main

import (
	"log/slog"

	"github.com/antchat/antchat/server/config"
)

// spareFiles is what the process needs besides one file per connection: the
// store, the listener, the page, connections that are being turned away.
const spareFiles = 64

// fitFileLimit keeps engine.max_sessions within what the system lets the
// process open, so that a full server answers 503 instead of failing to accept.
// A limit that the operator chose is left as it is, with a warning: a polling
// client has two connections at one time and none at another, so nobody else
// knows. Go has raised the soft limit of open files to the hard one already.
func fitFileLimit(c *config.Config, logger *slog.Logger) {
	files, known := fileLimit()
	if !known || uint64(c.Engine.MaxSessions)+spareFiles <= files {
		return
	}
	if c.Origin("engine.max_sessions") != "default" {
		logger.Warn("the limit of open files is below engine.max_sessions: connections may fail before that is reached (raise it with ulimit -n or LimitNOFILE=)",
			"open_files", files, "engine.max_sessions", c.Engine.MaxSessions)
		return
	}
	c.Engine.MaxSessions = max(1, int(files)-spareFiles)
	logger.Info("engine.max_sessions follows the limit of open files", "open_files", files, "engine.max_sessions", c.Engine.MaxSessions)
}
