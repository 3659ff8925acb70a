//go:build !unix

package main

import "log/slog"

// warnFileLimit has nothing to ask: this system has no such limit.
func warnFileLimit(*slog.Logger, int) {}
