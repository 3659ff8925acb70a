package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/redis"
	"github.com/antchat/antchat/adapter/redis/official"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/chatapi"
)

// official is how the fleet takes part in what the official packages publish:
// a room of theirs is the chat room of that name, and an emitter's new message
// one like any other.
func (p *program) official() redis.Official {
	c := p.config.Official
	modes := map[string]official.Mode{
		"off": official.Apart, "classic": official.Classic, "sharded": official.Dynamic,
		"sharded-static": official.Static, "sharded-dynamic-private": official.DynamicPrivate,
	}
	o := redis.Official{
		Options: official.Options{
			Mode: modes[c.Adapter], Prefix: c.Prefix, Emitters: c.Emitters, PythonChannel: c.PythonChannel,
			RoomIn: chat.OutsideRoom, RoomOut: roomOut, SpecificResponses: c.SpecificResponses,
			MaxDepth: p.config.SocketIO.MaxDepth, MaxAttachments: p.config.SocketIO.MaxAttachments,
			Hooks: p.metrics.Official(p.logger),
		},
		Render: chatapi.Plain,
	}
	if c.Emitters {
		o.Logged, o.Append = []string{chatapi.PostEvent}, p.posts.post
	}
	return o
}

// roomOut is what others call a room: a chat room by its name, and the id of a
// socket, which may be one of theirs, as it is. Direct and personal rooms are
// the fleet's own: others do not have its users.
func roomOut(room string) (string, bool) {
	if name, ok := chat.RoomName(room); ok {
		return name, !chat.IsDirect(name)
	}
	return room, !chat.IsPersonalRoom(room)
}

// posts hands an emitter's messages to the chat, which is made after the
// adapter that brings them.
type posts struct {
	to atomic.Pointer[chatapi.API]
}

func (p *posts) post(ctx context.Context, m official.Message) error {
	api := p.to.Load()
	if api == nil {
		return fmt.Errorf("the chat has not started: %w", adapter.ErrUnavailable)
	}
	return api.Post(ctx, chatapi.Post{Room: m.Name, Event: m.Event, Sender: m.Sender, Key: m.Key})
}
