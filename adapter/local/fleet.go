package local

import (
	"context"
	"fmt"
	"slices"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// FetchSockets implements adapter.Fleet.
func (a *Adapter) FetchSockets(ctx context.Context, t adapter.Target) ([]adapter.SocketInfo, []string, error) {
	if err := a.usable(ctx); err != nil {
		return nil, nil, err
	}
	n := a.seq.Namespace(t.Namespace)
	if n == nil {
		return nil, nil, nil
	}
	found := n.Index.Find(&t)
	out := make([]adapter.SocketInfo, 0, len(found))
	for _, f := range found {
		info := f.Socket.Info()
		info.ID, info.Node, info.Rooms = f.Socket.ID(), a.node, f.Rooms
		out = append(out, info)
	}
	return out, nil, nil
}

// each lets f act on every socket of a target, at the order's place in the
// stream. f gets a copy of the sockets: it changes the index.
func (a *Adapter) each(ctx context.Context, t adapter.Target, f func(q *roomindex.Sequencer, n *roomindex.Namespace, s adapter.Socket)) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if err := a.seq.Admit(ctx); err != nil {
		return fmt.Errorf("fleet order: %w", err)
	}
	t.Rooms, t.Except = slices.Clone(t.Rooms), slices.Clone(t.Except)
	_, err := a.stream.cut(roomindex.Func(func(q *roomindex.Sequencer) {
		n := q.Namespace(t.Namespace)
		if n == nil {
			return
		}
		for _, s := range slices.Clone(n.Index.Select(&t)) {
			f(q, n, s)
		}
	}), nil)
	return err
}

// SocketsJoin implements adapter.Fleet.
func (a *Adapter) SocketsJoin(ctx context.Context, t adapter.Target, rooms []string) error {
	rooms = slices.Clone(rooms)
	return a.each(ctx, t, func(q *roomindex.Sequencer, n *roomindex.Namespace, s adapter.Socket) {
		session, _ := n.Index.Session(s)
		if a.sessions.check(session) != nil {
			return // fenced: the fence is behind in the queue
		}
		joined, _ := n.Index.Join(s, rooms)
		a.sessions.join(session, joined, q.Position()[0])
	})
}

// SocketsLeave implements adapter.Fleet.
func (a *Adapter) SocketsLeave(ctx context.Context, t adapter.Target, rooms []string) error {
	rooms = slices.Clone(rooms)
	return a.each(ctx, t, func(_ *roomindex.Sequencer, n *roomindex.Namespace, s adapter.Socket) {
		session, _ := n.Index.Session(s)
		if a.sessions.check(session) != nil {
			return
		}
		n.Index.Leave(s, rooms)
		a.sessions.leave(session, rooms)
	})
}

// DisconnectSockets implements adapter.Fleet.
func (a *Adapter) DisconnectSockets(ctx context.Context, t adapter.Target, transport bool) error {
	return a.each(ctx, t, func(_ *roomindex.Sequencer, _ *roomindex.Namespace, s adapter.Socket) {
		s.Disconnect(transport)
	})
}

// ServerSideEmit implements adapter.Fleet. There are no other nodes.
func (a *Adapter) ServerSideEmit(ctx context.Context, _ string, _ adapter.Event) error {
	return a.usable(ctx)
}

// ServerSideRequest implements adapter.Fleet. There are no other nodes.
func (a *Adapter) ServerSideRequest(ctx context.Context, _ string, _ adapter.Event) ([]adapter.NodeAnswer, []string, error) {
	return nil, nil, a.usable(ctx)
}
