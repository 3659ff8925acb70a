package adapter

import (
	"context"
	"time"
)

// Fleet queries and commands. They expect answers only from nodes with a live
// lease, are bounded by the context, and return what came together with the
// names of the nodes that are missing.
type Fleet interface {
	// FetchSockets describes the sockets of a target.
	FetchSockets(ctx context.Context, t Target) (sockets []SocketInfo, missing []string, err error)
	// SocketsJoin, SocketsLeave and DisconnectSockets act on every socket of
	// the target. They return once the order is published (on this node:
	// once the sequencer has it); the effect follows.
	SocketsJoin(ctx context.Context, t Target, rooms []string) error
	SocketsLeave(ctx context.Context, t Target, rooms []string) error
	DisconnectSockets(ctx context.Context, t Target, transport bool) error
	// ServerSideEmit sends an event to the same namespace on every other
	// node; this node does not receive it.
	ServerSideEmit(ctx context.Context, namespace string, e Event) error
	// ServerSideRequest is ServerSideEmit that waits for one answer per node.
	ServerSideRequest(ctx context.Context, namespace string, e Event) (answers []NodeAnswer, missing []string, err error)
}

// NodeAnswer is one node's answer to a ServerSideRequest: one JSON value.
type NodeAnswer struct {
	Node  string
	Value []byte
}

// Peers are node-to-node request and reply, for what is no chat at all (the
// relay of polling requests, say).
type Peers interface {
	// NodeID names this node's incarnation: 6 characters of [0-9A-Za-z_-],
	// random at each start.
	NodeID() string
	// Nodes lists the live nodes, this one included.
	Nodes(ctx context.Context) ([]string, error)
	// Ask sends a request to one node and waits for its reply. It blocks until
	// ctx ends at the latest, which then also ends the context of the request's
	// handler, wherever it runs. The request reaches the node at most once.
	//
	// ErrUnknownNode at once when nobody of that name is there; ErrNoReply when
	// the request was handed over and no reply came, in time or because the way
	// back was lost; ErrFull when it is larger than the store carries. The
	// handler's own error comes as its text. All else is ErrUnavailable.
	Ask(ctx context.Context, node, kind string, body []byte) ([]byte, error)
	// Serve answers requests of a kind. handle runs on its own goroutine per
	// request, at most a bounded number at once; its context ends when the asker
	// no longer waits, as far as that is known, and at Close. Call it before
	// traffic begins, once per kind.
	Serve(kind string, handle func(ctx context.Context, q *Question))
}

// Question is a request of another node, being handled.
type Question struct {
	From string // the node that asks
	Body []byte // the handler's own
	// Reply sends the answer, or an error as its text, and blocks until that is
	// on its way, for seconds at most. Only the first call counts; a handler that
	// returns without one has its asker told so. An error says that the asker has
	// not got the answer (ErrUnknownNode: it is gone) or may not have got it. nil
	// is no proof that it has: it may have turned away meanwhile.
	Reply func(body []byte, err error) error
}

// Tables are small durable records that the fleet shares: named fields in named
// tables. They survive restarts and deaths as logged events do.
type Tables interface {
	// SetField stores a field of a table, or removes it when value is nil; the last
	// write wins. The table is kept for keep after the write, or longer if an
	// earlier write asked for that. ErrFull: the table has MaxFields, a name or the
	// value is too long, or the store is full. After ErrUnavailable it may have
	// happened; it may be repeated.
	SetField(ctx context.Context, table, field string, value []byte, keep time.Duration) error
	// RaiseField stores n in a field, unless that holds a higher number, and
	// returns the number that it holds afterwards. Errors as of SetField.
	RaiseField(ctx context.Context, table, field string, n uint64, keep time.Duration) (uint64, error)
	// Fields reads a table; one that is not there is empty. A number is its decimal
	// text.
	Fields(ctx context.Context, table string) (map[string][]byte, error)
}

// Limits of tables: fields in one, and the bytes of names and of a value.
const (
	MaxFields     = 1000
	MaxFieldName  = 1024
	MaxFieldValue = 4096
)

// Expiring are counters and records that the fleet shares and forgets.
type Expiring interface {
	// Count adds n to a counter that starts anew after the window and returns
	// its value.
	Count(ctx context.Context, key string, n int64, window time.Duration) (int64, error)
	// Put stores a value until ttl has passed.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Fetch reads a stored value; ok is false when there is none.
	Fetch(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Forget removes a stored value.
	Forget(ctx context.Context, key string) error
}
