package main

import (
	"sync"
	"time"
)

// outageGrace is how long the node must not have been ready before it turns new
// connections away. Most of what happens to a store is shorter, and a CONNECT
// waits for it.
const outageGrace = 3 * time.Second

// outage notices that the node stays unready. Its zero value is ready; it is safe
// for concurrent use.
type outage struct {
	mu sync.Mutex
	// Guarded by mu.
	since, last time.Time // of the looks that found it unready; zero: ready
}

// lasts takes one look. Looks that are further apart than outageGrace say nothing
// of what was between them.
func (o *outage) lasts(ready bool, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ready {
		o.since, o.last = time.Time{}, time.Time{}
		return false
	}
	if o.since.IsZero() || now.Sub(o.last) > outageGrace {
		o.since = now
	}
	o.last = now
	return now.Sub(o.since) >= outageGrace
}
