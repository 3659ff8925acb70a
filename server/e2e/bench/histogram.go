package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets about 3 % wide (32 per power of two of
// a microsecond), so that recording one costs a few instructions.
type histogram struct {
	counts [64 * 32]uint64
	total  uint64
}

func (h *histogram) add(d time.Duration, n uint64) {
	h.counts[bucket(uint64(max(d, 0))/1000)] += n
	h.total += n
}

func (h *histogram) reset() { *h = histogram{} }

// quantile is the upper edge of the bucket that holds the q-th part.
func (h *histogram) quantile(q float64) time.Duration {
	want := uint64(q * float64(h.total))
	var seen uint64
	for i, c := range h.counts {
		if seen += c; c > 0 && seen > want {
			return time.Duration(upperEdge(i)) * time.Microsecond
		}
	}
	return 0
}

func bucket(us uint64) int {
	if us < 32 {
		return int(us)
	}
	shift := bits.Len64(us) - 6
	return (shift+1)*32 + int(us>>shift) - 32
}

func upperEdge(i int) uint64 {
	if i < 32 {
		return uint64(i)
	}
	shift := i/32 - 1
	return (uint64(i%32)+33)<<shift - 1
}
