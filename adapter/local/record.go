package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
	"unique"

	"github.com/antchat/antchat/adapter"
)

// Every record on disk is
//
//	version byte · CRC-32C (4 bytes, big endian) of key and body · body
//
// The sum covers the record's key too, so that a record that turns up in
// another's place is damaged, not believed. Numbers in a body are uvarints,
// texts are a length and bytes.
const (
	recordVersion = 1
	recordHeader  = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRecord = errors.New("malformed record")

func sum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

// seal finishes a record that was begun with newRecord.
func seal(key, record []byte) []byte {
	record[0] = recordVersion
	binary.BigEndian.PutUint32(record[1:], sum(key, record[recordHeader:]))
	return record
}

func newRecord(size int) []byte { return make([]byte, recordHeader, recordHeader+size) }

// unseal checks a record and returns its body.
func unseal(key, record []byte) ([]byte, error) {
	switch {
	case len(record) < recordHeader:
		return nil, fmt.Errorf("%w: short record", ErrDamaged)
	case record[0] != recordVersion:
		return nil, fmt.Errorf("%w: record version %d", ErrDamaged, record[0])
	case binary.BigEndian.Uint32(record[1:]) != sum(key, record[recordHeader:]):
		return nil, fmt.Errorf("%w: wrong checksum", ErrDamaged)
	}
	return record[recordHeader:], nil
}

// reader takes a body apart. The first fault sticks; nothing is allocated
// before it is known to be there.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() { r.b, r.err = nil, errRecord }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes returns a part of the body itself.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string { return string(r.bytes()) }

// count is the number of things that follow; each takes at least a byte.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) fixed(dst []byte) {
	if len(r.b) < len(dst) {
		r.fail()
		return
	}
	copy(dst, r.b)
	r.b = r.b[len(dst):]
}

// end reports the first fault, or that something was left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail()
	}
	return r.err
}

func appendText[T string | []byte](dst []byte, v T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
}

func appendTexts[T string | []byte](dst []byte, list []T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, v := range list {
		dst = appendText(dst, v)
	}
	return dst
}

func (r *reader) texts() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	out := make([]string, 0, min(n, 1024))
	for range n {
		out = append(out, r.text())
	}
	return out
}

func appendEvent(dst []byte, e *adapter.Event) []byte {
	return appendTexts(appendText(appendText(dst, e.Name), e.Data), e.Attachments)
}

func (r *reader) event() adapter.Event {
	e := adapter.Event{Name: r.text(), Data: r.bytes()}
	for range r.count() {
		e.Attachments = append(e.Attachments, r.bytes())
	}
	return e
}

// appendEntry encodes a log entry's body. Room, epoch and seq stand in the
// key and the room's record.
func appendEntry(dst []byte, e *entry) []byte {
	dst = binary.AppendUvarint(dst, e.d.Pos)
	dst = binary.AppendUvarint(dst, uint64(e.d.Time.UnixMilli()))
	if e.keyed {
		dst = append(dst, 1)
		dst = append(append(dst, e.key[:]...), e.digest[:]...)
	} else {
		dst = append(dst, 0)
	}
	dst = appendText(appendText(appendText(dst, e.d.Sender), e.d.User), e.d.ID)
	return appendEvent(dst, &e.d.Event)
}

// parseEntry decodes what appendEntry wrote. The delivery shares body's
// memory.
func parseEntry(body []byte) (*entry, error) {
	r := &reader{b: body}
	e := &entry{d: &adapter.Delivery{Class: adapter.Logged}}
	e.d.Pos = r.uint()
	e.d.Position[0] = e.d.Pos
	e.d.Time = time.UnixMilli(int64(r.uint())).UTC()
	switch r.uint() {
	case 0:
	case 1:
		e.keyed = true
		r.fixed(e.key[:])
		r.fixed(e.digest[:])
	default:
		r.fail()
	}
	e.d.Sender, e.d.User, e.d.ID = r.text(), r.text(), r.text()
	e.d.Event = r.event()
	return e, r.end()
}

func appendHead(dst []byte, l *roomLog, h *head) []byte {
	dst = appendText(binary.AppendUvarint(dst, l.id), l.epoch)
	for _, v := range []uint64{h.first, h.last, h.trimmed, h.lastPos, uint64(h.lastAt), uint64(h.firstAt)} {
		dst = binary.AppendUvarint(dst, v)
	}
	return dst
}

func parseHead(body []byte) (*roomLog, error) {
	r := &reader{b: body}
	l := &roomLog{id: r.uint(), epoch: r.text()}
	l.head = head{first: r.uint(), last: r.uint(), trimmed: r.uint(), lastPos: r.uint()}
	l.head.lastAt, l.head.firstAt = int64(r.uint()), int64(r.uint())
	if r.err == nil && (l.head.first == 0 || l.head.first > l.head.last+1) {
		r.fail()
	}
	return l, r.end()
}

func appendSession(dst []byte, s *session) []byte {
	dst = appendText(appendText(appendText(appendText(dst, s.sid), s.namespace.Value()), s.user), s.data)
	for _, v := range []uint64{s.token, s.start, uint64(s.gone), uint64(len(s.rooms))} {
		dst = binary.AppendUvarint(dst, v)
	}
	for _, j := range s.rooms {
		dst = binary.AppendUvarint(appendText(dst, j.room), j.pos)
	}
	return dst
}

func parseSession(pid string, body []byte) (*session, error) {
	r := &reader{b: body}
	s := &session{pid: pid, sid: r.text(), namespace: unique.Make(r.text()), user: r.text(), data: append([]byte(nil), r.bytes()...)}
	s.token, s.start, s.gone = r.uint(), r.uint(), int64(r.uint())
	for range r.count() {
		s.rooms = append(s.rooms, joined{room: r.text(), pos: r.uint()})
	}
	return s, r.end()
}

func appendKept(dst []byte, namespace string, k *keptEvent) []byte {
	dst = binary.AppendUvarint(appendText(dst, namespace), uint64(k.at))
	return appendEvent(appendTexts(appendTexts(dst, k.rooms), k.except), &k.event)
}

func parseKept(body []byte) (namespace string, k *keptEvent, err error) {
	r := &reader{b: body}
	namespace = r.text()
	k = &keptEvent{at: int64(r.uint()), rooms: r.texts(), except: r.texts()}
	k.event = r.event()
	return namespace, k, r.end()
}

// state is the store's own record, written with every commit.
type state struct {
	pos       uint64 // highest position that may have been given out
	at        int64  // Unix milliseconds: the last sign of life
	clean     bool   // nothing was given out or changed since
	nextRoom  uint64
	forgotten uint64 // stream.forgotten
	keptLost  uint64 // rings.forgotten
	forks     forks
}

func appendState(dst []byte, s *state) []byte {
	clean := uint64(0)
	if s.clean {
		clean = 1
	}
	for _, v := range []uint64{s.pos, uint64(s.at), clean, s.nextRoom, s.forgotten, s.keptLost, uint64(len(s.forks))} {
		dst = binary.AppendUvarint(dst, v)
	}
	for _, f := range s.forks {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, f.fork), f.start)
	}
	return dst
}

func parseState(body []byte) (*state, error) {
	r := &reader{b: body}
	s := &state{pos: r.uint(), at: int64(r.uint()), clean: r.uint() == 1}
	s.nextRoom, s.forgotten, s.keptLost = r.uint(), r.uint(), r.uint()
	for range r.count() {
		s.forks = append(s.forks, fork{fork: r.uint(), start: r.uint()})
	}
	return s, r.end()
}

// Keys. A room's key sorts by namespace, then by name, so that no name can
// reach into another namespace.

func appendRoomKey(dst []byte, k roomKey) []byte {
	return append(appendText(dst, k.namespace), k.room...)
}

func parseRoomKey(b []byte) (roomKey, error) {
	r := &reader{b: b}
	k := roomKey{namespace: r.text()}
	k.room = string(r.b)
	return k, r.err
}

func entryKey(room, seq uint64) []byte {
	var k [16]byte
	binary.BigEndian.PutUint64(k[:], room)
	binary.BigEndian.PutUint64(k[8:], seq)
	return k[:]
}

// stubKey orders what is left of trimmed entries, their dedupe keys, by time.
func stubKey(at int64, room, seq uint64) []byte {
	k := binary.BigEndian.AppendUint64(nil, uint64(at))
	return append(k, entryKey(room, seq)...)
}

func appendStub(dst []byte, e *entry) []byte {
	dst = binary.AppendUvarint(dst, e.d.Pos)
	return append(append(dst, e.key[:]...), e.digest[:]...)
}

func parseStub(key, body []byte) (at int64, room uint64, h keyHash, a answered, err error) {
	if len(key) != 24 {
		return 0, 0, h, a, errRecord
	}
	at, room = int64(binary.BigEndian.Uint64(key)), binary.BigEndian.Uint64(key[8:])
	r := &reader{b: body}
	a = answered{seq: binary.BigEndian.Uint64(key[16:]), pos: r.uint(), at: at}
	r.fixed(h[:])
	r.fixed(a.digest[:])
	return at, room, h, a, r.end()
}
