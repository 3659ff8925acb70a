package overload

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The process's own figures (package runtime/metrics, "Supported metrics").
const (
	latencies = iota
	liveHeap
	total
	objects
	free
	unused
	released
)

var figures = []string{
	latencies: "/sched/latencies:seconds",
	liveHeap:  "/gc/heap/live:bytes",
	total:     "/memory/classes/total:bytes",
	objects:   "/memory/classes/heap/objects:bytes",
	free:      "/memory/classes/heap/free:bytes",
	unused:    "/memory/classes/heap/unused:bytes",
	released:  "/memory/classes/heap/released:bytes",
}

const (
	// waited is the share of goroutines that waited less than the delay.
	waited = 0.9
	// fewest is the number of waits below which their distribution says nothing:
	// an idle process has few.
	fewest = 32
)

// gauge reads the process. Its methods are called by one goroutine.
type gauge struct {
	every   time.Duration
	samples []metrics.Sample
	waits   []uint64 // the histogram's counts at the last reading
	last    time.Time
}

func newGauge(every time.Duration) *gauge {
	g := &gauge{every: every, samples: make([]metrics.Sample, len(figures)), last: time.Now()}
	for i, name := range figures {
		g.samples[i].Name = name
	}
	metrics.Read(g.samples)
	g.waits = append(g.waits, g.samples[latencies].Value.Float64Histogram().Counts...)
	return g
}

func (g *gauge) read() Reading {
	metrics.Read(g.samples)
	now := time.Now()
	late := now.Sub(g.last) - g.every
	g.last = now
	h := g.samples[latencies].Value.Float64Histogram()
	r := Reading{Delay: max(0, late, quantile(h, g.waits, waited, fewest))}
	copy(g.waits, h.Counts)
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 && limit > 0 {
		r.Memory = float64(g.lasting()) / float64(limit)
	}
	return r
}

// lasting is what a garbage collection would leave: the heap that the last one
// found alive, and all that is no heap.
func (g *gauge) lasting() uint64 {
	of := func(i int) uint64 { return g.samples[i].Value.Uint64() }
	other := of(total) - of(objects) - of(free) - of(unused) - of(released)
	return of(liveHeap) + other
}

// quantile is the time that a share of what was counted since before is below;
// 0 if less than fewest was counted.
func quantile(h *metrics.Float64Histogram, before []uint64, share float64, fewest uint64) time.Duration {
	var n uint64
	for i, c := range h.Counts {
		n += c - before[i]
	}
	if n < fewest {
		return 0
	}
	rest := uint64(float64(n) * share)
	for i, c := range h.Counts {
		c -= before[i]
		if c > rest {
			// The lower end of what it fell into: the upper one may be infinite.
			return time.Duration(max(0, h.Buckets[i]) * float64(time.Second))
		}
		rest -= c
	}
	return 0
}
