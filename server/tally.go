package main

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/antchat/antchat/adapter/redis/official"
	"github.com/antchat/antchat/server/engineio"
)

// tally counts what an operator asks about first; the totals are logged at the
// end. Safe for concurrent use.
type tally struct {
	sessions atomic.Int64 // opened
	slow     atomic.Int64 // closed because they did not read
	refused  atomic.Int64 // requests turned away
	panics   atomic.Int64 // of handlers
	official counts       // messages of the official packages on Redis that came to nothing
}

// counts are totals by name. The names are few and the program's own.
type counts struct {
	mu sync.Mutex
	of map[string]int64 // guarded by mu
}

// add counts one more; first says that it is the first of that name.
func (c *counts) add(name string) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[string]int64)
	}
	c.of[name]++
	return c.of[name] == 1
}

func (c *counts) attrs() []slog.Attr {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []slog.Attr
	for _, name := range slices.Sorted(maps.Keys(c.of)) {
		list = append(list, slog.Int64(name, c.of[name]))
	}
	return list
}

// officialHooks count what the bridge to the official packages did not take or
// gave up. The first of each is worth a line.
func (t *tally) officialHooks(logger *slog.Logger) official.Hooks {
	count := func(name string) {
		if t.official.add(name) {
			logger.Warn("official formats: a message came to nothing; further ones are counted", "why", name)
		}
	}
	return official.Hooks{
		Refused: func(why string) { count("refused " + why) },
		Dropped: func(what string) { count("dropped " + what) },
	}
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
	list := []slog.Attr{
		slog.Int64("sessions", t.sessions.Load()), slog.Int64("slow_clients", t.slow.Load()),
		slog.Int64("refused", t.refused.Load()), slog.Int64("panics", t.panics.Load()),
	}
	if o := t.official.attrs(); len(o) > 0 {
		list = append(list, slog.Attr{Key: "official", Value: slog.GroupValue(o...)})
	}
	return slog.GroupValue(list...)
}
