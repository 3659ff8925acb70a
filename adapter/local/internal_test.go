package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"
	"unique"

	bolt "go.etcd.io/bbolt"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// faulty is a store that fails as it is told to.
type faulty struct {
	store
	err chan error // the results of the next commits; nil: as the store does
}

func (f *faulty) commit(b *batch) error {
	select {
	case err := <-f.err:
		if err != nil {
			return err
		}
	default:
	}
	return f.store.commit(b)
}

func note(room, text string) adapter.Append {
	return adapter.Append{Namespace: "/", Room: room, Event: adapter.Event{Name: "e", Data: []byte(`["e"]`)}, ID: text, Key: text}
}

func openFaulty(t *testing.T) (*Adapter, *faulty) {
	t.Helper()
	a, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	f := &faulty{store: a.store, err: make(chan error, 1)}
	a.store = f // nothing has been committed yet
	return a, f
}

func TestFullStoreRecovers(t *testing.T) {
	a, f := openFaulty(t)
	ctx := t.Context()
	if _, err := a.Append(ctx, note("a", "1")); err != nil {
		t.Fatal(err)
	}
	f.err <- asFull(fmt.Errorf("write: %w", syscall.ENOSPC))
	if _, err := a.Append(ctx, note("a", "2")); !errors.Is(err, adapter.ErrFull) || errors.Is(err, adapter.ErrUnavailable) {
		t.Fatal(err)
	}
	if s := a.Status(); s.Ready || s.Reason == "" {
		t.Errorf("%+v", s)
	}
	// There is room again: the janitor notices by itself, and the number that
	// was not written is the next one's.
	for end := time.Now().Add(20 * time.Second); !a.Status().Ready; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still not ready")
		}
	}
	got, err := a.Append(ctx, note("a", "2"))
	if err != nil || got.Seq != 2 || got.Duplicate {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBrokenStoreStaysBroken(t *testing.T) {
	a, f := openFaulty(t)
	ctx := t.Context()
	f.err <- asFull(fmt.Errorf("sync: %w", syscall.EIO))
	for range 2 {
		if _, err := a.Append(ctx, note("a", "1")); !errors.Is(err, adapter.ErrUnavailable) || errors.Is(err, adapter.ErrFull) {
			t.Fatal(err)
		}
	}
	if a.Status().Ready {
		t.Error("ready")
	}
	// What needs no store goes on.
	if err := a.Emit(ctx, adapter.Emit{Target: adapter.Target{Namespace: "/"}}); err != nil {
		t.Error(err)
	}
}

// TestEmitsDuringCommit: emits take places below the commit under way; when
// these are used up they wait for it.
func TestEmitsDuringCommit(t *testing.T) {
	a, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(t.Context())
	s := a.stream
	nowMilli := a.nowMilli()
	first := s.beginCommit(nowMilli)
	emit := func(ctx context.Context, keep bool) (uint64, error) {
		ev := &roomindex.Event{Target: adapter.Target{Namespace: "/nowhere"}}
		err := s.emit(ctx, ev, keep, a.nowMilli())
		return ev.Delivery.Pos, err
	}
	last := s.now()
	for last < first {
		p, err := emit(t.Context(), true)
		if err != nil || p <= last || p > first {
			t.Fatalf("emit at %d after %d, the commit begins above %d: %v", p, last, first, err)
		}
		last = p
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := emit(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("no place is left, but: %v", err)
	}
	if _, err := emit(t.Context(), false); err != nil {
		t.Fatalf("an ephemeral emit needs no place: %v", err)
	}
	done := make(chan uint64)
	go func() {
		p, _ := emit(t.Context(), true)
		done <- p
	}()
	s.endCommit(first+3, nil, nil)
	if p := <-done; p <= first+3 {
		t.Errorf("emit at %d, the commit took up to %d", p, first+3)
	}
	if s.limit != math.MaxUint64 {
		t.Error("the limit outlived the commit")
	}
}

func TestDedupeBuckets(t *testing.T) {
	d := newDedupe(1000, 10, 5500)
	k := func(i byte) keyHash { return keyHash{i} }
	d.put(k(1), answered{seq: 1, at: 5500})
	d.put(k(2), answered{seq: 2, at: 4100}) // of the last bucket: after a restart
	d.put(k(3), answered{seq: 3, at: 3900}) // too old
	known := func() (out string) {
		for i := range byte(5) {
			if _, ok := d.find(k(i)); ok {
				out += fmt.Sprint(i)
			}
		}
		return out
	}
	for _, c := range []struct {
		now  int64
		want string
	}{{5999, "12"}, {4000, "12"}, {6000, "1"}, {6999, "1"}, {7000, ""}} {
		d.turn(c.now)
		if got := known(); got != c.want {
			t.Errorf("at %d keys %q are known, wanted %q", c.now, got, c.want)
		}
	}
	d.put(k(4), answered{at: 7000})
	if d.turn(99_000); known() != "" {
		t.Error("a key outlived a long silence")
	}
}

func TestHashKeyIsOfTheRoom(t *testing.T) {
	seen := map[keyHash]string{}
	for _, k := range [][3]string{{"/", "a", "bc"}, {"/", "ab", "c"}, {"/a", "", "bc"}, {"/", "a", "bd"}, {"", "/a", "bc"}} {
		h := hashKey(roomKey{k[0], k[1]}, k[2])
		if was, ok := seen[h]; ok {
			t.Errorf("%q and %q have one hash", was, k)
		}
		seen[h] = fmt.Sprint(k)
	}
}

func TestForks(t *testing.T) {
	f := forks{{10, 20}, {30, 40}}
	for offset, want := range map[uint64]bool{5: false, 10: false, 11: true, 19: true, 20: false, 30: false, 31: true, 40: false} {
		if f.lost(offset) != want {
			t.Errorf("offset %d: lost %v", offset, !want)
		}
	}
	for len(f) < maxForks {
		f = append(f, fork{100, 200})
	}
	if !f.lost(5) || f.lost(25) {
		t.Error("below the first fork that is remembered nothing can be proven")
	}
}

func TestQueue(t *testing.T) {
	var q queue[int]
	next, want := 0, 0
	for round := range 50 {
		for range 100 + round {
			q.push(next)
			next++
		}
		for range 100 {
			if q.front() != want || q.all()[0] != want {
				t.Fatalf("front is %d, wanted %d", q.front(), want)
			}
			q.pop()
			want++
		}
	}
	if q.len() != next-want {
		t.Errorf("%d are left, wanted %d", q.len(), next-want)
	}
	for q.len() > 0 {
		q.pop()
	}
}

// TestRingsForget: the memory of trimmed rooms is bounded, and what is
// forgotten can only refuse a recovery.
func TestRingsForget(t *testing.T) {
	r := rings{max: 10, perRoom: 10, maxBytes: 1 << 20, windowMilli: 1000, rings: make(map[roomKey]*ring)}
	pos := uint64(0)
	for i := range maxRings + 100 {
		pos++
		r.add(pos, 1, &roomindex.Event{Target: adapter.Target{Namespace: "/", Rooms: []string{fmt.Sprint(i)}}})
	}
	if len(r.rings) > maxRings || r.count != 10 || r.order.len() != 10 {
		t.Errorf("%d rings, %d events", len(r.rings), r.count)
	}
	if got := r.trimmedTo(roomKey{"/", "0"}); got < 1 {
		t.Errorf("room 0 was trimmed up to %d", got)
	}
	r.trim(5000)
	if r.count != 0 || r.bytes != 0 {
		t.Errorf("%d events of %d bytes outlived the window", r.count, r.bytes)
	}
}

func FuzzRecords(f *testing.F) {
	d := &adapter.Delivery{Pos: 77, Time: time.UnixMilli(5).UTC(), Sender: "s", User: "u", ID: "i", Event: adapter.Event{Name: "n", Data: []byte(`["n"]`), Attachments: [][]byte{{1}, {}}}}
	l := &roomLog{id: 3, epoch: "epoch"}
	f.Add(appendEntry(nil, &entry{d: d, keyed: true, key: keyHash{1}, digest: [16]byte{2}}))
	f.Add(appendEntry(nil, &entry{d: d}))
	f.Add(appendHead(nil, l, &head{first: 1, last: 5, trimmed: 2, lastPos: 9, lastAt: 4, firstAt: 3}))
	f.Add(appendSession(nil, &session{sid: "s", namespace: unique.Make("/"), user: "u", data: []byte("{}"), token: 3, start: 4, gone: 5, rooms: []joined{{"a", 1}, {"b", 2}}}))
	f.Add(appendKept(nil, "/", &keptEvent{at: 4, event: d.Event, rooms: []string{"a"}, except: []string{"b"}}))
	f.Add(appendState(nil, &state{pos: 1, at: 2, clean: true, nextRoom: 3, forgotten: 4, keptLost: 5, forks: forks{{1, 2}}}))
	f.Add(appendStub(nil, &entry{d: d}))
	f.Add(appendRoomKey(nil, roomKey{"/", "room"}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		// What parses must survive being written and read again.
		if e, err := parseEntry(b); err == nil {
			e2, err := parseEntry(appendEntry(nil, e))
			if err != nil || !reflect.DeepEqual(appendEntry(nil, e), appendEntry(nil, e2)) {
				t.Errorf("entry %+v: %v", e, err)
			}
		}
		if l, err := parseHead(b); err == nil {
			l2, err := parseHead(appendHead(nil, l, &l.head))
			if err != nil || l2.head != l.head || l2.id != l.id || l2.epoch != l.epoch {
				t.Errorf("head %+v: %v", l, err)
			}
		}
		if s, err := parseSession("p", b); err == nil {
			s2, err := parseSession("p", appendSession(nil, s))
			if err != nil || !reflect.DeepEqual(s, s2) {
				t.Errorf("session %+v: %v", s, err)
			}
		}
		if ns, k, err := parseKept(b); err == nil {
			again := appendKept(nil, ns, k)
			ns2, k2, err := parseKept(again)
			if err != nil || !reflect.DeepEqual(again, appendKept(nil, ns2, k2)) {
				t.Errorf("kept %+v: %v", k, err)
			}
		}
		if s, err := parseState(b); err == nil {
			s2, err := parseState(appendState(nil, s))
			if err != nil || !reflect.DeepEqual(s, s2) {
				t.Errorf("state %+v: %v", s, err)
			}
		}
		if k, err := parseRoomKey(b); err == nil {
			if k2, err := parseRoomKey(appendRoomKey(nil, k)); err != nil || k2 != k {
				t.Errorf("room key %+v: %v", k, err)
			}
		}
		_, _, _, _, _ = parseStub(b[:min(24, len(b))], b)
		if _, err := unseal([]byte("key"), b); err == nil && len(b) < recordHeader {
			t.Error("a record without a header")
		}
		if body, err := unseal([]byte("key"), seal([]byte("key"), append(newRecord(len(b)), b...))); err != nil || string(body) != string(b) {
			t.Error(err)
		}
	})
}

// FuzzParseField: what is taken is written again the same.
func FuzzParseField(f *testing.F) {
	key := appendFieldKey(nil, fieldKey{"table", "field"})
	f.Add(key, appendText(binary.AppendUvarint(nil, 12), []byte("value")))
	f.Add([]byte{}, []byte{255})
	f.Fuzz(func(t *testing.T, k, body []byte) {
		key, value, until, err := parseField(k, body)
		if err != nil {
			return
		}
		again, same, at, err := parseField(appendFieldKey(nil, key), appendText(binary.AppendUvarint(nil, uint64(until)), value))
		if err != nil || again != key || string(same) != string(value) || at != until {
			t.Errorf("%v %q %d became %v %q %d, %v", key, value, until, again, same, at, err)
		}
	})
}

// TestStuck: bbolt cannot even roll back, since its list of free pages is damaged
// too, and keeps its locks. Nobody waits for them: reads go on, writes are refused,
// and it can be closed.
func TestStuck(t *testing.T) {
	dir := t.TempDir()
	d, err := openBolt(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, dataFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	const flagsAt, freelist = 8, 0x10 // of a page's header
	damaged := 0
	for at := 0; at < len(whole); at += os.Getpagesize() {
		if binary.NativeEndian.Uint16(whole[at+flagsAt:]) == freelist {
			damaged++
			if _, err := file.WriteAt([]byte{0, 0}, int64(at+flagsAt)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := file.Close(); err != nil || damaged == 0 {
		t.Fatalf("%d pages, %v", damaged, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2 {
			if err := d.update(func(*bolt.Tx) error { panic("a damaged page") }); !errors.Is(err, ErrDamaged) {
				t.Errorf("update: %v", err)
			}
		}
		if err := d.look(func(tx *bolt.Tx) error { return nil }); err != nil {
			t.Errorf("look: %v", err)
		}
		if err := d.look(func(*bolt.Tx) error { panic("a damaged page") }); !errors.Is(err, ErrDamaged) {
			t.Errorf("look: %v", err)
		}
		if err := d.look(func(tx *bolt.Tx) error { return nil }); err != nil {
			t.Errorf("look after a damaged page: %v", err)
		}
		if err := d.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it waits for a lock of its own")
	}
}
