package endpoint

import (
	"context"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

// New makes an Engine.IO server for the connections of sockets. peers is the adapter
// that sockets has, or what stands for it: the options' NodeID, Relay and Adopt are
// made of it, and what they held does not count. Close the endpoint first, then
// sockets, then the adapter.
func New(sockets *socketio.Server, peers adapter.Peers, o engineio.Options) *engineio.Server {
	relay := peerRelay{peers}
	o.NodeID, o.Relay = peers.NodeID(), relay
	o.Adopt = func(ctx context.Context, s *engineio.Session, state []byte, tell func([]byte)) (engineio.Handler, func(), error) {
		c, start, err := sockets.Adopt(ctx, s, state, tell)
		if c == nil {
			return nil, nil, err // and no Handler that holds a nil
		}
		return c, start, err
	}
	e := engineio.NewServer(func(s *engineio.Session) engineio.Handler { return sockets.Accept(s) }, o)
	relay.serve(e)
	return e
}
