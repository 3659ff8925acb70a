package endpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/engineio"
)

// peerRelay lets the endpoint reach the sessions of other nodes, and the other
// nodes those of this one.
type peerRelay struct {
	peers adapter.Peers
}

// relayKind names relayed requests among the peers' others.
const relayKind = "engine.io"

// Ask implements engineio.Relay.
func (p peerRelay) Ask(ctx context.Context, node string, request []byte) ([]byte, error) {
	b, err := p.peers.Ask(ctx, node, relayKind, request)
	return b, relayError(err)
}

// serve answers what other nodes ask.
func (p peerRelay) serve(e *engineio.Server) {
	p.peers.Serve(relayKind, func(ctx context.Context, q *adapter.Question) {
		e.ServeRelayed(ctx, q.Body, func(reply []byte) error { return relayError(q.Reply(reply, nil)) })
	})
}

func relayError(err error) error {
	switch {
	case errors.Is(err, adapter.ErrUnknownNode):
		return fmt.Errorf("%w: %w", engineio.ErrUnknownNode, err)
	case errors.Is(err, adapter.ErrNoReply):
		return fmt.Errorf("%w: %w", engineio.ErrNoReply, err)
	}
	return err
}
