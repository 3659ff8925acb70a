package redis

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"github.com/antchat/antchat/adapter"
)

// What crosses a channel is one byte for the kind, a head of words separated
// by spaces up to a line feed, written by the scripts, and a body, written
// here: lengths as uvarints, then bytes. The bodies of entries and kept emits
// stand in the streams as they are.
const (
	kindLogged    = 'M' // M epoch seq pos previous-epoch time start [trace]
	kindKept      = 'R' // R pos start [trace]; r the same, for one socket of this node
	kindKeptHere  = 'r'
	kindEphemeral = 'E' // E [trace]; e the same, for one socket of this node
	kindHere      = 'e'
	kindJoined    = 'J' // J count user-length
	kindLeft      = 'L'
	kindBeat      = 'B' // B pos start
	kindCut       = 'C' // C op pos start
	kindMarker    = 'Z' // Z op pos start
	kindFence     = 'F' // F token namespace-length
	kindLoss      = 'G' // G epoch from to pos start
	kindOrder     = 'O'
	kindServer    = 'S'
	kindReply     = 'Y'
)

// errWire: bytes that no node of this version wrote.
var errWire = errors.New("redis: malformed message")

// Limits of what is read. They are far above what is written.
const (
	maxWireList = 65536
	maxWireText = 64 << 20
)

func putBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func putText(b []byte, v string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func putTexts(b []byte, v []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	for _, s := range v {
		b = putText(b, s)
	}
	return b
}

func putEvent(b []byte, e adapter.Event) []byte {
	b = putText(b, e.Name)
	b = putBytes(b, e.Data)
	b = binary.AppendUvarint(b, uint64(len(e.Attachments)))
	for _, a := range e.Attachments {
		b = putBytes(b, a)
	}
	return b
}

// scan reads a body. After the first mistake everything reads as empty.
type scan struct {
	b   []byte
	bad bool
}

func (s *scan) number() uint64 {
	n, size := binary.Uvarint(s.b)
	if size <= 0 {
		s.bad, s.b = true, nil
		return 0
	}
	s.b = s.b[size:]
	return n
}

func (s *scan) bytes() []byte {
	n := s.number()
	if n > maxWireText || n > uint64(len(s.b)) {
		s.bad, s.b = true, nil
		return nil
	}
	v := s.b[:n:n]
	s.b = s.b[n:]
	return v
}

func (s *scan) text() string { return string(s.bytes()) }

func (s *scan) count() int {
	n := s.number()
	// Each element takes a byte at least.
	if n > maxWireList || n > uint64(len(s.b)) {
		s.bad, s.b = true, nil
		return 0
	}
	return int(n)
}

func (s *scan) texts() []string {
	n := s.count()
	if n == 0 {
		return nil
	}
	v := make([]string, 0, n)
	for range n {
		v = append(v, s.text())
	}
	return v
}

func (s *scan) event() adapter.Event {
	e := adapter.Event{Name: s.text(), Data: s.bytes()}
	if n := s.count(); n > 0 {
		e.Attachments = make([][]byte, 0, n)
		for range n {
			e.Attachments = append(e.Attachments, s.bytes())
		}
	}
	return e
}

func (s *scan) end() error {
	if s.bad || len(s.b) > 0 {
		return errWire
	}
	return nil
}

// entryBody is an entry of a room's log, without what the script adds.
func entryBody(a *adapter.Append) []byte {
	b := make([]byte, 0, a.Event.Size()+len(a.Event.Name)+len(a.Sender)+len(a.User)+len(a.ID)+32)
	b = putText(b, a.Sender)
	b = putText(b, a.User)
	b = putText(b, a.ID)
	return putEvent(b, a.Event)
}

func readEntry(body []byte, d *adapter.Delivery) error {
	s := scan{b: body}
	d.Sender, d.User, d.ID, d.Event = s.text(), s.text(), s.text(), s.event()
	return s.end()
}

// emission is an event that is not logged, with its target.
type emission struct {
	target   adapter.Target
	event    adapter.Event
	volatile bool
	// ask, when not "", names a request of node asker that waits for answers.
	ask, asker string
	timeout    uint64 // milliseconds
}

const (
	flagVolatile = 1 << iota
	flagAsk
)

func (e *emission) append(b []byte) []byte {
	flags := byte(0)
	if e.volatile {
		flags |= flagVolatile
	}
	if e.ask != "" {
		flags |= flagAsk
	}
	b = append(b, flags)
	b = putTarget(b, &e.target)
	if e.ask != "" {
		b = putText(b, e.ask)
		b = putText(b, e.asker)
		b = binary.AppendUvarint(b, e.timeout)
	}
	return putEvent(b, e.event)
}

func putTarget(b []byte, t *adapter.Target) []byte {
	b = putText(b, t.Namespace)
	b = putTexts(b, t.Rooms)
	return putTexts(b, t.Except)
}

func (s *scan) target() adapter.Target {
	return adapter.Target{Namespace: s.text(), Rooms: s.texts(), Except: s.texts()}
}

func readEmission(body []byte) (*emission, error) {
	if len(body) == 0 {
		return nil, errWire
	}
	flags := body[0]
	s := scan{b: body[1:]}
	e := &emission{volatile: flags&flagVolatile != 0}
	e.target = s.target()
	if flags&flagAsk != 0 {
		e.ask, e.asker, e.timeout = s.text(), s.text(), s.number()
		s.bad = s.bad || e.ask == ""
	}
	e.event = s.event()
	return e, s.end()
}

// parcel is a message taken apart: kind, words of the head, body.
type parcel struct {
	kind  byte
	words []string
	body  []byte
}

func readParcel(payload string) (p parcel, err error) {
	i := strings.IndexByte(payload, '\n')
	if i < 1 || i > 512 { // at 0 there is no kind
		return p, errWire
	}
	p.kind = payload[0]
	p.words = strings.Fields(payload[1:i])
	p.body = []byte(payload[i+1:])
	return p, nil
}

func (p *parcel) word(i int) string {
	if i < len(p.words) {
		return p.words[i]
	}
	return ""
}

// trace is a word that only newer nodes write, and only of what is traced: "" when
// there is none.
func (p *parcel) trace(i int) string {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if w := p.word(i); len(w) == length {
		return w
	}
	return ""
}

func (p *parcel) number(i int) (uint64, error) {
	n, err := strconv.ParseUint(p.word(i), 10, 53)
	if err != nil {
		return 0, errWire
	}
	return n, nil
}

// entryID reads a stream's ID. In a room's log it is seq-pos.
func entryID(id string) (seq, pos uint64, err error) {
	a, b, ok := strings.Cut(id, "-")
	seq, err1 := strconv.ParseUint(a, 10, 53)
	pos, err2 := strconv.ParseUint(b, 10, 53)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, errWire
	}
	return seq, pos, nil
}

func joinParcel(kind byte, head string, body []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(head) + len(body) + 2)
	b.WriteByte(kind)
	b.WriteString(head)
	b.WriteByte('\n')
	b.Write(body)
	return b.Bytes()
}
