package local

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
)

const recordOverhead = 200 // bytes of memory that a record costs by itself

// expiring keeps counters and records until their time has come. In memory
// only: they do not survive the process.
type expiring struct {
	max      int
	maxBytes int64

	mu      sync.Mutex
	records map[string]*record // counters and values have keys of their own kind
	due     dueHeap
	bytes   int64
}

type record struct {
	key     string
	value   []byte
	count   int64
	until   int64 // Unix milliseconds
	heapPos int
}

func (r *record) size() int64 { return int64(len(r.key)+len(r.value)) + recordOverhead }

func newExpiring(maxRecords int, maxBytes int64) *expiring {
	return &expiring{max: maxRecords, maxBytes: maxBytes, records: make(map[string]*record)}
}

func (x *expiring) sweep(nowMilli int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sweepLocked(nowMilli)
}

func (x *expiring) sweepLocked(nowMilli int64) {
	for len(x.due) > 0 && x.due[0].until <= nowMilli {
		x.dropLocked(x.due[0])
	}
}

func (x *expiring) dropLocked(r *record) {
	heap.Remove(&x.due, r.heapPos)
	delete(x.records, r.key)
	x.bytes -= r.size()
}

// aliveLocked finds a record that has not expired.
func (x *expiring) aliveLocked(key string, nowMilli int64) *record {
	r := x.records[key]
	if r != nil && r.until <= nowMilli {
		x.dropLocked(r)
		return nil
	}
	return r
}

func (x *expiring) putLocked(r *record, nowMilli int64) error {
	if len(x.records) >= x.max || x.bytes+r.size() > x.maxBytes {
		x.sweepLocked(nowMilli)
	}
	if len(x.records) >= x.max || x.bytes+r.size() > x.maxBytes {
		return fmt.Errorf("%d expiring records of %d bytes: %w", len(x.records), x.bytes, adapter.ErrFull)
	}
	x.records[r.key] = r
	x.bytes += r.size()
	heap.Push(&x.due, r)
	return nil
}

// Count implements adapter.Expiring.
func (a *Adapter) Count(ctx context.Context, key string, n int64, window time.Duration) (int64, error) {
	if err := a.usable(ctx); err != nil {
		return 0, err
	}
	x, nowMilli := a.expiring, a.nowMilli()
	x.mu.Lock()
	defer x.mu.Unlock()
	key = "c" + key
	r := x.aliveLocked(key, nowMilli)
	if r == nil {
		r = &record{key: key, until: nowMilli + window.Milliseconds()}
		if err := x.putLocked(r, nowMilli); err != nil {
			return 0, err
		}
	}
	r.count += n
	return r.count, nil
}

// Put implements adapter.Expiring.
func (a *Adapter) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	x, nowMilli := a.expiring, a.nowMilli()
	x.mu.Lock()
	defer x.mu.Unlock()
	key = "v" + key
	old := x.aliveLocked(key, nowMilli)
	if old != nil {
		x.dropLocked(old)
	}
	r := &record{key: key, value: slices.Clone(value), until: nowMilli + ttl.Milliseconds()}
	if err := x.putLocked(r, nowMilli); err != nil {
		if old != nil {
			_ = x.putLocked(old, nowMilli) // it fitted before
		}
		return err
	}
	return nil
}

// Fetch implements adapter.Expiring.
func (a *Adapter) Fetch(ctx context.Context, key string) ([]byte, bool, error) {
	if err := a.usable(ctx); err != nil {
		return nil, false, err
	}
	x := a.expiring
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.aliveLocked("v"+key, a.nowMilli())
	if r == nil {
		return nil, false, nil
	}
	return slices.Clone(r.value), true, nil
}

// Forget implements adapter.Expiring.
func (a *Adapter) Forget(ctx context.Context, key string) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	x := a.expiring
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.records["v"+key]; r != nil {
		x.dropLocked(r)
	}
	return nil
}

// dueHeap orders records by their end.
type dueHeap []*record

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].until < h[j].until }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapPos, h[j].heapPos = i, j
}
func (h *dueHeap) Push(x any) {
	r := x.(*record)
	r.heapPos = len(*h)
	*h = append(*h, r)
}
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
