package httpapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds those that are not full at a time.
const maxBuckets = 10_000

// buckets are token buckets by name. Where there are too many, the newcomers share
// one. Safe for concurrent use.
type buckets struct {
	rate  rate.Limit
	burst int

	mu     sync.Mutex
	all    map[string]*rate.Limiter // guarded by mu
	shared *rate.Limiter            // immutable
	swept  time.Time                // guarded by mu
}

func newBuckets(r rate.Limit, burst int) *buckets {
	return &buckets{rate: r, burst: burst, all: make(map[string]*rate.Limiter), shared: rate.NewLimiter(r, burst)}
}

// of is a name's bucket.
func (b *buckets) of(name string, now time.Time) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.all[name]; l != nil {
		return l
	}
	if len(b.all) >= maxBuckets && now.Sub(b.swept) >= time.Second {
		b.swept = now
		for other, l := range b.all { // a full one is as good as none
			if l.TokensAt(now) >= float64(b.burst) {
				delete(b.all, other)
			}
		}
	}
	if len(b.all) >= maxBuckets {
		return b.shared
	}
	l := rate.NewLimiter(b.rate, b.burst)
	b.all[name] = l
	return l
}

// take takes n, or says how long to wait for them. More than the burst counts as
// the burst.
func (b *buckets) take(name string, n int, now time.Time) (wait time.Duration) {
	l := b.of(name, now)
	r := l.ReserveN(now, min(n, b.burst))
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// empty says how long to wait for one, and takes none.
func (b *buckets) empty(name string, now time.Time) (wait time.Duration) {
	l := b.of(name, now)
	if missing := 1 - l.TokensAt(now); missing > 0 {
		return time.Duration(missing / float64(b.rate) * float64(time.Second))
	}
	return 0
}
