package local

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/antchat/antchat/adapter"
)

// jump is how far a start after a kill goes beyond what is on disk, so that
// no position that a client may have seen is given out again (DELIVERY,
// "Append", step 1).
const jump = 20_000 * posPerMilli

// openDisk opens the data directory and brings everything back.
func (a *Adapter) openDisk(nowMilli int64) error {
	d, err := openBolt(a.o.Dir, a.o.MaxBytes)
	if err != nil {
		return err
	}
	if err := a.reload(d, nowMilli); err != nil {
		_ = d.close()
		return err
	}
	a.store, a.stream.setAside = d, setAsideDisk
	return nil
}

func (a *Adapter) reload(d *disk, nowMilli int64) error {
	byID := make(map[uint64]*roomLog)
	var list []*session
	loose := make(map[roomKey]uint64)
	fresh := false
	err := d.look(func(tx *bolt.Tx) error {
		raw := tx.Bucket(bucketMeta).Get(keyState)
		if fresh = raw == nil; !fresh {
			body, err := unseal(keyState, raw)
			if err != nil {
				return fmt.Errorf("state: %w", err)
			}
			s, err := parseState(body)
			if err != nil {
				return fmt.Errorf("state: %w: %w", ErrDamaged, err)
			}
			d.state = *s
		}
		if err := a.loadRooms(tx, byID, d.state.nextRoom); err != nil {
			return err
		}
		if err := each(tx, bucketSessions, func(k, body []byte) error {
			s, err := parseSession(string(k), body)
			list = append(list, s)
			return err
		}); err != nil {
			return err
		}
		if err := each(tx, bucketTables, func(k, body []byte) error {
			key, value, until, err := parseField(k, body)
			if err == nil {
				a.tables.load(key, value, until)
			}
			return err
		}); err != nil {
			return err
		}
		if err := each(tx, bucketLoose, func(k, body []byte) error {
			key, err := parseRoomKey(k)
			if err != nil {
				return err
			}
			until, n := binary.Uvarint(body)
			if n <= 0 {
				return errRecord
			}
			loose[key] = until
			return nil
		}); err != nil {
			return err
		}
		return a.loadKept(tx)
	})
	if err != nil {
		return err
	}
	if fresh && len(byID)+len(list) > 0 {
		return fmt.Errorf("%w: no state", ErrDamaged)
	}
	s := &d.state
	a.stream.forgotten, a.stream.kept.forgotten = s.forgotten, max(a.stream.kept.forgotten, s.keptLost)
	a.committer.nextRoom = s.nextRoom
	a.committer.lastTime = max(a.committer.lastTime, s.at)
	a.committer.keys.turn(a.committer.lastTime)
	if err := a.loadKeys(d, byID); err != nil {
		return err
	}
	a.stream.pos = max(next(0, nowMilli), s.pos)
	lastSign := s.at
	if !fresh && !s.clean {
		// The last sign is up to one mark old; the node may have lived on.
		lastSign = min(s.at+a.markInterval(), max(nowMilli, s.at))
		a.stream.pos += jump
		s.forks = append(s.forks, fork{fork: s.pos, start: a.stream.pos})
		if len(s.forks) > maxForks {
			s.forks = s.forks[len(s.forks)-maxForks:]
		}
	}
	a.forks = s.forks
	a.sessions.load(list, lastSign)
	a.sessions.sweep(nowMilli)
	return a.begin(d, loose, nowMilli)
}

// each visits the records of a bucket.
func each(tx *bolt.Tx, bucket []byte, f func(key, body []byte) error) error {
	return tx.Bucket(bucket).ForEach(func(k, v []byte) error {
		body, err := unseal(k, v)
		if err != nil {
			return fmt.Errorf("bucket %s: %w", bucket, err)
		}
		if err := f(k, body); err != nil {
			return fmt.Errorf("bucket %s: %w: %w", bucket, ErrDamaged, err)
		}
		return nil
	})
}

func (a *Adapter) loadRooms(tx *bolt.Tx, byID map[uint64]*roomLog, nextRoom uint64) error {
	return each(tx, bucketRooms, func(k, body []byte) error {
		l, err := parseHead(body)
		if err != nil {
			return err
		}
		if l.roomKey, err = parseRoomKey(k); err != nil {
			return err
		}
		if byID[l.id] != nil || l.id > nextRoom {
			return errRecord
		}
		l.gone.raise(l.head.first)
		byID[l.id] = l
		a.stream.addLogLocked(l)
		return nil
	})
}

func (a *Adapter) loadKept(tx *bolt.Tx) error {
	r := &a.stream.kept
	if err := each(tx, bucketTrimmed, func(k, body []byte) error {
		key, err := parseRoomKey(k)
		if err != nil {
			return err
		}
		pos, n := binary.Uvarint(body)
		if n <= 0 {
			return errRecord
		}
		r.ring(key).trimmed = pos
		return nil
	}); err != nil {
		return err
	}
	return each(tx, bucketKept, func(k, body []byte) error {
		namespace, kept, err := parseKept(bytes.Clone(body))
		if err != nil || len(k) != 8 {
			return errRecord
		}
		kept.pos = binary.BigEndian.Uint64(k)
		r.put(ringKey(&adapter.Target{Namespace: namespace, Rooms: kept.rooms}), kept)
		return nil
	})
}

// loadKeys brings the dedupe keys back: those of young entries, and the stubs
// of entries that were trimmed.
func (a *Adapter) loadKeys(d *disk, byID map[uint64]*roomLog) error {
	keys := a.committer.keys
	oldest := keys.oldest()
	for _, l := range byID {
		if l.head.lastAt < oldest || l.head.first > l.head.last {
			continue
		}
		err := d.entries(l, func(e *entry) bool {
			at := e.d.Time.UnixMilli()
			if at < oldest {
				return false
			}
			if e.keyed {
				keys.put(e.key, answered{log: l, seq: e.d.Seq, pos: e.d.Pos, at: at, digest: e.digest})
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return d.look(func(tx *bolt.Tx) error {
		return each(tx, bucketStubs, func(k, body []byte) error {
			at, room, h, known, err := parseStub(k, body)
			if err != nil {
				return err
			}
			if known.log = byID[room]; known.log != nil && at >= oldest {
				keys.put(h, known)
			}
			return nil
		})
	})
}

// entries visits a log's entries with their keys, newest first. The newest one
// must be there: a head that promises more than the log holds is damage.
func (d *disk) entries(l *roomLog, visit func(*entry) bool) error {
	return d.look(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketLog).Cursor()
		want := l.head.last
		k, v := c.Seek(entryKey(l.id, want))
		for ; want >= l.head.first; want-- {
			if !bytes.Equal(k, entryKey(l.id, want)) {
				return fmt.Errorf("%w: entry %d of room %q is missing", ErrDamaged, want, l.room)
			}
			body, err := unseal(k, v)
			if err != nil {
				return fmt.Errorf("entry %d of room %q: %w", want, l.room, err)
			}
			e, err := parseEntry(body)
			if err != nil {
				return fmt.Errorf("entry %d of room %q: %w: %w", want, l.room, ErrDamaged, err)
			}
			e.d.Seq = want
			if !visit(e) {
				return nil
			}
			k, v = c.Prev()
		}
		return nil
	})
}

// begin makes the start itself durable before anything is given out: the
// forks, what was lost, and that the store is in use again.
func (a *Adapter) begin(d *disk, loose map[roomKey]uint64, nowMilli int64) error {
	// What is older cannot concern a session that is still there.
	oldest := uint64(max(0, nowMilli-a.loose.keepTime.Milliseconds())) * posPerMilli
	s := d.state
	s.pos, s.at, s.clean = a.stream.pos, max(s.at, nowMilli), false
	// What was read of recoverable emits is in memory only from here on.
	for key := range a.stream.kept.rings {
		loose[key] = 0
		a.loose.declared[key] = nowMilli
	}
	err := d.update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketKept, bucketTrimmed} {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		b := tx.Bucket(bucketLoose)
		for k, until := range loose {
			key := appendRoomKey(nil, k)
			if _, ok := a.loose.declared[k]; ok {
				if err := put(b, key, binary.AppendUvarint(newRecord(1), 0)); err != nil {
					return err
				}
				continue
			}
			if until == 0 {
				until = a.stream.pos // declared by the run that was killed
			}
			if until < oldest {
				if err := b.Delete(key); err != nil {
					return err
				}
				continue
			}
			a.loose.lost[k] = until
			if err := put(b, key, binary.AppendUvarint(newRecord(10), until)); err != nil {
				return err
			}
		}
		return put(tx.Bucket(bucketMeta), keyState, appendState(newRecord(64), &s))
	})
	if err == nil {
		d.state = s
	}
	return err
}

// finish writes, at a clean close, what is otherwise in memory only.
func (a *Adapter) finish() error {
	d, ok := a.store.(*disk)
	if !ok {
		return nil
	}
	if a.committer.broken != nil {
		return fmt.Errorf("local: close: %w", a.committer.broken)
	}
	a.stream.mu.Lock()
	defer a.stream.mu.Unlock() // nobody else is left
	s := d.state
	s.pos, s.at, s.clean = max(s.pos, a.stream.pos), max(s.at, a.nowMilli()), true
	s.keptLost = a.stream.kept.forgotten
	err := d.update(func(tx *bolt.Tx) error {
		if err := writeSessions(tx.Bucket(bucketSessions), a.sessions.takeDirty()); err != nil {
			return err
		}
		if err := writeFields(tx.Bucket(bucketTables), a.tables.takeDirty()); err != nil {
			return err
		}
		if err := a.writeKept(tx); err != nil {
			return err
		}
		b := tx.Bucket(bucketLoose)
		for key := range a.loose.declared {
			if err := b.Delete(appendRoomKey(nil, key)); err != nil {
				return err
			}
		}
		for key, until := range a.loose.lost {
			key := appendRoomKey(nil, key)
			if err := put(b, key, binary.AppendUvarint(newRecord(10), until)); err != nil {
				return err
			}
		}
		return put(tx.Bucket(bucketMeta), keyState, appendState(newRecord(64), &s))
	})
	if err != nil {
		return fmt.Errorf("local: close: %w", err)
	}
	return nil
}

func (a *Adapter) writeKept(tx *bolt.Tx) error {
	events, trimmed := tx.Bucket(bucketKept), tx.Bucket(bucketTrimmed)
	for key, g := range a.stream.kept.rings {
		if g.trimmed > 0 {
			if err := put(trimmed, appendRoomKey(nil, key), binary.AppendUvarint(newRecord(10), g.trimmed)); err != nil {
				return err
			}
		}
		for _, k := range g.events.all() {
			record := appendKept(newRecord(256+k.event.Size()), key.namespace, k)
			if err := put(events, binary.BigEndian.AppendUint64(nil, k.pos), record); err != nil {
				return err
			}
		}
	}
	return nil
}

// markInterval is how old the last sign of life on disk may be, in
// milliseconds, while sessions are connected.
func (a *Adapter) markInterval() int64 {
	return max(int64(a.o.Window/8/time.Millisecond), 1)
}
