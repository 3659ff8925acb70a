package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/antchat/antchat/adapter"
)

// peers are the handlers of node-to-node requests.
type peers struct {
	slots chan struct{} // one per request being handled

	mu       sync.Mutex
	handlers map[string]peerHandler
}

type peerHandler func(ctx context.Context, from string, body []byte) ([]byte, error)

// errPeer is a handler's error as it comes back from another node.
type errPeer string

func (e errPeer) Error() string { return string(e) }

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
func (a *Adapter) Serve(kind string, handle func(ctx context.Context, from string, body []byte) ([]byte, error)) {
	a.peers.mu.Lock()
	defer a.peers.mu.Unlock()
	if a.peers.handlers[kind] != nil {
		panic(fmt.Sprintf("redis: requests of kind %q are served already", kind))
	}
	a.peers.handlers[kind] = handle
}

// Ask implements adapter.Peers. Nobody listens on an unknown node's channel,
// which the publication itself tells.
func (a *Adapter) Ask(ctx context.Context, node, kind string, body []byte) ([]byte, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	if len(body) > a.o.MaxEntry {
		return nil, fmt.Errorf("ask %q: request of %d bytes: %w", node, len(body), adapter.ErrFull)
	}
	g := &gathering{id: a.nextID(), nodes: make(map[string]*nodeAnswers), extra: true, wake: make(chan struct{}, 1)}
	a.mu.Lock()
	a.gatherings[g.id] = g
	a.mu.Unlock()
	defer a.forgetGathering(g)
	b := putText(nil, g.id)
	b = putText(b, a.node)
	b = putText(b, kind)
	payload := joinParcel(kindQuery, "", append(b, body...))
	if node == a.node {
		p, _ := readParcel(string(payload))
		a.queried(&p)
	} else {
		l := a.lanes[0]
		client, err := a.conn.pool(ctx, 0, a.o.Connections)
		if err != nil {
			return nil, a.outcome("ask", err)
		}
		heard, err := client.Do(ctx, l.publishCmd, l.base+"n:"+node, payload).Int64()
		if err != nil {
			if f := faultOf(err); f == broken || f == elsewhere {
				a.conn.forget(0)
			}
			return nil, a.outcome("ask", err)
		}
		if heard == 0 {
			return nil, fmt.Errorf("ask %q: %w", node, adapter.ErrUnknownNode)
		}
	}
	if err := g.wait(ctx, a.ctx); err != nil {
		if errors.Is(err, adapter.ErrClosed) {
			return nil, err
		}
		return nil, fmt.Errorf("ask %q: %w: %w", node, adapter.ErrUnavailable, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.peerOK {
		return nil, fmt.Errorf("ask %q: %w", node, errPeer(g.peer))
	}
	return g.peer, nil
}

// queried handles a peer's request on a goroutine of its own.
func (a *Adapter) queried(p *parcel) {
	s := scan{b: p.body}
	id, from, kind := s.text(), s.text(), s.text()
	if s.bad {
		a.drop("malformed request")
		return
	}
	body := s.b
	a.peers.mu.Lock()
	handle := a.peers.handlers[kind]
	a.peers.mu.Unlock()
	if handle == nil {
		a.answer(from, id, answerPeerErr, fmt.Appendf(nil, "nobody serves %q", kind))
		return
	}
	select {
	case a.peers.slots <- struct{}{}:
	default:
		a.answer(from, id, answerPeerErr, []byte("too many requests at once"))
		return
	}
	a.spawn(func() {
		defer func() { <-a.peers.slots }()
		got, err := handle(a.ctx, from, body)
		if err != nil {
			a.answer(from, id, answerPeerErr, []byte(err.Error()))
			return
		}
		a.answer(from, id, answerPeer, got)
	})
}
