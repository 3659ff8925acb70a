package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/antchat/antchat/adapter"
)

// peers are the handlers of node-to-node requests. The only node that can ask
// is this one.
type peers struct {
	slots  chan struct{} // one per request being handled
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	handlers map[string]peerHandler
	closed   bool
	running  sync.WaitGroup
}

type peerHandler func(ctx context.Context, q *adapter.Question)

type peerReply struct {
	body []byte
	err  error
}

func newPeers(slots int) *peers {
	p := &peers{slots: make(chan struct{}, slots), handlers: make(map[string]peerHandler)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

func (p *peers) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
}

// NodeID implements adapter.Peers.
func (a *Adapter) NodeID() string { return a.node }

// Nodes implements adapter.Peers.
func (a *Adapter) Nodes(ctx context.Context) ([]string, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	return []string{a.node}, nil
}

// Serve implements adapter.Peers. It panics when the kind is served already.
func (a *Adapter) Serve(kind string, handle func(ctx context.Context, q *adapter.Question)) {
	a.peers.mu.Lock()
	defer a.peers.mu.Unlock()
	if a.peers.handlers[kind] != nil {
		panic(fmt.Sprintf("local: requests of kind %q are served already", kind))
	}
	a.peers.handlers[kind] = handle
}

// Ask implements adapter.Peers. The handler's context ends with the asker's
// or at Close. An asker that has gone does not wait for the handler.
func (a *Adapter) Ask(ctx context.Context, node, kind string, body []byte) ([]byte, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	if node != a.node {
		return nil, fmt.Errorf("ask %q: %w", node, adapter.ErrUnknownNode)
	}
	p := a.peers
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %q: %w: %w", node, adapter.ErrUnavailable, context.Cause(ctx))
	case <-p.ctx.Done():
		return nil, adapter.ErrClosed
	}
	p.mu.Lock()
	handle, closed := p.handlers[kind], p.closed
	if handle == nil || closed {
		p.mu.Unlock()
		<-p.slots
		if closed {
			return nil, adapter.ErrClosed
		}
		return nil, fmt.Errorf("ask %q: nobody serves %q: %w", node, kind, adapter.ErrUnavailable)
	}
	p.running.Add(1)
	p.mu.Unlock()
	reply := make(chan peerReply, 1)
	go func() {
		defer p.running.Done()
		defer func() { <-p.slots }()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(p.ctx, cancel)()
		q := &adapter.Question{From: a.node, Body: bytes.Clone(body), Reply: func(body []byte, err error) error {
			select {
			case reply <- peerReply{body, err}:
				return nil
			default:
				return errors.New("local: a second reply")
			}
		}}
		handle(ctx, q)
		if ctx.Err() == nil {
			_ = q.Reply(nil, errors.New("no answer")) // counts only if none was given
		}
	}()
	select {
	case r := <-reply:
		return r.body, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %q: %w: %w", node, adapter.ErrNoReply, context.Cause(ctx))
	case <-p.ctx.Done():
		return nil, adapter.ErrClosed
	}
}
