package packet

import (
	"bytes"
	"fmt"
	"math"
	"unicode/utf8"
)

// Limits bounds what one packet may be. Zero fields mean the defaults.
type Limits struct {
	// MaxAttachments is the most binary parts of a packet. Default 10.
	MaxAttachments int
	// MaxDepth is how many arrays and objects may be inside each other,
	// counting the array of an event itself. Default 64.
	MaxDepth int
	// MaxNamespace is the longest namespace in bytes, a protocol 4 query
	// included. Default 256.
	MaxNamespace int
	// MaxArgs is the most elements of an event's or ack's array. Default 1000.
	MaxArgs int
	// MaxBytes is the most bytes of a packet with its attachments together: a
	// connection that stops between attachments holds that many. Default
	// 4,000,000.
	MaxBytes int
}

// withDefaults fills in the defaults.
func (l Limits) withDefaults() Limits {
	set := func(v *int, n int) {
		if *v <= 0 {
			*v = n
		}
	}
	set(&l.MaxAttachments, 10)
	set(&l.MaxDepth, 64)
	set(&l.MaxNamespace, 256)
	set(&l.MaxArgs, 1000)
	set(&l.MaxBytes, 4_000_000)
	return l
}

// Decoder turns the messages of one connection, in their order, into packets.
// It holds memory only while attachments are outstanding. After an error the
// connection is to be closed: the stream cannot be trusted any more. It is not
// safe for concurrent use.
//
// It is small, to lie within what it works for: it must not be copied once used.
type Decoder struct {
	limits   *Limits
	pending  *Packet // waits for attachments: len of cap have come
	left     int32   // bytes that pending may still take
	protocol uint8
}

// NewDecoder returns a decoder for protocol 4 or 5.
func NewDecoder(protocol int, l Limits) *Decoder {
	l = l.withDefaults()
	return &Decoder{protocol: uint8(protocol), limits: &l}
}

// Again returns a fresh decoder for the same protocol, which shares d's limits.
func (d *Decoder) Again() Decoder { return Decoder{protocol: d.protocol, limits: d.limits} }

// Text takes a text message: what follows the Engine.IO type. It returns nil
// and no error when the packet's attachments are to follow. b is not kept.
// Errors wrap [ErrMalformed] or [ErrLimit].
func (d *Decoder) Text(b []byte) (*Packet, error) {
	if d.pending != nil {
		d.pending = nil
		return nil, fmt.Errorf("decode packet: %w: text between attachments", ErrMalformed)
	}
	p, err := d.text(b)
	if err != nil {
		return nil, fmt.Errorf("decode packet: %w", err)
	}
	if cap(p.Attachments) > 0 {
		d.pending, d.left = p, int32(min(d.limits.MaxBytes-len(b), math.MaxInt32))
		return nil, nil
	}
	return p, nil
}

// Binary takes a binary message: the next attachment. It returns nil and no
// error when more are to follow. b is not kept.
func (d *Decoder) Binary(b []byte) (*Packet, error) {
	p := d.pending
	if p == nil {
		return nil, fmt.Errorf("decode packet: %w: an attachment of no packet", ErrMalformed)
	}
	if len(b) > int(d.left) {
		d.pending = nil
		return nil, fmt.Errorf("decode packet: %w: more than %d bytes with attachments", ErrLimit, d.limits.MaxBytes)
	}
	d.left -= int32(len(b))
	own := make([]byte, len(b))
	copy(own, b)
	p.Attachments = append(p.Attachments, own)
	if len(p.Attachments) < cap(p.Attachments) {
		return nil, nil
	}
	d.pending = nil
	return p, nil
}

// text reads the text part (socket.io-protocol v5, "Packet encoding"):
//
//	type [attachments "-"] [namespace ","] [id] [JSON]
//
// The capacity of the packet's Attachments says how many are to come.
func (d *Decoder) text(b []byte) (*Packet, error) {
	if len(b) > d.limits.MaxBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrLimit, d.limits.MaxBytes)
	}
	if len(b) == 0 || b[0] < '0' || b[0] > '6' {
		return nil, fmt.Errorf("%w: unknown type", ErrMalformed)
	}
	p := Packet{Type: Type(b[0] - '0'), Namespace: "/"}
	b = b[1:]

	attachments := 0
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		p.Type -= BinaryEvent - Event
		n := 0
		attachments, n = smallInt(b)
		// 0 would be a binary packet without binary, which Node's parser
		// refuses since 4.2.7.
		if n == 0 || n == len(b) || b[n] != '-' || attachments == 0 {
			return nil, fmt.Errorf("%w: bad number of attachments", ErrMalformed)
		}
		if attachments > d.limits.MaxAttachments {
			return nil, fmt.Errorf("%w: more than %d attachments", ErrLimit, d.limits.MaxAttachments)
		}
		b = b[n+1:]
	}

	if len(b) > 0 && b[0] == '/' {
		n := 1
		for n < len(b) && b[n] != ',' {
			n++
		}
		if err := checkNamespace(b[:n], d.limits.MaxNamespace); err != nil {
			return nil, err
		}
		if n > 1 {
			p.Namespace = string(b[:n])
		}
		// The comma may be missing at the end of the packet.
		b = b[min(n+1, len(b)):]
	}

	n := 0
	for n < len(b) && b[n]-'0' <= 9 {
		p.ID = 10*p.ID + uint64(b[n]-'0')
		if p.ID > MaxID {
			return nil, fmt.Errorf("%w: ack id above 2^53-1", ErrMalformed)
		}
		n++
	}
	if n > 1 && b[0] == '0' {
		return nil, fmt.Errorf("%w: ack id with a leading zero", ErrMalformed)
	}
	p.HasID = n > 0
	// Encoders of other languages (Go's, for one) end JSON with a line break,
	// which JavaScript's parser passes over.
	b = bytes.TrimRight(b[n:], " \t\r\n")

	if err := checkPacket(&p, b, attachments, int(d.protocol), d.limits); err != nil {
		return nil, err
	}
	if len(b) > 0 {
		p.Data = make([]byte, len(b))
		copy(p.Data, b)
	}
	if attachments > 0 {
		p.Attachments = make([][]byte, 0, attachments)
	}
	return &p, nil
}

// checkNamespace checks a namespace: it starts with '/', is UTF-8 and holds no
// comma, which would end it, and no control characters, which could end an
// Engine.IO packet or a log line.
func checkNamespace(ns []byte, limit int) error {
	if len(ns) > limit {
		return fmt.Errorf("%w: a namespace of more than %d bytes", ErrLimit, limit)
	}
	if len(ns) == 0 || ns[0] != '/' || !utf8.Valid(ns) {
		return fmt.Errorf("%w: bad namespace", ErrMalformed)
	}
	for _, c := range ns {
		if c < 0x20 || c == 0x7f || c == ',' {
			return fmt.Errorf("%w: bad namespace", ErrMalformed)
		}
	}
	return nil
}

// checkPacket checks p with the data that it is to have.
func checkPacket(p *Packet, data []byte, attachments, protocol int, l *Limits) error {
	if len(data) == 0 {
		switch p.Type {
		case Event, Ack:
			return fmt.Errorf("%w: %v without data", ErrMalformed, p.Type)
		case ConnectError:
			return fmt.Errorf("%w: %v without data", ErrMalformed, p.Type)
		}
		return checkHeader(p)
	}
	c := checker{b: data, maxDepth: l.MaxDepth, attachments: attachments}
	if err := c.check(); err != nil {
		return err
	}
	if err := checkShape(p.Type, data, protocol); err != nil {
		return err
	}
	if c.elements > l.MaxArgs {
		return fmt.Errorf("%w: more than %d arguments", ErrLimit, l.MaxArgs)
	}
	return checkHeader(p)
}

// checkHeader checks that an ack id is there where one must be, and nowhere
// where it means nothing.
func checkHeader(p *Packet) error {
	switch {
	case p.Type == Ack && !p.HasID:
		return fmt.Errorf("%w: ack without id", ErrMalformed)
	case p.HasID && p.Type != Event && p.Type != Ack:
		return fmt.Errorf("%w: %v with an ack id", ErrMalformed, p.Type)
	}
	return nil
}

// checkShape checks that valid JSON is what a packet of type t carries.
func checkShape(t Type, data []byte, protocol int) error {
	first, last := data[0], data[len(data)-1]
	object := first == '{' && last == '}'
	ok := false
	switch t {
	case Connect:
		ok = object
	case Disconnect:
	case Event, Ack:
		ok = first == '[' && last == ']'
	case ConnectError:
		ok = object || first == '"' && last == '"' || protocol == 4 && first > ' ' && last > ' '
	}
	if !ok {
		return fmt.Errorf("%w: %v with unfit data", ErrMalformed, t)
	}
	if t == Event {
		return checkEventName(data)
	}
	return nil
}
