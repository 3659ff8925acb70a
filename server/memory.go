package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A wave of connects leaves as much garbage as it leaves connections, and Go by
// itself collects it when as much again has been allocated, or after two minutes,
// and keeps the pages for longer. Where memory is what bounds a node, idle
// connections then cost nearly twice what they hold. So when the program has been
// quiet for a moment and much could be given back, it is.

const (
	// memoryLook is how often it is looked at: reading a few counters.
	memoryLook = time.Second
	// memoryQuiet is how many looks in a row must find less than memoryBusy bytes
	// allocated since the one before.
	memoryQuiet = 2
	memoryBusy  = 1 << 20
	// memoryWorth is the least that must be to gain, besides a quarter of what is
	// live.
	memoryWorth = 4 << 20
	// memoryPause is the least time between two collections of this kind.
	memoryPause = 15 * time.Second
)

// memory decides when to give memory back. It is owned by one goroutine.
type memory struct {
	samples   [5]metrics.Sample
	allocated uint64 // at the last look
	quiet     int    // looks in a row
	// idle is what was held beyond what is live right after the last collection:
	// no other would give that back.
	idle uint64
	last time.Time
}

func newMemory() *memory {
	m := &memory{}
	for i, name := range []string{
		"/gc/heap/allocs:bytes", "/gc/heap/live:bytes",
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
	} {
		m.samples[i].Name = name
	}
	return m
}

// run gives memory back until ctx ends.
func (m *memory) run(ctx context.Context) {
	t := time.NewTicker(memoryLook)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if m.worth(now) {
				debug.FreeOSMemory()
				_, _, m.idle = m.read()
			}
		}
	}
}

func (m *memory) read() (allocated, live, beyond uint64) {
	metrics.Read(m.samples[:])
	v := func(i int) uint64 { return m.samples[i].Value.Uint64() }
	held := v(2) + v(3) + v(4)
	return v(0), v(1), held - min(held, v(1))
}

// worth says whether to collect now.
func (m *memory) worth(now time.Time) bool {
	allocated, live, beyond := m.read()
	if allocated-m.allocated < memoryBusy {
		m.quiet++
	} else {
		m.quiet = 0
	}
	m.allocated = allocated
	gain := beyond - min(beyond, m.idle)
	if m.quiet < memoryQuiet || gain < max(memoryWorth, live/4) || now.Sub(m.last) < memoryPause {
		return false
	}
	m.last = now
	return true
}
