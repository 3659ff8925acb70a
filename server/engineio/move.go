package engineio

import (
	"context"
	"errors"
	"strings"
	"time"
	"unique"
)

// An upgrade that arrives at another node than the session's own moves the session
// there (docs/decisions/2026-11-25-session-move.md). The new node holds the
// WebSocket and does the probe; the owner stops the polling. When the client
// completes the upgrade the owner freezes the session and hands it over; the new
// node takes it up, has that confirmed, and only then sends. Whatever is not
// confirmed in time ends the session on both sides, and the client comes back.

// Mover is a Handler whose session can move to another node.
type Mover interface {
	Handler
	// Pack is called when nothing more comes from the client here. What has come
	// is handled, for as long as ctx lasts; then nothing more is sent. It returns
	// what Options.Adopt needs at the other node. After an error the session is
	// closed.
	Pack(ctx context.Context) ([]byte, error)
	// Departed: the session goes on elsewhere. It is called instead of Closed, and
	// does not block. true: Told may be called, for a while.
	Departed() bool
	// Told takes what Adopt's tell was given at the other node.
	Told(word []byte)
}

// Adopt makes the Handler of a session that comes from another node, of what its
// Mover packed there. Nothing is sent before start, which is called when the other
// node has let go of the session. After an error a Handler that is not nil has its
// Closed called. tell sends word to the Mover; it may be lost, and does not block.
type Adopt func(ctx context.Context, s *Session, state []byte, tell func(word []byte)) (h Handler, start func(), err error)

const (
	// packTimeout is how long handlers may run on before a move.
	packTimeout = 2 * time.Second
	// moveTimeout is how long each step of a move may take.
	moveTimeout = 4 * time.Second
	// movingTimeout is how long the owner keeps what it has handed over: the new
	// node's two steps.
	movingTimeout = 2*moveTimeout + time.Second
	// maxMoved is how many sessions that have left a node remembers, to answer
	// late requests as after an upgrade.
	maxMoved = 4096
	// maxWord limits what is told to a former owner, in bytes, and maxWords how
	// many are on their way at once.
	maxWord  = 4 << 20
	maxWords = 1000
)

// Outcomes of a move, for Hooks.Moved.
const (
	MoveDone          = "moved"
	MoveNotHandedOver = "not handed over" // the owner did not answer, or was busy
	MoveNotTakenUp    = "not taken up"    // by the Handler here
	MoveNotConfirmed  = "not confirmed"   // by the owner, in time
)

// ReasonMoved is what Hooks.Closed is given where a session has left for another
// node.
const ReasonMoved = "moved"

// errMove ends a move; the client comes back by itself.
var errMove = errors.New("move not completed")

// movedSession is a session on its way.
type movedSession struct {
	Revision    byte              `json:"revision"`
	B64         bool              `json:"b64,omitempty"`
	Secure      bool              `json:"secure,omitempty"`
	CrossDomain bool              `json:"cross_domain,omitempty"`
	Opened      int64             `json:"opened"`
	Address     string            `json:"address"`
	URI         string            `json:"uri"`
	Headers     map[string]string `json:"headers,omitempty"`
	Queue       [][]movedPacket   `json:"queue,omitempty"` // by message
	Handler     []byte            `json:"handler"`
}

type movedPacket struct {
	Type   byte   `json:"t"`
	Binary bool   `json:"b,omitempty"`
	Data   []byte `json:"d,omitempty"`
}

// become fills in what the session was.
func (s *Session) become(m *movedSession) {
	s.opened = m.Opened
	s.b64, s.secure, s.crossDomain = m.B64, m.Secure, m.CrossDomain
	var values strings.Builder
	for _, name := range s.srv.o.Headers {
		values.WriteString(m.Headers[name])
		values.WriteString(headerEnd)
	}
	uri := m.URI // not within what is forgotten
	s.facts = facts{address: m.Address, uri: &uri, headers: unique.Make(values.String())}
	for _, message := range m.Queue {
		s.queue.push(s.remade(message))
	}
}

// remade is a message as its owner had it.
func (s *Session) remade(message []movedPacket) *Prepared {
	if len(message) == 1 && message[0].Type != TypeMessage {
		return preparePacket(message[0].Type, message[0].Data)
	}
	var text []byte
	var bins [][]byte
	for i, k := range message {
		switch {
		case k.Binary:
			bins = append(bins, k.Data)
		case i == 0:
			text = append([]byte{}, k.Data...)
		}
	}
	return prepare(s.revision, text, bins)
}
