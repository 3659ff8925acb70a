package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/antchat/antchat/adapter"
)

// dataFile is the one file in the data directory.
const dataFile = "antchat.db"

// lockWait is how long Open waits for another process to let the file go.
const lockWait = time.Second

// Buckets of the data file. docs/decisions/2026-11-23-local-log-store.md says
// why it is one bbolt file.
var (
	bucketMeta     = []byte("meta")     // "format", "state"
	bucketRooms    = []byte("rooms")    // room key → head
	bucketLog      = []byte("log")      // room id, seq → entry
	bucketStubs    = []byte("stubs")    // time, room id, seq → dedupe key of a trimmed entry
	bucketSessions = []byte("sessions") // pid → session
	bucketTables   = []byte("tables")   // table, field → until, value
	bucketLoose    = []byte("loose")    // room key → position up to which emits are lost; 0: declared
	bucketKept     = []byte("kept")     // pos → recoverable emit, written at a clean close
	bucketTrimmed  = []byte("trimmed")  // room key → ring.trimmed, written at a clean close

	buckets = [][]byte{bucketMeta, bucketRooms, bucketLog, bucketStubs, bucketSessions, bucketTables, bucketLoose, bucketKept, bucketTrimmed}

	keyFormat   = []byte("format")
	keyState    = []byte("state")
	valueFormat = []byte("antchat local 1")
)

// disk is the store in a data directory.
type disk struct {
	db *bolt.DB
	// bbolt gave up in the middle of something, and may have left locks held:
	// the writers' one, or those that readers need too. Nothing that takes them
	// may be called again, Close neither.
	writeStuck, readStuck atomic.Bool
	file                  *os.File // bbolt's; closed by it unless it is stuck
	state                 state    // owned by the committer, and by Open and Close around it
}

// openBolt opens or makes the data file.
func openBolt(dir string, maxBytes int64) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, dataFile)
	var file *os.File
	var db *bolt.DB
	err := guard(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout: lockWait, FreelistType: bolt.FreelistMapType, MaxSize: int(maxBytes), NoStatistics: true,
			// The free list is kept in the file: rebuilding it would walk the
			// file on a goroutine of bbolt's own, where a damaged page cannot
			// be caught.
			NoFreelistSync: false,
			OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
				f, err = os.OpenFile(name, flag, mode)
				file = f
				return f, err
			},
		})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, errors.New("another process is using the directory")
	case err != nil:
		if file != nil {
			_ = file.Close() // gives the lock back, unless it is mapped already; closed unless bbolt gave up half-way
		}
		return nil, fmt.Errorf("%s: %w", dataFile, err)
	}
	d := &disk{db: db, file: file}
	if err := d.update(prepare); err != nil {
		return nil, errors.Join(err, d.close())
	}
	// A new file's name has to survive a power cut too.
	if f, err := os.Open(dir); err == nil {
		err = errors.Join(f.Sync(), f.Close())
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

func prepare(tx *bolt.Tx) error {
	if m := tx.Bucket(bucketMeta); m != nil {
		if got := m.Get(keyFormat); !bytes.Equal(got, valueFormat) {
			return fmt.Errorf("data file has format %q, %q is known here", got, valueFormat)
		}
	}
	for _, name := range buckets {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keyFormat, valueFormat)
}

// guard turns bbolt's panics, and faults in its memory map, into errors: both
// mean a damaged file.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return f()
}

// errStuck is what becomes of calls after one that left locks held.
var errStuck = fmt.Errorf("%w: it was found unusable before", ErrDamaged)

// update writes. After a panic in it bbolt's rollback may have failed, too, so
// that there is no other write.
func (d *disk) update(f func(tx *bolt.Tx) error) error {
	if d.writeStuck.Load() {
		return errStuck
	}
	whole := false
	err := guard(func() error {
		err := d.db.Update(f)
		whole = true
		return err
	})
	if !whole {
		d.writeStuck.Store(true)
	}
	return asFull(err)
}

// look reads. A panic in f is what a damaged page is, and hurts that read
// alone; one before f leaves bbolt's locks held.
func (d *disk) look(f func(tx *bolt.Tx) error) error {
	if d.readStuck.Load() {
		return errStuck
	}
	begun := false
	err := guard(func() error {
		return d.db.View(func(tx *bolt.Tx) error {
			begun = true
			return f(tx)
		})
	})
	if !begun && errors.Is(err, ErrDamaged) {
		d.readStuck.Store(true)
	}
	return err
}

// asFull tells a lack of space from all other failures. bbolt gives some of
// them on as text only.
func asFull(err error) error {
	if err == nil {
		return nil
	}
	for _, e := range []error{bolterrors.ErrMaxSizeReached, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) {
			return fmt.Errorf("%w: %w", adapter.ErrFull, err)
		}
	}
	return err
}

// close gives the file back. A stuck one stays mapped, and so the lock on it
// held, until the process ends: bbolt would wait for locks of its own.
func (d *disk) close() error {
	if d.writeStuck.Load() || d.readStuck.Load() {
		return d.file.Close()
	}
	return guard(func() error { return d.db.Close() })
}

func put(b *bolt.Bucket, key, record []byte) error { return b.Put(key, seal(key, record)) }

// commit implements store: one transaction.
func (d *disk) commit(b *batch) error {
	next := d.state
	next.pos, next.at, next.clean = max(next.pos, b.pos), b.at, false
	for _, t := range b.trims {
		// Before the entries go, so that no reader takes their absence for
		// damage.
		t.log.gone.raise(t.below)
	}
	err := d.update(func(tx *bolt.Tx) error {
		log, rooms := tx.Bucket(bucketLog), tx.Bucket(bucketRooms)
		for i := range b.appends {
			e := &b.appends[i]
			r := appendEntry(newRecord(128+e.d.Event.Size()), &e.entry)
			if err := put(log, entryKey(e.log.id, e.d.Seq), r); err != nil {
				return err
			}
			next.nextRoom = max(next.nextRoom, e.log.id)
		}
		for _, t := range b.trims {
			if err := d.trim(tx, t, b.heads[t.log], b.keysFrom); err != nil {
				return err
			}
		}
		for l, h := range b.heads {
			if err := put(rooms, appendRoomKey(nil, l.roomKey), appendHead(newRecord(64), l, h)); err != nil {
				return err
			}
		}
		for _, l := range b.dropped {
			next.forgotten = max(next.forgotten, b.heads[l].trimmed)
			if err := rooms.Delete(appendRoomKey(nil, l.roomKey)); err != nil {
				return err
			}
		}
		if err := writeSessions(tx.Bucket(bucketSessions), b.sessions); err != nil {
			return err
		}
		if err := writeFields(tx.Bucket(bucketTables), b.fields); err != nil {
			return err
		}
		if err := writeLoose(tx.Bucket(bucketLoose), b.loose); err != nil {
			return err
		}
		if err := dropStubs(tx.Bucket(bucketStubs), b.keysFrom); err != nil {
			return err
		}
		return put(tx.Bucket(bucketMeta), keyState, appendState(newRecord(64), &next))
	})
	if err == nil {
		d.state = next
	}
	return err
}

// trim deletes a log's oldest entries. Keys of young ones stay behind as
// stubs, since they are remembered longer than a busy room's entries.
func (d *disk) trim(tx *bolt.Tx, t trim, h *head, keysFrom int64) error {
	log, stubs := tx.Bucket(bucketLog), tx.Bucket(bucketStubs)
	c := log.Cursor()
	prefix := entryKey(t.log.id, 0)[:8]
	var doomed [][]byte
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix) && len(k) == 16; k, v = c.Next() {
		seq := binary.BigEndian.Uint64(k[8:])
		body, err := unseal(k, v)
		if err != nil {
			return fmt.Errorf("entry %d of room %q: %w", seq, t.log.room, err)
		}
		e, err := parseEntry(body)
		if err != nil {
			return fmt.Errorf("entry %d of room %q: %w: %w", seq, t.log.room, ErrDamaged, err)
		}
		at := e.d.Time.UnixMilli()
		if seq >= t.below {
			h.firstAt = at
			break
		}
		h.trimmed = max(h.trimmed, e.d.Pos)
		if e.keyed && at >= keysFrom {
			if err := put(stubs, stubKey(at, t.log.id, seq), appendStub(newRecord(64), e)); err != nil {
				return err
			}
		}
		doomed = append(doomed, bytes.Clone(k))
	}
	// Deleting through a cursor that moves on would skip entries.
	for _, k := range doomed {
		if err := log.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func writeSessions(b *bolt.Bucket, changes []sessionChange) error {
	for _, s := range changes {
		key := []byte(s.pid)
		if s.record == nil {
			if err := b.Delete(key); err != nil {
				return err
			}
		} else if err := put(b, key, append(newRecord(len(s.record)), s.record...)); err != nil {
			return err
		}
	}
	return nil
}

func writeLoose(b *bolt.Bucket, changes map[roomKey]bool) error {
	for k, declare := range changes {
		key := appendRoomKey(nil, k)
		if declare {
			if err := put(b, key, binary.AppendUvarint(newRecord(8), 0)); err != nil {
				return err
			}
		} else if err := b.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// dropStubs forgets keys that are no longer needed, a bounded number at once.
func dropStubs(b *bolt.Bucket, keysFrom int64) error {
	var doomed [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil && len(doomed) < 1000; k, _ = c.Next() {
		if len(k) >= 8 && int64(binary.BigEndian.Uint64(k)) >= keysFrom {
			break
		}
		doomed = append(doomed, bytes.Clone(k))
	}
	for _, k := range doomed {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// scan implements store. Entries are dense: one that is missing, and was not
// trimmed, is damage like one with a wrong checksum.
func (d *disk) scan(l *roomLog, from, to uint64, newest bool, visit func(*adapter.Delivery) bool) error {
	if from > to {
		return nil
	}
	return d.look(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketLog).Cursor()
		var k, v []byte
		step := c.Next
		want := from
		if newest {
			step, want = c.Prev, to
			if k, v = c.Seek(entryKey(l.id, to)); k == nil {
				k, v = c.Last()
			} else if !bytes.Equal(k, entryKey(l.id, to)) {
				k, v = c.Prev()
			}
		} else {
			k, v = c.Seek(entryKey(l.id, from))
		}
		for want >= from && want <= to && want > 0 {
			seq := uint64(0)
			if len(k) == 16 && binary.BigEndian.Uint64(k) == l.id {
				seq = binary.BigEndian.Uint64(k[8:])
			}
			if seq != want {
				gone := l.gone.Load()
				switch {
				case newest && want < gone:
					return nil
				case !newest && want < gone && seq >= gone && seq <= to:
					want = seq // the trimmed ones are passed over
				case !newest && to < gone && seq == 0:
					return nil
				default:
					return fmt.Errorf("%w: entry %d of room %q is missing", ErrDamaged, want, l.room)
				}
			}
			delivery, err := l.delivery(k, v, seq)
			if err != nil {
				return err
			}
			if !visit(delivery) {
				return nil
			}
			if newest {
				want--
			} else {
				want++
			}
			k, v = step()
		}
		return nil
	})
}

// delivery decodes an entry into memory of its own.
func (l *roomLog) delivery(k, v []byte, seq uint64) (*adapter.Delivery, error) {
	body, err := unseal(k, v)
	if err != nil {
		return nil, fmt.Errorf("entry %d of room %q: %w", seq, l.room, err)
	}
	e, err := parseEntry(bytes.Clone(body))
	if err != nil {
		return nil, fmt.Errorf("entry %d of room %q: %w: %w", seq, l.room, ErrDamaged, err)
	}
	d := e.d
	d.Namespace, d.Room, d.Epoch, d.Seq = l.namespace, l.room, l.epoch, seq
	return d, nil
}

// mark is a number that only grows, shared by the committer and readers.
type mark struct{ atomic.Uint64 }

func (m *mark) raise(v uint64) {
	if v > m.Load() { // only the committer writes
		m.Store(v)
	}
}
