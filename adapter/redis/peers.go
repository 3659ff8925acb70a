package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
)

// peers are node-to-node requests. They have connections of their own: one that
// publishes and one that hears, so that what they carry, which may be large,
// stands in nobody's way on the log's.
type peers struct {
	a   *Adapter
	out *pipe // of lane 0's Redis

	room  *budget // bytes of requests being handled
	queue *budget // bytes on their way to Redis

	mu       sync.Mutex
	handlers map[string]peerHandler
	asked    map[string]chan peerReply     // by request; capacity 1
	handling map[string]context.CancelFunc // by asker and request
	up       chan struct{}                 // closed while the link is heard on; replaced at a loss
	linked   bool
	mended   time.Time // when the link last came back; zero if it was never lost
}

type peerHandler func(ctx context.Context, q *adapter.Question)

type peerReply struct {
	body []byte
	err  error
}

// Kinds of what crosses a node's peers' channel; the bodies are texts and
// numbers as elsewhere, and then the message's own bytes.
const (
	peerAsk    = 'Q' // id, asker, milliseconds, kind
	peerAnswer = 'A' // id, a byte: 0 for an error
	peerCancel = 'X' // id, asker
)

const (
	// maxPeerBody bounds one request and one reply.
	maxPeerBody = 16 << 20
	// maxPeerQueue bounds the bytes that wait for Redis, and those being handled.
	maxPeerQueue = 64 << 20
	// peerPatience is how long a request waits for a lost link to come back, and
	// for how long after that the others' links are allowed to.
	peerPatience = 2 * time.Second
	// maxPeerHandling bounds a handler's context when the asker names no end.
	maxPeerHandling = time.Minute
)

// errPeer is a handler's error as it comes back from another node.
type errPeer string

func (e errPeer) Error() string { return string(e) }

func newPeers(a *Adapter) *peers {
	return &peers{
		a:     a,
		room:  newBudget(maxPeerQueue),
		queue: newBudget(maxPeerQueue),

		handlers: make(map[string]peerHandler),
		asked:    make(map[string]chan peerReply),
		handling: make(map[string]context.CancelFunc),
		up:       make(chan struct{}),
	}
}

// NodeID implements adapter.Peers.
func (a *Adapter) NodeID() string { return a.node }

// Nodes implements adapter.Peers.
func (a *Adapter) Nodes(ctx context.Context) ([]string, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	nodes, err := a.live(ctx)
	if err != nil {
		return nil, a.outcome("list nodes", err)
	}
	return nodes, nil
}

// Serve implements adapter.Peers. It panics when the kind is served already.
func (a *Adapter) Serve(kind string, handle func(ctx context.Context, q *adapter.Question)) {
	p := a.peers
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.handlers[kind] != nil {
		panic(fmt.Sprintf("redis: requests of kind %q are served already", kind))
	}
	p.handlers[kind] = handle
}

// Ask implements adapter.Peers. Nobody listens on an unknown node's channel,
// which the publication itself tells.
func (a *Adapter) Ask(ctx context.Context, node, kind string, body []byte) ([]byte, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	if len(body) > maxPeerBody {
		return nil, fmt.Errorf("ask %q: request of %d bytes: %w", node, len(body), adapter.ErrFull)
	}
	p := a.peers
	id, reply := a.nextID(), make(chan peerReply, 1)
	p.mu.Lock()
	p.asked[id] = reply
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.asked, id)
		p.mu.Unlock()
	}()

	b := putText(nil, id)
	b = putText(b, a.node)
	left := time.Duration(0)
	if end, ok := ctx.Deadline(); ok {
		left = max(time.Until(end), time.Millisecond)
	}
	b = binary.AppendUvarint(b, uint64(left.Milliseconds()))
	b = putText(b, kind)
	b = append(b, body...)
	if node == a.node {
		p.handle(b)
	} else if err := p.send(ctx, node, b); err != nil {
		return nil, fmt.Errorf("ask %q: %w", node, err)
	}
	select {
	case r := <-reply:
		if r.err != nil {
			return nil, fmt.Errorf("ask %q: %w", node, r.err)
		}
		return r.body, nil
	case <-ctx.Done():
		p.cancel(node, id)
		return nil, fmt.Errorf("ask %q: %w: %w", node, adapter.ErrNoReply, context.Cause(ctx))
	case <-a.ctx.Done():
		return nil, adapter.ErrClosed
	}
}

// send publishes a request once this node can hear the reply.
func (p *peers) send(ctx context.Context, node string, body []byte) error {
	payload := joinParcel(peerAsk, "", body)
	for {
		if err := p.hearing(ctx); err != nil {
			return err
		}
		err := p.publish(ctx, node, payload)
		if !errors.Is(err, adapter.ErrUnknownNode) {
			return err
		}
		// When Redis was away, the others come back at their own pace.
		p.mu.Lock()
		settling := time.Since(p.mended) < peerPatience
		p.mu.Unlock()
		if !settling {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		case <-p.a.ctx.Done():
			return adapter.ErrClosed
		}
	}
}

// hearing waits for the link.
func (p *peers) hearing(ctx context.Context) error {
	p.mu.Lock()
	up := p.up
	p.mu.Unlock()
	select {
	case <-up:
		return nil
	default:
	}
	t := time.NewTimer(peerPatience)
	defer t.Stop()
	select {
	case <-up:
		return nil
	case <-t.C:
		return fmt.Errorf("no connection to hear a reply on: %w", adapter.ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("wait for the connection: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
	case <-p.a.ctx.Done():
		return adapter.ErrClosed
	}
}

// publish sends a message to one node, at most once, and waits until Redis says
// how many heard it.
func (p *peers) publish(ctx context.Context, node string, payload []byte) error {
	ctx, cancel := p.a.bounded(ctx)
	defer cancel()
	if err := p.queue.take(ctx, len(payload)); err != nil {
		return fmt.Errorf("wait for the queue to Redis: %w: %w", adapter.ErrUnavailable, err)
	}
	defer p.queue.give(len(payload))
	v, err := p.out.do(ctx, p.op(node, payload))
	if err != nil {
		return p.a.outcome("publish", err)
	}
	if heard, _ := v.(int64); heard == 0 {
		return adapter.ErrUnknownNode
	}
	return nil
}

func (p *peers) op(node string, payload []byte) *op {
	l := p.a.lanes[0]
	return &op{cmd: []any{l.publishCmd, p.channel(node), payload}, once: true, deadline: time.Now().Add(p.a.o.Timeout)}
}

func (p *peers) channel(node string) string { return p.a.lanes[0].base + "q:" + node }

// cancel lets a request's handler know that nobody waits for it any more. If
// that does not arrive, the request's own deadline ends the handler.
func (p *peers) cancel(node, id string) {
	body := putText(putText(nil, id), p.a.node)
	if node == p.a.node {
		p.cancelled(body)
		return
	}
	p.out.pushNow(p.op(node, joinParcel(peerCancel, "", body)))
}

// take takes a message off the peers' link.
func (p *peers) take(payload string) {
	m, err := readParcel(payload)
	if err != nil {
		p.a.drop("malformed message")
		return
	}
	switch m.kind {
	case peerAsk:
		p.handle(m.body)
	case peerAnswer:
		s := scan{b: m.body}
		id, ok := s.text(), s.number()
		if s.bad {
			p.a.drop("malformed reply")
			return
		}
		p.answered(id, ok == 1, s.b)
	case peerCancel:
		p.cancelled(m.body)
	default:
		p.a.drop("unknown message")
	}
}

func (p *peers) answered(id string, ok bool, body []byte) {
	r := peerReply{body: body}
	if !ok {
		r = peerReply{err: errPeer(body)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ch := p.asked[id]; ch != nil {
		delete(p.asked, id)
		ch <- r
	}
}

func (p *peers) cancelled(body []byte) {
	s := scan{b: body}
	id, from := s.text(), s.text()
	p.mu.Lock()
	cancel := p.handling[from+" "+id]
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// handle handles a peer's request on a goroutine of its own.
func (p *peers) handle(request []byte) {
	s := scan{b: request}
	id, from, limit, kind := s.text(), s.text(), s.number(), s.text()
	if s.bad {
		p.a.drop("malformed request")
		return
	}
	key := from + " " + id
	var once atomic.Bool
	reply := func(ctx context.Context, body []byte, err error) error {
		if once.Swap(true) {
			return errors.New("redis: a second reply")
		}
		return p.reply(ctx, from, id, body, err)
	}
	if limit == 0 || limit > uint64(maxPeerHandling.Milliseconds()) {
		limit = uint64(maxPeerHandling.Milliseconds())
	}

	p.mu.Lock()
	handle := p.handlers[kind]
	busy := len(p.handling) >= p.a.o.MaxAsks
	if handle == nil || busy || !p.room.tryTake(len(request)) {
		p.mu.Unlock()
		if handle == nil {
			p.refuse(from, id, fmt.Sprintf("nobody serves %q", kind))
		} else {
			p.refuse(from, id, "too many requests at once")
		}
		return
	}
	ctx, cancel := context.WithTimeout(p.a.ctx, time.Duration(limit)*time.Millisecond)
	p.handling[key] = cancel
	p.mu.Unlock()
	body := s.b
	done := func() {
		cancel()
		p.mu.Lock()
		delete(p.handling, key)
		p.mu.Unlock()
		p.room.give(len(request))
	}
	if !p.a.spawn(func() {
		defer done()
		// The handler's own end must not keep its answer back.
		handle(ctx, &adapter.Question{From: from, Body: body, Reply: func(body []byte, err error) error {
			return reply(p.a.ctx, body, err)
		}})
		if ctx.Err() == nil && !once.Load() {
			_ = reply(p.a.ctx, nil, errors.New("no answer"))
		}
	}) {
		done()
	}
}

// refuse answers without waiting: it is called by the link's reader.
func (p *peers) refuse(to, id, why string) {
	if to == p.a.node {
		p.answered(id, false, []byte(why))
		return
	}
	b := binary.AppendUvarint(putText(nil, id), 0)
	p.out.pushNow(p.op(to, joinParcel(peerAnswer, "", append(b, why...))))
}

func (p *peers) reply(ctx context.Context, to, id string, body []byte, err error) error {
	ok := uint64(1)
	if len(body) > maxPeerBody {
		p.a.drop("a peer's reply was too large")
		err = fmt.Errorf("reply of %d bytes: %w", len(body), adapter.ErrFull)
	}
	failed := err
	if err != nil {
		ok, body = 0, []byte(err.Error())
	}
	if to == p.a.node {
		p.answered(id, ok == 1, body)
	} else {
		b := binary.AppendUvarint(putText(nil, id), ok)
		if err := p.publish(ctx, to, joinParcel(peerAnswer, "", append(b, body...))); err != nil {
			return fmt.Errorf("reply to %q: %w", to, err)
		}
	}
	if errors.Is(failed, adapter.ErrFull) {
		return failed // the answer itself did not go
	}
	return nil
}

// budget bounds the bytes of something. Waiters are served as room comes, in no
// order.
type budget struct {
	mu    sync.Mutex
	left  int
	freed chan struct{} // closed when room comes; nil while nobody waits
}

func newBudget(n int) *budget { return &budget{left: n} }

func (b *budget) tryTake(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

func (b *budget) take(ctx context.Context, n int) error {
	for {
		b.mu.Lock()
		if n <= b.left {
			b.left -= n
			b.mu.Unlock()
			return nil
		}
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}
