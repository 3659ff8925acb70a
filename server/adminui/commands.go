package adminui

import (
	"context"
	"errors"
	"fmt"

	"github.com/antchat/antchat/server/socketio"
)

// errCommand is wrapped by refusals of commands.
var errCommand = errors.New("admin ui: bad command")

const (
	maxName  = 512 // bytes of a room, a socket's id or a namespace
	maxEvent = 128 // bytes of an event's name
)

// commands registers what a page may do: emit(nsp, filter, event, ...args),
// join(nsp, room, filter), leave(nsp, room, filter), _disconnect(nsp, close,
// filter). filter is a room or the id of a socket; without one all are meant.
func (u *UI) commands() {
	u.on("emit", func(ctx context.Context, args socketio.Args) error {
		to, err := u.target(args, 0, 1)
		if err != nil {
			return err
		}
		event, err := text(args, 2, maxEvent)
		if err != nil {
			return err
		}
		return to.Ephemeral().Emit(ctx, event, args.Values()[3:]...)
	})
	u.on("join", func(ctx context.Context, args socketio.Args) error {
		return u.move(args, func(to socketio.Emitter, room string) error { return to.SocketsJoin(ctx, room) })
	})
	u.on("leave", func(ctx context.Context, args socketio.Args) error {
		return u.move(args, func(to socketio.Emitter, room string) error { return to.SocketsLeave(ctx, room) })
	})
	u.on("_disconnect", func(ctx context.Context, args socketio.Args) error {
		var transport bool
		if err := args.Decode(1, &transport); err != nil {
			return err
		}
		to, err := u.target(args, 0, 2)
		if err != nil {
			return err
		}
		return to.DisconnectSockets(ctx, transport)
	})
}

// on registers a command, which is logged without the arguments of an event.
func (u *UI) on(name string, do func(context.Context, socketio.Args) error) {
	u.ns.Handle(name, func(ctx context.Context, s *socketio.Socket, e *socketio.Incoming) (socketio.Reply, error) {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		err := do(ctx, e.Args)
		said := []any{"command", name, "address", s.Handshake().Address}
		for i, what := range map[string][]string{
			"emit": {"namespace", "to", "event"}, "join": {"namespace", "room", "to"},
			"leave": {"namespace", "room", "to"}, "_disconnect": {"namespace", "transport", "to"},
		}[name] {
			said = append(said, what, brief(e.Args.Raw(i)))
		}
		if err != nil {
			u.o.Logger.Warn("admin ui: command failed", append(said, "error", err)...)
		} else {
			u.o.Logger.Info("admin ui: command", said...)
		}
		return socketio.Reply{}, err
	})
}

func brief(raw []byte) string { return string(raw[:min(len(raw), 100)]) }

func (u *UI) move(args socketio.Args, do func(to socketio.Emitter, room string) error) error {
	room, err := text(args, 1, maxName)
	if err != nil {
		return err
	}
	to, err := u.target(args, 0, 2)
	if err != nil {
		return err
	}
	return do(to, room)
}

// target reads a namespace and a filter.
func (u *UI) target(args socketio.Args, nsp, filter int) (socketio.Emitter, error) {
	name, err := text(args, nsp, maxName)
	if err != nil {
		return socketio.Emitter{}, err
	}
	ns := u.server.Find(name)
	if ns == nil {
		return socketio.Emitter{}, fmt.Errorf("%w: no namespace %.40q", errCommand, name)
	}
	var room *string
	if err := args.Decode(filter, &room); err != nil {
		return socketio.Emitter{}, err
	}
	switch {
	case room == nil || *room == "":
		return ns.All(), nil
	case len(*room) > maxName:
		return socketio.Emitter{}, fmt.Errorf("%w: the filter is too long", errCommand)
	}
	return ns.To(*room), nil
}

func text(args socketio.Args, i, most int) (string, error) {
	var s string
	if err := args.Decode(i, &s); err != nil {
		return "", err
	}
	if s == "" || len(s) > most {
		return "", fmt.Errorf("%w: argument %d must have 1 to %d bytes", errCommand, i, most)
	}
	return s, nil
}
