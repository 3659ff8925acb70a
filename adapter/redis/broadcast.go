package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// ErrClass: an Emit asked for a class that only Append makes.
var ErrClass = errors.New("redis: only Append logs events")

// route says on which lane and channel a target's events go, and the id that
// they may be for.
func (a *Adapter) route(t *adapter.Target) (l *lane, channel, sid, stream string) {
	if len(t.Rooms) == 1 {
		l = a.laneOf(t.Namespace, t.Rooms[0])
		name := fullName(t.Namespace, t.Rooms[0])
		return l, "c:" + name, name, "v:" + name
	}
	return a.lanes[0], "c*", "", "w:" + t.Namespace
}

// eventOf makes the sequencer's item of an emission that came on the link.
func (a *Adapter) eventOf(l *lane, e *emission, class adapter.Class, pos uint64) *roomindex.Event {
	ev := &roomindex.Event{
		Target: e.target,
		Delivery: adapter.Delivery{
			Namespace: e.target.Namespace, Event: e.event, Class: class, Volatile: e.volatile, Lane: l.n, Pos: pos,
		},
	}
	if e.ask != "" {
		ev.Delivery.Ask = &remoteAsk{a: a, id: e.ask, asker: e.asker, timeout: time.Duration(e.timeout) * time.Millisecond}
	}
	return ev
}

// Emit implements adapter.Broadcaster. An ephemeral event is published behind
// what this node published before it, without waiting for the answer; while
// Redis is away it goes to this node's own sockets. A recoverable one waits
// until Redis has it.
func (a *Adapter) Emit(ctx context.Context, e adapter.Emit) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if e.Class > adapter.Recoverable {
		return ErrClass
	}
	x := &emission{target: e.Target, event: e.Event, volatile: e.Volatile}
	l, channel, sid, stream := a.route(&e.Target)
	keep := e.Class == adapter.Recoverable && !e.Volatile
	if e.Local {
		return a.emitHere(ctx, l, x)
	}
	body := x.append(nil)
	if len(body) > a.o.MaxEntry {
		return fmt.Errorf("emit: event of %d bytes, %d are allowed: %w", len(body), a.o.MaxEntry, adapter.ErrFull)
	}
	if !keep {
		if l.pipe.away() {
			return a.emitHere(ctx, l, x)
		}
		payload := joinParcel(kindEphemeral, e.Trace, body)
		cmd := []any{l.publishCmd, l.base + channel, payload}
		if sid != "" {
			cmd = l.call(lua().publish, channel, sid, payload)
		}
		if err := l.pipe.push(ctx, &op{cmd: cmd, once: true, deadline: time.Now().Add(a.o.Timeout), done: a.dropIf}); err != nil {
			return fmt.Errorf("emit: %w", err)
		}
		return nil
	}
	cmd := l.call(lua().emit, stream, channel, sid, 0, a.keep().Milliseconds(), body, a.o.RecoverablePerRoom)
	const number = 10 // of the emit, in cmd
	if e.Trace != "" {
		cmd = append(cmd, e.Trace)
	}
	v, err := l.pipe.do(ctx, &op{cmd: cmd, numbered: number})
	if err != nil {
		return a.outcome("emit", err)
	}
	if r, _ := asReply(v); r.text(0) == "dead" {
		a.reaped(lifeOf(cmd))
		return fmt.Errorf("emit: this node was reaped: %w", adapter.ErrFenced)
	}
	return nil
}

func (a *Adapter) dropIf(_ any, err error) {
	if err != nil {
		a.drop("ephemeral event, outcome unknown")
	}
}

// keep is how long recoverable emits are kept. A session may be claimed until
// the window after its loss, which is noticed with delay; what was sent to it
// before may not have arrived.
func (a *Adapter) keep() time.Duration { return 2*a.o.Window + time.Minute }

func (a *Adapter) emitHere(ctx context.Context, l *lane, x *emission) error {
	if err := a.seq.Admit(ctx); err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	if !a.seq.Push(a.eventOf(l, x, adapter.Ephemeral, 0)) {
		return adapter.ErrClosed
	}
	return nil
}

// Request implements adapter.Broadcaster. All nodes are asked, so that those
// without members say so.
func (a *Adapter) Request(ctx context.Context, e adapter.Emit, timeout time.Duration) (adapter.Answers, error) {
	if err := a.usable(ctx); err != nil {
		return adapter.Answers{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	g, err := a.gather(ctx, e.Local, false)
	if err != nil {
		return adapter.Answers{}, a.outcome("request", err)
	}
	defer a.forgetGathering(g)
	x := &emission{
		target: e.Target, event: e.Event, volatile: e.Volatile,
		ask: g.id, asker: a.node, timeout: uint64(timeout.Milliseconds()),
	}
	if e.Local {
		if err := a.emitHere(ctx, a.lanes[0], x); err != nil {
			return adapter.Answers{}, err
		}
	} else if err := a.publishAll(ctx, joinParcel(kindEphemeral, "", x.append(nil))); err != nil {
		return adapter.Answers{}, a.outcome("request", err)
	}
	err = g.wait(ctx, a.ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	out := adapter.Answers{Missing: g.missingLocked()}
	for _, n := range g.nodes {
		out.Expected += n.count
		out.Replies = append(out.Replies, n.answers...)
	}
	if errors.Is(err, adapter.ErrClosed) {
		return out, err
	}
	return out, nil
}

// publishAll publishes to every node, behind what this node published before.
func (a *Adapter) publishAll(ctx context.Context, payload []byte) error {
	l := a.lanes[0]
	_, err := l.pipe.do(ctx, &op{cmd: []any{l.publishCmd, l.base + "c*", payload}, once: true})
	return err
}

// publishTo publishes to one node. The answers of one node are in order.
func (a *Adapter) publishTo(node string, payload []byte) {
	l := a.lanes[0]
	l.pipe.pushNow(&op{
		cmd: []any{l.publishCmd, l.base + "n:" + node, payload}, once: true,
		deadline: time.Now().Add(a.o.Timeout), done: a.dropIf,
	})
}

// remoteAsk carries the acknowledgements of this node's sockets to the node
// that asked.
type remoteAsk struct {
	a         *Adapter
	id, asker string
	timeout   time.Duration
}

func (q *remoteAsk) Timeout() time.Duration { return q.timeout }

func (q *remoteAsk) Expect(n int) {
	q.a.answer(q.asker, q.id, answerCount, binary.AppendUvarint(nil, uint64(n)))
}

func (q *remoteAsk) Reply(socketID string, args []byte, attachments [][]byte) {
	b := putText(nil, socketID)
	b = putBytes(b, args)
	b = binary.AppendUvarint(b, uint64(len(attachments)))
	for _, x := range attachments {
		b = putBytes(b, x)
	}
	q.a.answer(q.asker, q.id, answerAck, b)
}

// Kinds of answers.
const (
	answerCount   = 'c' // how many sockets were asked
	answerAck     = 'a' // one socket's acknowledgement
	answerSockets = 's' // some sockets; an empty list is the last
	answerValue   = 'v' // a server event's answer
)

func (a *Adapter) answer(asker, id string, kind byte, rest []byte) {
	if asker == a.node {
		// The shortest way: this node's own answers do not travel.
		a.answered(id, a.node, kind, rest)
		return
	}
	b := putText(nil, id)
	b = putText(b, a.node)
	b = append(b, kind)
	a.publishTo(asker, joinParcel(kindReply, "", append(b, rest...)))
}

// gathering collects the answers of several nodes.
type gathering struct {
	id string

	mu    sync.Mutex
	nodes map[string]*nodeAnswers
	wake  chan struct{}
}

type nodeAnswers struct {
	name    string
	said    bool // how many, or all of it
	count   int
	answers []adapter.Answer
	replied map[string]bool
	sockets []adapter.SocketInfo
	value   []byte
}

// gather begins a query to the nodes with a live lease.
func (a *Adapter) gather(ctx context.Context, local, others bool) (*gathering, error) {
	nodes := []string{a.node}
	if !local {
		var err error
		if nodes, err = a.live(ctx); err != nil {
			return nil, err
		}
	}
	g := &gathering{id: a.nextID(), nodes: make(map[string]*nodeAnswers), wake: make(chan struct{}, 1)}
	for _, n := range nodes {
		if !others || n != a.node {
			g.nodes[n] = &nodeAnswers{name: n}
		}
	}
	a.mu.Lock()
	a.gatherings[g.id] = g
	a.mu.Unlock()
	return g, nil
}

func (a *Adapter) forgetGathering(g *gathering) {
	a.mu.Lock()
	delete(a.gatherings, g.id)
	a.mu.Unlock()
}

func (g *gathering) completeLocked() bool {
	for _, n := range g.nodes {
		if !n.said || len(n.answers) < n.count {
			return false
		}
	}
	return true
}

func (g *gathering) missingLocked() []string {
	var out []string
	for _, n := range g.nodes {
		if !n.said {
			out = append(out, n.name)
		}
	}
	slices.Sort(out)
	return out
}

// wait waits until the gathering is complete, or the context ends.
func (g *gathering) wait(ctx, closed context.Context) error {
	for {
		g.mu.Lock()
		done := g.completeLocked()
		g.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-g.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-closed.Done():
			return adapter.ErrClosed
		}
	}
}

// replied takes a reply message off the link.
func (a *Adapter) replied(p *parcel) {
	s := scan{b: p.body}
	id, node := s.text(), s.text()
	if s.bad || len(s.b) == 0 {
		a.drop("malformed reply")
		return
	}
	a.answered(id, node, s.b[0], s.b[1:])
}

func (a *Adapter) answered(id, node string, kind byte, rest []byte) {
	a.mu.Lock()
	g := a.gatherings[id]
	a.mu.Unlock()
	if g == nil {
		return // too late
	}
	s := scan{b: rest}
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[node]
	if n == nil {
		// Came up just now: what it says counts.
		n = &nodeAnswers{name: node}
		g.nodes[node] = n
	}
	switch kind {
	case answerCount:
		n.count, n.said = int(min(s.number(), 1<<30)), true
	case answerAck:
		x := adapter.Answer{SocketID: s.text(), Node: node, Args: s.bytes()}
		for range s.count() {
			x.Attachments = append(x.Attachments, s.bytes())
		}
		if s.bad || n.replied[x.SocketID] || !n.said || len(n.answers) >= n.count {
			return
		}
		if n.replied == nil {
			n.replied = make(map[string]bool)
		}
		n.replied[x.SocketID] = true
		n.answers = append(n.answers, x)
	case answerSockets:
		count := s.count()
		if count == 0 {
			n.said = true
		}
		for range count {
			info := adapter.SocketInfo{ID: s.text(), Node: node, Rooms: s.texts(), Handshake: s.bytes(), Data: s.bytes()}
			if !s.bad {
				n.sockets = append(n.sockets, info)
			}
		}
	case answerValue:
		n.value, n.said = s.b, true
	}
	select {
	case g.wake <- struct{}{}:
	default:
	}
}
