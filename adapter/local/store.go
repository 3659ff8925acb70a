package local

import (
	"fmt"
	"sync"

	"github.com/antchat/antchat/adapter"
)

// store keeps what a commit writes: in memory, or on disk.
type store interface {
	// commit writes a batch, wholly or not at all. errFull when there is no
	// room, anything else when the outcome is not known.
	commit(b *batch) error
	// scan visits the entries from <= seq <= to of a log, ascending, or
	// descending with newest, until visit returns false. The deliveries are
	// shared and must not be changed. An entry that is not as it was written
	// ends the scan with ErrDamaged.
	scan(l *roomLog, from, to uint64, newest bool, visit func(*adapter.Delivery) bool) error
	// size is how much is kept, in bytes.
	size() int64
	close() error
}

// entry is a log entry with what dedupe needs of it.
type entry struct {
	d      *adapter.Delivery
	keyed  bool
	key    keyHash
	digest [16]byte
}

// batch is what one commit writes.
type batch struct {
	appends []appendedEntry
	trims   []trim
	// heads are the rooms' heads after the commit; the store completes them
	// with what it finds when it trims.
	heads    map[*roomLog]*head
	dropped  []*roomLog // rooms whose log has ended
	sessions []sessionChange
	fields   []fieldChange
	loose    map[roomKey]bool
	pos      uint64 // highest position in the batch, or given out before it
	at       int64  // Unix milliseconds
	keysFrom int64  // keys of entries younger than this are still needed
}

type appendedEntry struct {
	log *roomLog
	entry
}

// trim takes the entries below a seq out of a log.
type trim struct {
	log   *roomLog
	below uint64
}

func (b *batch) empty() bool {
	return len(b.appends) == 0 && len(b.trims) == 0 && len(b.dropped) == 0 && len(b.sessions) == 0 && len(b.fields) == 0 && len(b.loose) == 0
}

// memory is the store of a node without a data directory.
type memory struct {
	max int64

	mu    sync.Mutex
	logs  map[*roomLog][]*adapter.Delivery // dense, ascending
	bytes int64
}

func newMemory(maxBytes int64) *memory {
	return &memory{max: maxBytes, logs: make(map[*roomLog][]*adapter.Delivery)}
}

func entryBytes(d *adapter.Delivery) int64 {
	return int64(d.Event.Size()+len(d.Sender)+len(d.User)+len(d.ID)) + 300
}

func (m *memory) commit(b *batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	add := int64(0)
	for _, e := range b.appends {
		add += entryBytes(e.d)
	}
	if m.bytes+add > m.max {
		return fmt.Errorf("%d bytes of messages in memory: %w", m.bytes, adapter.ErrFull)
	}
	for _, e := range b.appends {
		m.logs[e.log] = append(m.logs[e.log], e.d)
	}
	m.bytes += add
	for _, t := range b.trims {
		entries, h := m.logs[t.log], b.heads[t.log]
		n := 0
		for n < len(entries) && entries[n].Seq < t.below {
			m.bytes -= entryBytes(entries[n])
			h.trimmed = entries[n].Pos
			entries[n] = nil
			n++
		}
		m.logs[t.log] = entries[n:]
		if n < len(entries) {
			h.firstAt = entries[n].Time.UnixMilli()
		}
	}
	for _, l := range b.dropped {
		delete(m.logs, l)
	}
	return nil
}

func (m *memory) scan(l *roomLog, from, to uint64, newest bool, visit func(*adapter.Delivery) bool) error {
	m.mu.Lock()
	entries := m.logs[l]
	if len(entries) == 0 {
		m.mu.Unlock()
		return nil
	}
	first := entries[0].Seq
	if from = max(from, first); to < from {
		m.mu.Unlock()
		return nil
	}
	// Trimming clears the slots of what it drops: take a copy of what is
	// asked for, a piece at a time, so that a long log costs no long lock.
	m.mu.Unlock()
	const piece = 128
	for from <= to {
		lo, hi := from, min(to, from+piece-1)
		if newest {
			lo, hi = to-min(to-from, piece-1), to
		}
		var part [piece]*adapter.Delivery
		n := 0
		m.mu.Lock()
		entries = m.logs[l]
		for seq := lo; seq <= hi && len(entries) > 0; seq++ {
			if first = entries[0].Seq; seq >= first && seq-first < uint64(len(entries)) {
				part[n] = entries[seq-first]
				n++
			}
		}
		m.mu.Unlock()
		for i := range n {
			d := part[i]
			if newest {
				d = part[n-1-i]
			}
			if !visit(d) {
				return nil
			}
		}
		if newest {
			if lo == from {
				return nil
			}
			to = lo - 1
		} else {
			from = hi + 1
		}
	}
	return nil
}

func (m *memory) close() error { return nil }
