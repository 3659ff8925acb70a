package chatapi

import (
	"context"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// relay passes a custom event on to the room in its first argument, as it
// came, binary parts included: not stored in the room's log, but a client that
// comes back within the recovery window gets it. Only members who are not muted may.
func (a *API) relay(ctx context.Context, s *socketio.Socket, e *socketio.Incoming) (socketio.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
	defer cancel()
	var name string
	if err := e.Args.Decode(0, &name); err != nil {
		return socketio.Reply{}, err
	}
	m := a.begin(ctx, s)
	room, err := a.memberRoom(m, name, chat.Write)
	if err != nil {
		return socketio.Reply{}, err
	}
	if err := a.unmuted(ctx, m, room); err != nil {
		return socketio.Reply{}, err
	}
	return socketio.Reply{}, s.To(chat.AdapterRoom(room)).EmitEvent(ctx, e.Event)
}
