package official

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Emit publishes an event to the Node servers, for their sockets: a generic
// emission, or what a log's event is for its room's members. One node of the
// fleet does it for each event, the one where it began.
func (b *Bridge) Emit(e adapter.Emit) error {
	s, to, ok := b.outward(&e.Target)
	if !ok {
		return nil
	}
	to.volatile = e.Volatile
	return b.publish(s, &message{kind: kindBroadcast, event: e.Event, to: to})
}

// SocketsJoin, SocketsLeave and DisconnectSockets act on the sockets of the
// Node servers.
func (b *Bridge) SocketsJoin(t adapter.Target, rooms []string) error {
	return b.order(kindJoin, t, rooms, false)
}

// SocketsLeave: see SocketsJoin.
func (b *Bridge) SocketsLeave(t adapter.Target, rooms []string) error {
	return b.order(kindLeave, t, rooms, false)
}

// DisconnectSockets: see SocketsJoin.
func (b *Bridge) DisconnectSockets(t adapter.Target, transport bool) error {
	return b.order(kindDisconnect, t, nil, transport)
}

func (b *Bridge) order(k kind, t adapter.Target, rooms []string, transport bool) error {
	s, to, ok := b.outward(&t)
	if !ok {
		return nil
	}
	named, ok := b.out(t.Namespace, &adapter.Target{Rooms: rooms})
	if !ok || k != kindDisconnect && len(named.rooms) == 0 {
		return nil
	}
	return b.publish(s, &message{kind: k, to: to, rooms: named.rooms, close: transport})
}

// ServerSideEmit sends an event to the Node servers themselves.
func (b *Bridge) ServerSideEmit(namespace string, e adapter.Event) error {
	s, _, ok := b.outward(&adapter.Target{Namespace: namespace})
	if !ok {
		return nil
	}
	return b.publish(s, &message{kind: kindServerEvent, event: e})
}

// outward finds what a target is on the other side; not ok when nobody there
// can be meant.
func (b *Bridge) outward(t *adapter.Target) (*space, target, bool) {
	if b.o.Mode == Apart || t.Local {
		return nil, target{}, false
	}
	b.mu.RLock()
	s := b.spaces[t.Namespace]
	b.mu.RUnlock()
	if s == nil {
		return nil, target{}, false
	}
	to, ok := b.out(t.Namespace, t)
	return s, to, ok
}

// publish encodes and queues what Node servers shall hear.
func (b *Bridge) publish(s *space, m *message) error {
	m.uid, m.namespace = s.uid, s.name
	x := parcel{sharded: b.o.Mode >= Static}
	var err error
	one := m.kind == kindBroadcast && m.id == "" && len(m.to.rooms) == 1
	switch {
	case x.sharded:
		x.channel = s.main
		if one && ownChannel(b.o.Mode, s.name, m.to.rooms[0]) {
			x.channel += m.to.rooms[0] + "#"
		}
		x.payload, err = appendSharded(nil, m)
	case m.kind == kindBroadcast && m.id == "":
		x.channel = s.main
		if one {
			x.channel += m.to.rooms[0] + "#"
		}
		x.payload, err = appendBroadcast(nil, m)
	default:
		x.channel = s.requests
		x.payload, err = appendClassic(nil, m)
	}
	if err != nil {
		b.o.dropped("publish")
		return fmt.Errorf("official: %w", err)
	}
	return b.pub.push(x)
}

// ownChannel reports whether what is sent to a room goes to the room's channel.
// Node's Dynamic mode takes names of 20 characters for sockets' ids, which have
// none. The ids that its clients of revision 3 have outside the root namespace
// are longer: it publishes to their channels too, and never subscribes to
// them. Everybody hears what is sent the other way.
func ownChannel(mode Mode, namespace, room string) bool {
	switch mode {
	case DynamicPrivate:
		return true
	case Dynamic:
		id, old := strings.CutPrefix(room, namespace+"#")
		return utf16Length(room) != 20 && !(old && utf16Length(id) == 20)
	}
	return false
}

// gathering collects the answers to one request.
type gathering struct {
	kind kind
	full chan struct{} // closed when everything has come

	mu      sync.Mutex
	done    bool
	want    int // servers
	got     int
	clients int // for acknowledgements
	sockets []adapter.SocketInfo
	answers []adapter.NodeAnswer
	acks    []adapter.Answer
}

// maxGathered bounds the sockets or acknowledgements of one request.
const maxGathered = 100_000

// onResponse takes an answer.
func (b *Bridge) onResponse(m *message) {
	b.mu.RLock()
	g := b.asks[m.id]
	b.mu.RUnlock()
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done {
		return
	}
	switch {
	case m.kind == kindSockets && g.kind == kindFetch:
		g.got++
		if len(g.sockets)+len(m.sockets) > maxGathered {
			b.o.refused("too many")
		} else {
			g.sockets = append(g.sockets, m.sockets...)
		}
	case m.kind == kindAnswer && g.kind == kindServerEvent:
		g.got++
		if v := m.value; !m.fellow {
			g.answers = append(g.answers, adapter.NodeAnswer{Node: m.uid, Value: valueOrNull(v)})
		}
	case m.kind == kindCount && g.kind == kindBroadcast:
		g.got++
		g.clients += m.count
	case m.kind == kindAck && g.kind == kindBroadcast:
		if len(g.acks) >= maxGathered {
			b.o.refused("too many")
			break
		}
		args := []byte("[]")
		if m.value.data != nil {
			args = slices.Concat([]byte("["), m.value.data, []byte("]"))
		}
		g.acks = append(g.acks, adapter.Answer{Node: m.uid, Args: args, Attachments: m.value.attachments})
	}
	if g.got >= g.want && (g.kind != kindBroadcast || len(g.acks) >= g.clients) {
		g.done = true
		close(g.full)
	}
}

// valueOrNull is an answer's one JSON value; binary as JSON.stringify writes it.
func valueOrNull(v value) []byte {
	if v.data == nil || bytes.Equal(v.data, []byte("null")) {
		return []byte("null")
	}
	return stringified(v.data, v.attachments)
}

// gather counts the servers, asks them, and waits for as many answers, at most
// until the context ends or the timeout has passed. What came is in the
// result, which nothing changes any more.
func (b *Bridge) gather(ctx context.Context, s *space, m *message, timeout time.Duration) (*gathering, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stop := context.AfterFunc(b.ctx, cancel)
	defer stop()
	channel := s.requests
	if b.o.Mode >= Static {
		channel = s.main
	}
	n, err := b.pub.subscribers(ctx, channel, b.o.Mode >= Static)
	if err != nil {
		return nil, fmt.Errorf("official: %w", err)
	}
	g := &gathering{kind: m.kind, want: n - 1, full: make(chan struct{})} // this node is counted
	if g.want <= 0 {
		g.want = 0
		return g, nil
	}
	m.id = newID()
	b.mu.Lock()
	if b.closed || len(b.asks) >= b.o.MaxAsks {
		closed := b.closed
		b.mu.Unlock()
		if closed {
			return nil, ErrClosed
		}
		return nil, ErrBusy
	}
	b.asks[m.id] = g
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.asks, m.id)
		b.mu.Unlock()
	}()
	if err := b.publish(s, m); err != nil {
		return nil, err
	}
	select {
	case <-g.full:
	case <-ctx.Done():
		if b.ctx.Err() != nil {
			err = ErrClosed
		}
	}
	g.mu.Lock()
	g.done = true
	g.mu.Unlock()
	return g, err
}

// missing names the servers that did not answer: nobody knows which.
func (g *gathering) missing() []string {
	var names []string
	for i := g.got; i < g.want; i++ {
		names = append(names, fmt.Sprintf("node-server-%d", i-g.got+1))
	}
	return names
}

// FetchSockets describes the sockets of the Node servers in a target, those
// of the own fleet left out. Missing counts servers that did not answer within
// RequestTimeout.
func (b *Bridge) FetchSockets(ctx context.Context, t adapter.Target) (sockets []adapter.SocketInfo, missing []string, err error) {
	s, to, ok := b.outward(&t)
	if !ok {
		return nil, nil, nil
	}
	g, err := b.gather(ctx, s, &message{kind: kindFetch, to: to}, b.o.RequestTimeout)
	if g == nil {
		return nil, nil, err
	}
	for i := range g.sockets {
		info := &g.sockets[i]
		info.Rooms = slices.DeleteFunc(info.Rooms, func(r string) bool { return r == info.ID })
		info.Rooms = b.in(s, info.Rooms)
	}
	return g.sockets, g.missing(), err
}

// ServerSideRequest is ServerSideEmit that waits for one answer per Node
// server.
func (b *Bridge) ServerSideRequest(ctx context.Context, namespace string, e adapter.Event) (answers []adapter.NodeAnswer, missing []string, err error) {
	s, _, ok := b.outward(&adapter.Target{Namespace: namespace})
	if !ok {
		return nil, nil, nil
	}
	g, err := b.gather(ctx, s, &message{kind: kindServerEvent, event: e}, b.o.RequestTimeout)
	if g == nil {
		return nil, nil, err
	}
	return g.answers, g.missing(), err
}

// Request emits to the Node servers' sockets and collects the first argument of
// every acknowledgement, with no socket's id: Node servers do not tell.
func (b *Bridge) Request(ctx context.Context, e adapter.Emit, timeout time.Duration) (adapter.Answers, error) {
	s, to, ok := b.outward(&e.Target)
	if !ok {
		return adapter.Answers{}, nil
	}
	if timeout <= 0 {
		return adapter.Answers{}, errors.New("official: a request needs a timeout")
	}
	to.volatile, to.timeout = e.Volatile, timeout
	g, err := b.gather(ctx, s, &message{kind: kindBroadcast, event: e.Event, to: to}, timeout)
	if g == nil {
		return adapter.Answers{}, err
	}
	return adapter.Answers{Expected: g.clients, Replies: g.acks, Missing: g.missing()}, err
}
