package chatapi

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// newMessage stores a message; members get it from the sequencer.
func (a *API) newMessage(ctx context.Context, m *member, in NewMessage) (Stored, error) {
	return a.send(ctx, m, cmp.Or(in.Room, chat.Lobby), in.Message, in.ID)
}

// chatMessage is newMessage in the tutorial's words: (text, clientOffset?).
// It is acknowledged without arguments once the message is stored.
func (a *API) chatMessage(ctx context.Context, s *socketio.Socket, e *socketio.Incoming) (socketio.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
	defer cancel()
	var text string
	var clientOffset *string // null and absent: none
	if err := e.Args.Scan(&text, &clientOffset); err != nil {
		return socketio.Reply{}, err
	}
	id := ""
	if clientOffset != nil {
		id = *clientOffset
	}
	_, err := a.send(ctx, a.begin(ctx, s), chat.Lobby, text, id)
	return socketio.Reply{}, err
}

func (a *API) send(ctx context.Context, m *member, room, text, id string) (Stored, error) {
	room, err := a.memberRoom(m, room, chat.Write)
	if err != nil {
		return Stored{}, err
	}
	if err := a.unmuted(ctx, m, room); err != nil {
		return Stored{}, err
	}
	sent, err := a.chat.Send(ctx, chat.Outgoing{
		From: m.author(), Room: room, Text: text, ID: id, Public: publicID(m.socket, id),
		Socket: m.socket.ID(), Owner: m.socket.Owner(),
	})
	if err != nil {
		return Stored{}, err
	}
	if a.options.Hooks.Sent != nil {
		a.options.Hooks.Sent(sent.Duplicate)
	}
	a.posted(ctx, m.author(), sent)
	return Stored{ID: sent.ID, Room: sent.Room, Seq: sent.Seq, Epoch: sent.Epoch, TS: chat.Milliseconds(sent.Time)}, nil
}

// tellOfDirect tells the sockets of both people that are not in their direct room
// of a message there: whoever wants it joins. One that is lost is seen when the
// client asks for its rooms.
func (a *API) tellOfDirect(ctx context.Context, from chat.Author, partner string, sent chat.Sent) {
	own := chat.PublicID(from.User)
	news := DirectMessage{
		Room: sent.Room, User: own, Username: from.Name, Seq: sent.Seq, Epoch: sent.Epoch,
	}
	to := a.ns.To(chat.PersonalRoom(partner), chat.PersonalRoom(own)).Except(chat.AdapterRoom(sent.Room)).Ephemeral()
	if err := to.EmitEvent(ctx, event(eventDirectMessage, news)); err != nil {
		a.options.Logger.Debug("direct message not told", "err", err)
	}
}

// publicID is what others see in place of an id, or "" for the id itself. Many
// clients build ids from their socket id; in protocol 4 that is the id of the
// Engine.IO session, and whoever knows it can take part in the session.
func publicID(s *socketio.Socket, id string) string {
	if s.Protocol() != 4 || !strings.Contains(id, s.ID()) {
		return ""
	}
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// history reads a page. Whoever may read a room need not be a member.
func (a *API) history(ctx context.Context, m *member, in History) (HistoryPage, error) {
	room, err := a.readable(ctx, m, cmp.Or(in.Room, chat.Lobby))
	if err != nil {
		return HistoryPage{}, err
	}
	if err := a.chat.Limits().Epoch(in.Epoch); err != nil {
		return HistoryPage{}, err
	}
	page, err := a.chat.History(ctx, room, chat.HistoryQuery{Before: in.Before, After: in.After, Epoch: in.Epoch, Limit: in.Limit})
	if err != nil {
		return HistoryPage{}, err
	}
	if err := tellLost(m.socket, page.Lost); err != nil {
		return HistoryPage{}, err
	}
	return HistoryPage{
		Messages: page.Messages, Removed: page.Removed, Epoch: page.Epoch, First: page.First, Last: page.Last,
		More: page.More, Gap: page.Gap,
	}, nil
}
