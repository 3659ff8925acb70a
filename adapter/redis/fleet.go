package redis

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// What an order message asks for: its body's first byte.
const (
	orderJoin       = 'j'
	orderLeave      = 'l'
	orderDisconnect = 'd' // then a byte: the whole transport
	orderFetch      = 'f'
)

// ordered takes orders and server events off the link, in their place in the
// order of events.
func (a *Adapter) ordered(l *lane, p *parcel) error {
	if len(p.body) == 0 {
		return errWire
	}
	if p.kind == kindServer {
		return a.serverEvent(p)
	}
	s := scan{b: p.body[1:]}
	echo := s.text()
	t := s.target()
	defer a.echoed(echo) // behind the push
	switch p.body[0] {
	case orderJoin, orderLeave:
		rooms := s.texts()
		if err := s.end(); err != nil {
			return err
		}
		join := p.body[0] == orderJoin
		l.push(func(q *roomindex.Sequencer) {
			for _, x := range a.select_(q, &t) {
				if join {
					a.joinHere(q, t.Namespace, x, rooms)
				} else {
					a.leaveHere(q, t.Namespace, x, rooms)
				}
			}
		})
	case orderDisconnect:
		transport := s.number() == 1
		if err := s.end(); err != nil {
			return err
		}
		l.push(func(q *roomindex.Sequencer) {
			for _, x := range a.select_(q, &t) {
				x.Disconnect(transport)
			}
		})
	case orderFetch:
		id, asker := s.text(), s.text()
		if err := s.end(); err != nil {
			return err
		}
		l.push(func(q *roomindex.Sequencer) { a.describe(q, &t, asker, id) })
	default:
		return errWire
	}
	return nil
}

// select_ is a copy of a target's sockets: what follows changes the index.
func (a *Adapter) select_(q *roomindex.Sequencer, t *adapter.Target) []adapter.Socket {
	n := q.Namespace(t.Namespace)
	if n == nil {
		return nil
	}
	return slices.Clone(n.Index.Select(t))
}

// joinHere puts a local socket into rooms by order. Where the link already
// brings the room the membership begins at the order's place; otherwise by a
// cut of its own, soon after.
func (a *Adapter) joinHere(q *roomindex.Sequencer, namespace string, s adapter.Socket, rooms []string) {
	n := q.Namespace(namespace)
	if n == nil {
		return
	}
	session, _ := n.Index.Session(s)
	for l, part := range a.byLane(namespace, rooms) {
		var later []string
		var now []string
		l.mu.Lock()
		for _, room := range part {
			if w := l.rooms[fullName(namespace, room)]; w != nil && w.set && w.confirmed && l.state == linkLive {
				now = append(now, room)
				w.emptySince = time.Time{} // the linger does not end before the join
			} else {
				later = append(later, room)
			}
		}
		l.mu.Unlock()
		if joined, _ := n.Index.Join(s, now); len(joined) > 0 && session != nil {
			pos := q.Position()[l.n]
			args := []any{"join", session.PID, l.hasPID(session.PID), session.Token, pos}
			for _, room := range joined {
				args = append(args, room)
			}
			// Only ahead of the session's end: behind it nobody would end this.
			a.owned.joinAnd(session, joined, pos, func() { l.pipe.control(l.call(lua().session, args...)) })
		}
		if len(later) > 0 {
			a.spawn(func() {
				if _, err := a.Join(a.ctx, namespace, s, later, false, nil); err != nil && !errors.Is(err, adapter.ErrUnknownSocket) {
					a.note("join by order", err)
				}
			})
		}
	}
}

func (a *Adapter) leaveHere(q *roomindex.Sequencer, namespace string, s adapter.Socket, rooms []string) {
	n := q.Namespace(namespace)
	if n == nil {
		return
	}
	session, _ := n.Index.Session(s)
	left := n.Index.Leave(s, rooms)
	if session == nil {
		return
	}
	a.owned.leave(session, rooms)
	name := fullName(namespace, s.ID())
	a.markLeaving(name, left, true)
	parts := a.byLane(namespace, rooms)
	var waiting atomic.Int32
	waiting.Store(int32(len(parts)))
	for l, part := range parts {
		a.noteLeft(l, session, part, func() {
			if waiting.Add(-1) == 0 {
				a.markLeaving(name, left, false)
			}
		})
	}
}

func (a *Adapter) order(ctx context.Context, t adapter.Target, kind byte, rest []byte, here func(q *roomindex.Sequencer, s adapter.Socket)) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if t.Local {
		if err := a.seq.Admit(ctx); err != nil {
			return err
		}
		t.Rooms, t.Except = slices.Clone(t.Rooms), slices.Clone(t.Except)
		a.seq.Push(roomindex.Func(func(q *roomindex.Sequencer) {
			for _, s := range a.select_(q, &t) {
				here(q, s)
			}
		}))
		return nil
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	if err := a.catchUp(ctx); err != nil {
		return a.outcome("fleet order", err)
	}
	id := a.nextID()
	ch := make(chan struct{})
	a.mu.Lock()
	a.echoes[id] = ch
	a.mu.Unlock()
	defer a.echoed(id)
	body := append(putTarget(putText([]byte{kind}, id), &t), rest...)
	if err := a.publishAll(ctx, joinParcel(kindOrder, "", body)); err != nil {
		return a.outcome("fleet order", err)
	}
	// What the caller does next must come behind it, also in another lane.
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return a.outcome("fleet order", fmt.Errorf("the link has not brought it back: %w", context.Cause(ctx)))
	case <-a.ctx.Done():
		return adapter.ErrClosed
	}
}

// catchUp waits until what this node has published in other lanes than the
// orders' has come back, so that an order does not overtake it.
func (a *Adapter) catchUp(ctx context.Context) error {
	for _, l := range a.lanes[1:] {
		if _, err := l.pipe.do(ctx, &op{cmd: []any{"PING"}}); err != nil {
			return err
		}
		release, err := l.want(ctx, "", nil) // a live link
		if err != nil {
			return err
		}
		release()
		if _, _, err := l.mark(ctx, l.calls.do, a.nextID()); err != nil {
			return err
		}
	}
	return nil
}

// echoed says that this node's own order has come back.
func (a *Adapter) echoed(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ch := a.echoes[id]; ch != nil {
		delete(a.echoes, id)
		close(ch)
	}
}

// SocketsJoin implements adapter.Fleet. When sockets of this node are meant,
// it first sees to it that the rooms' channels are on the link, so that the
// membership begins at the order's own place.
func (a *Adapter) SocketsJoin(ctx context.Context, t adapter.Target, rooms []string) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	rooms = slices.Clone(rooms)
	if n := a.seq.Namespace(t.Namespace); n != nil && len(rooms) > 0 && len(n.Index.Find(&t)) > 0 {
		op := a.newCut(t.Namespace, nil, nil)
		op.spread(rooms, "join")
		if _, err := op.run(ctx); err != nil {
			return a.outcome("fleet order", err)
		}
	}
	return a.order(ctx, t, orderJoin, putTexts(nil, rooms), func(q *roomindex.Sequencer, s adapter.Socket) {
		a.joinHere(q, t.Namespace, s, rooms)
	})
}

// SocketsLeave implements adapter.Fleet.
func (a *Adapter) SocketsLeave(ctx context.Context, t adapter.Target, rooms []string) error {
	rooms = slices.Clone(rooms)
	return a.order(ctx, t, orderLeave, putTexts(nil, rooms), func(q *roomindex.Sequencer, s adapter.Socket) {
		a.leaveHere(q, t.Namespace, s, rooms)
	})
}

// DisconnectSockets implements adapter.Fleet.
func (a *Adapter) DisconnectSockets(ctx context.Context, t adapter.Target, transport bool) error {
	flag := uint64(0)
	if transport {
		flag = 1
	}
	return a.order(ctx, t, orderDisconnect, binary.AppendUvarint(nil, flag), func(_ *roomindex.Sequencer, s adapter.Socket) {
		s.Disconnect(transport)
	})
}

// describe answers a fetch, some sockets at a time.
func (a *Adapter) describe(q *roomindex.Sequencer, t *adapter.Target, asker, id string) {
	var found []roomindex.Found
	if n := q.Namespace(t.Namespace); n != nil {
		found = n.Index.Find(t)
	}
	for part := range slices.Chunk(found, 100) {
		b := binary.AppendUvarint(nil, uint64(len(part)))
		for _, f := range part {
			info := f.Socket.Info()
			b = putText(b, f.Socket.ID())
			b = putTexts(b, f.Rooms)
			b = putBytes(b, info.Handshake)
			b = putBytes(b, info.Data)
		}
		a.answer(asker, id, answerSockets, b)
	}
	a.answer(asker, id, answerSockets, []byte{0})
}

// bounded gives a query a time limit if its caller gave none earlier.
func (a *Adapter) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.o.Timeout)
}

// FetchSockets implements adapter.Fleet.
func (a *Adapter) FetchSockets(ctx context.Context, t adapter.Target) ([]adapter.SocketInfo, []string, error) {
	if err := a.usable(ctx); err != nil {
		return nil, nil, err
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	g, err := a.gather(ctx, t.Local, false)
	if err != nil {
		return nil, nil, a.outcome("fetch sockets", err)
	}
	defer a.forgetGathering(g)
	if t.Local {
		a.seq.Push(roomindex.Func(func(q *roomindex.Sequencer) { a.describe(q, &t, a.node, g.id) }))
	} else {
		body := putTarget(putText([]byte{orderFetch}, ""), &t)
		body = putText(putText(body, g.id), a.node)
		if err := a.publishAll(ctx, joinParcel(kindOrder, "", body)); err != nil {
			return nil, nil, a.outcome("fetch sockets", err)
		}
	}
	if err := g.wait(ctx, a.ctx); errors.Is(err, adapter.ErrClosed) {
		return nil, nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []adapter.SocketInfo
	for _, n := range g.nodes {
		out = append(out, n.sockets...)
	}
	slices.SortFunc(out, func(x, y adapter.SocketInfo) int { return cmp.Compare(x.ID, y.ID) })
	return out, g.missingLocked(), nil
}

// ServerSideEmit implements adapter.Fleet.
func (a *Adapter) ServerSideEmit(ctx context.Context, namespace string, e adapter.Event) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if err := a.publishAll(ctx, a.serverParcel(namespace, e, "")); err != nil {
		return a.outcome("server event", err)
	}
	return nil
}

func (a *Adapter) serverParcel(namespace string, e adapter.Event, ask string) []byte {
	b := putText(nil, namespace)
	b = putText(b, a.node)
	b = putText(b, ask)
	return joinParcel(kindServer, "", putEvent(b, e))
}

func (a *Adapter) serverEvent(p *parcel) error {
	s := scan{b: p.body}
	namespace, from, ask, e := s.text(), s.text(), s.text(), s.event()
	if err := s.end(); err != nil || from == a.node {
		return err
	}
	ev := &roomindex.ServerEvent{Namespace: namespace, Event: e}
	if ask != "" {
		var once atomic.Bool
		ev.Answer = func(value []byte) {
			if !once.Swap(true) {
				a.answer(from, ask, answerValue, value)
			}
		}
	}
	a.seq.Push(ev)
	return nil
}

// ServerSideRequest implements adapter.Fleet.
func (a *Adapter) ServerSideRequest(ctx context.Context, namespace string, e adapter.Event) ([]adapter.NodeAnswer, []string, error) {
	if err := a.usable(ctx); err != nil {
		return nil, nil, err
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	g, err := a.gather(ctx, false, true)
	if err != nil {
		return nil, nil, a.outcome("server request", err)
	}
	defer a.forgetGathering(g)
	if err := a.publishAll(ctx, a.serverParcel(namespace, e, g.id)); err != nil {
		return nil, nil, a.outcome("server request", err)
	}
	if err := g.wait(ctx, a.ctx); errors.Is(err, adapter.ErrClosed) {
		return nil, nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []adapter.NodeAnswer
	for _, n := range g.nodes {
		if n.said {
			out = append(out, adapter.NodeAnswer{Node: n.name, Value: n.value})
		}
	}
	slices.SortFunc(out, func(x, y adapter.NodeAnswer) int { return cmp.Compare(x.Node, y.Node) })
	return out, g.missingLocked(), nil
}

// live lists the ids of nodes with a live lease, in order.
func (a *Adapter) live(ctx context.Context) ([]string, error) {
	v, err := a.lanes[0].eval(ctx, true, lua().nodes, a.o.Lease.Milliseconds())
	if err != nil {
		return nil, err
	}
	r, err := asReply(v)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(r))
	for i := range r {
		if inc := r.text(i); len(inc) >= 6 {
			out = append(out, inc[:6])
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// pingOp is an op that only marks a place in the pipe.
func pingOp(done func()) *op {
	return &op{cmd: []any{"PING"}, deadline: time.Now().Add(5 * time.Minute), done: func(any, error) { done() }}
}
