package local

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/schedule"
)

const recordOverhead = 200 // bytes of memory that a record costs by itself

// expiring keeps counters and records until their time has come. In memory
// only: they do not survive the process.
type expiring struct {
	max      int
	maxBytes int64

	mu      sync.Mutex
	records map[string]*expiringRecord // counters and values have keys of their own kind
	byTime  schedule.Queue[record]
	bytes   int64
}

// record is a counter or a value.
type record struct {
	key   string
	value []byte
	count int64
}

type expiringRecord = schedule.Entry[record]

func (r *record) size() int64 { return int64(len(r.key)+len(r.value)) + recordOverhead }

func newExpiring(maxRecords int, maxBytes int64) *expiring {
	return &expiring{max: maxRecords, maxBytes: maxBytes, records: make(map[string]*expiringRecord)}
}

func (x *expiring) sweep(nowMilli int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sweepLocked(nowMilli)
}

func (x *expiring) sweepLocked(nowMilli int64) {
	now := time.UnixMilli(nowMilli)
	for first := x.byTime.First(); first != nil && !first.At().After(now); first = x.byTime.First() {
		x.dropLocked(first)
	}
}

func (x *expiring) dropLocked(e *expiringRecord) {
	x.byTime.Remove(e)
	delete(x.records, e.Value.key)
	x.bytes -= e.Value.size()
}

// aliveLocked finds a record that has not expired.
func (x *expiring) aliveLocked(key string, nowMilli int64) *expiringRecord {
	e := x.records[key]
	if e != nil && !e.At().After(time.UnixMilli(nowMilli)) {
		x.dropLocked(e)
		return nil
	}
	return e
}

// putLocked adds a record under a key that has none.
func (x *expiring) putLocked(r record, until time.Time, nowMilli int64) (*expiringRecord, error) {
	if len(x.records) >= x.max || x.bytes+r.size() > x.maxBytes {
		x.sweepLocked(nowMilli)
	}
	if len(x.records) >= x.max || x.bytes+r.size() > x.maxBytes {
		return nil, fmt.Errorf("%d expiring records of %d bytes: %w", len(x.records), x.bytes, adapter.ErrFull)
	}
	e := x.byTime.Add(until, r)
	x.records[r.key] = e
	x.bytes += r.size()
	return e, nil
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
	e := x.aliveLocked(key, nowMilli)
	if e == nil {
		var err error
		if e, err = x.putLocked(record{key: key}, time.UnixMilli(nowMilli).Add(window), nowMilli); err != nil {
			return 0, err
		}
	}
	e.Value.count += n
	return e.Value.count, nil
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
	r := record{key: key, value: slices.Clone(value)}
	_, err := x.putLocked(r, time.UnixMilli(nowMilli).Add(ttl), nowMilli)
	if err != nil && old != nil {
		_, _ = x.putLocked(old.Value, old.At(), nowMilli) // it fitted before
	}
	return err
}

// Fetch implements adapter.Expiring.
func (a *Adapter) Fetch(ctx context.Context, key string) ([]byte, bool, error) {
	if err := a.usable(ctx); err != nil {
		return nil, false, err
	}
	x := a.expiring
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.aliveLocked("v"+key, a.nowMilli())
	if e == nil {
		return nil, false, nil
	}
	return slices.Clone(e.Value.value), true, nil
}

// Forget implements adapter.Expiring.
func (a *Adapter) Forget(ctx context.Context, key string) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	x := a.expiring
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.records["v"+key]; e != nil {
		x.dropLocked(e)
	}
	return nil
}
