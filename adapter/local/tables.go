package local

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/antchat/antchat/adapter"
)

// tables keeps what adapter.Tables stores, all of it in memory, and on disk field
// by field. All fields are guarded by mu.
type tables struct {
	max      int
	maxBytes int64

	mu     sync.Mutex
	byName map[string]*table
	dirty  map[fieldKey]struct{} // to be written; nil in memory
	bytes  int64
}

type table struct {
	fields map[string][]byte
	until  int64 // Unix milliseconds
}

type fieldKey struct{ table, field string }

// fieldChange is a field to be written, or deleted when record is nil.
type fieldChange struct {
	fieldKey
	record []byte
}

// fieldOverhead is what a field, and a table, cost in memory beside their texts.
const fieldOverhead = 100

func fieldSize(key fieldKey, value []byte) int64 {
	return int64(len(key.table)+len(key.field)+len(value)) + fieldOverhead
}

func newTables(durable bool, most int, maxBytes int64) *tables {
	t := &tables{max: most, maxBytes: maxBytes, byName: make(map[string]*table)}
	if durable {
		t.dirty = make(map[fieldKey]struct{})
	}
	return t
}

func (t *tables) aliveLocked(name string, nowMilli int64) *table {
	one := t.byName[name]
	if one != nil && one.until <= nowMilli {
		t.dropLocked(name, one)
		return nil
	}
	return one
}

func (t *tables) dropLocked(name string, one *table) {
	for field, value := range one.fields {
		key := fieldKey{name, field}
		t.bytes -= fieldSize(key, value)
		t.markLocked(key)
	}
	delete(t.byName, name)
}

func (t *tables) markLocked(key fieldKey) {
	if t.dirty != nil {
		t.dirty[key] = struct{}{}
	}
}

// set changes one field. change gets its value, nil when there is none, and gives
// the new one, nil to remove it.
func (t *tables) set(key fieldKey, keep time.Duration, nowMilli int64, change func(old []byte) ([]byte, error)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.aliveLocked(key.table, nowMilli)
	var old []byte
	known := false
	if one != nil {
		old, known = one.fields[key.field]
	}
	value, err := change(old)
	if err != nil {
		return err
	}
	switch {
	case value == nil && !known:
		return nil
	case value == nil:
		t.bytes -= fieldSize(key, old)
		delete(one.fields, key.field)
		if len(one.fields) == 0 {
			delete(t.byName, key.table)
		}
		t.markLocked(key)
		return nil
	}
	size := fieldSize(key, value)
	if known {
		size -= fieldSize(key, old)
	}
	switch {
	case t.bytes+size > t.maxBytes, one == nil && len(t.byName) >= t.max:
		return fmt.Errorf("%d tables of %d bytes: %w", len(t.byName), t.bytes, adapter.ErrFull)
	case !known && one != nil && len(one.fields) >= adapter.MaxFields:
		return fmt.Errorf("table has %d fields: %w", len(one.fields), adapter.ErrFull)
	}
	if one == nil {
		one = &table{fields: make(map[string][]byte, 1)}
		t.byName[key.table] = one
	}
	one.fields[key.field] = value
	one.until = max(one.until, nowMilli+keep.Milliseconds())
	t.bytes += size
	t.markLocked(key)
	return nil
}

func (t *tables) read(name string, nowMilli int64) map[string][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.aliveLocked(name, nowMilli)
	if one == nil {
		return nil
	}
	fields := make(map[string][]byte, len(one.fields))
	for field, value := range one.fields {
		fields[field] = value // never changed in place
	}
	return fields
}

// sweep drops tables whose time has come.
func (t *tables) sweep(nowMilli int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, one := range t.byName {
		if one.until <= nowMilli {
			t.dropLocked(name, one)
		}
	}
}

// takeDirty hands over what is to be written; giveBack takes it again when that
// failed.
func (t *tables) takeDirty() []fieldChange {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirty) == 0 {
		return nil
	}
	out := make([]fieldChange, 0, len(t.dirty))
	for key := range t.dirty {
		c := fieldChange{fieldKey: key}
		if one := t.byName[key.table]; one != nil {
			if value, ok := one.fields[key.field]; ok {
				c.record = appendText(binary.AppendUvarint(newRecord(len(value)+12), uint64(one.until)), value)
			}
		}
		out = append(out, c)
	}
	t.dirty = make(map[fieldKey]struct{})
	return out
}

func (t *tables) giveBack(changes []fieldChange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range changes {
		t.markLocked(c.fieldKey)
	}
}

// load puts a field that was read from disk in place.
func (t *tables) load(key fieldKey, value []byte, until int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.byName[key.table]
	if one == nil {
		one = &table{fields: make(map[string][]byte, 1)}
		t.byName[key.table] = one
	}
	one.fields[key.field] = value
	one.until = max(one.until, until)
	t.bytes += fieldSize(key, value)
}

func appendFieldKey(dst []byte, key fieldKey) []byte {
	return appendText(appendText(dst, key.table), key.field)
}

func parseField(k, body []byte) (key fieldKey, value []byte, until int64, err error) {
	r := &reader{b: k}
	key = fieldKey{r.text(), r.text()}
	if err := r.end(); err != nil {
		return key, nil, 0, err
	}
	r = &reader{b: body}
	until, value = int64(r.uint()), append([]byte{}, r.bytes()...)
	return key, value, until, r.end()
}

func writeFields(b *bolt.Bucket, changes []fieldChange) error {
	for _, c := range changes {
		key := appendFieldKey(nil, c.fieldKey)
		if c.record == nil {
			if err := b.Delete(key); err != nil {
				return err
			}
		} else if err := put(b, key, c.record); err != nil {
			return err
		}
	}
	return nil
}

// setField changes a field and returns when that is on disk.
func (a *Adapter) setField(ctx context.Context, key fieldKey, keep time.Duration, change func(old []byte) ([]byte, error)) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if len(key.table) > adapter.MaxFieldName || len(key.field) > adapter.MaxFieldName {
		return fmt.Errorf("set field: a name is longer than %d bytes: %w", adapter.MaxFieldName, adapter.ErrFull)
	}
	if err := a.tables.set(key, keep, a.nowMilli(), change); err != nil {
		return fmt.Errorf("set field: %w", err)
	}
	if a.o.Dir == "" {
		return nil
	}
	return a.committer.sync(ctx)
}

// SetField implements adapter.Tables.
func (a *Adapter) SetField(ctx context.Context, name, field string, value []byte, keep time.Duration) error {
	if len(value) > adapter.MaxFieldValue {
		return fmt.Errorf("set field: %d bytes, %d are allowed: %w", len(value), adapter.MaxFieldValue, adapter.ErrFull)
	}
	return a.setField(ctx, fieldKey{name, field}, keep, func([]byte) ([]byte, error) { return slices.Clone(value), nil })
}

// RaiseField implements adapter.Tables.
func (a *Adapter) RaiseField(ctx context.Context, name, field string, n uint64, keep time.Duration) (uint64, error) {
	result := n
	err := a.setField(ctx, fieldKey{name, field}, keep, func(old []byte) ([]byte, error) {
		if held, err := strconv.ParseUint(string(old), 10, 64); err == nil && held > n {
			result = held
			return old, nil
		}
		return strconv.AppendUint(nil, n, 10), nil
	})
	return result, err
}

// Fields implements adapter.Tables.
func (a *Adapter) Fields(ctx context.Context, name string) (map[string][]byte, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	return a.tables.read(name, a.nowMilli()), nil
}
