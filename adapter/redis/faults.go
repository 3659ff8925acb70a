package redis

import (
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// fault says what an error of Redis means for the command that met it.
type fault uint8

const (
	none      fault = iota
	refused         // not executed; may succeed later at the same place
	elsewhere       // not executed; the primary is not here
	noScript        // not executed; the script must be sent whole
	full            // not executed; no memory
	broken          // executed or not: nobody knows
	wrong           // a bug or a setting: trying again is no use
)

// faultOf sorts an error. Redis checks all of these before a script's first
// write, so that a script that met one has written nothing.
func faultOf(err error) fault {
	if err == nil || errors.Is(err, goredis.Nil) {
		return none
	}
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return broken
	}
	text := reply.Error()
	code, _, _ := strings.Cut(text, " ")
	switch code {
	case "NOSCRIPT":
		return noScript
	case "LOADING", "BUSY", "TRYAGAIN", "NOREPLICAS", "MISCONF", "CLUSTERDOWN", "ASK":
		return refused
	case "READONLY", "MASTERDOWN", "MOVED", "UNBLOCKED":
		return elsewhere
	case "OOM":
		return full
	}
	// A script that meets a key which has moved, or may have, while a slot is
	// on its way from one primary to another, is not told so by a code. In an
	// append the reads come first, so it has written nothing.
	if strings.Contains(text, "max number of clients") || strings.Contains(text, "access a non local key") {
		return refused
	}
	return wrong
}

// outcome turns what remained of a fault into an error of the contract.
func (a *Adapter) outcome(what string, err error) error {
	err = a.conn.redact(err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, adapter.ErrFenced), errors.Is(err, adapter.ErrClosed), errors.Is(err, adapter.ErrUnavailable):
		return fmt.Errorf("%s: %w", what, err)
	case faultOf(err) == full:
		return fmt.Errorf("%s: %w: %w", what, adapter.ErrFull, err)
	}
	return fmt.Errorf("%s: %w: %w", what, adapter.ErrUnavailable, err)
}
