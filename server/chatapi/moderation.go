package chatapi

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// sanctioned refuses somebody because of what a moderator did, for a time.
type sanctioned struct {
	code  Code
	until time.Time
}

func (e *sanctioned) Error() string { return "chatapi: " + string(e.code) }

// defaultSanction is how long a mute or ban lasts when the moderator does not say.
const defaultSanction = time.Hour

func (a *API) moderator(m *member) chat.Moderator {
	return chat.Moderator{Author: m.author(), Socket: m.socket.ID(), Owner: m.socket.Owner()}
}

// removeMessage takes a message out of everybody's view. Its author may, too.
func (a *API) removeMessage(ctx context.Context, m *member, in RemoveMessage) (Entry, error) {
	room, err := a.readable(ctx, m, cmp.Or(in.Room, chat.Lobby))
	if err != nil {
		return Entry{}, err
	}
	if err := a.chat.Limits().Epoch(in.Epoch); err != nil {
		return Entry{}, err
	}
	author, epoch, err := a.chat.MessageBy(ctx, room, in.Epoch, in.Seq)
	if err != nil {
		return Entry{}, err
	}
	own := author == m.socket.User() && a.may(m, room, chat.Write)
	if !own && !a.may(m, room, chat.Moderate) {
		return Entry{}, chat.ErrForbidden
	}
	sent, err := a.chat.Remove(ctx, a.moderator(m), room, epoch, in.Seq)
	return entryOf(sent), err
}

// sanction makes the handler of one kind.
func (a *API) sanction(kind chat.SanctionKind) func(context.Context, *member, Sanction) (Entry, error) {
	return func(ctx context.Context, m *member, in Sanction) (Entry, error) {
		room, err := a.room(m, cmp.Or(in.Room, chat.Lobby), chat.Moderate)
		if err != nil {
			return Entry{}, err
		}
		return a.Sanction(ctx, a.moderator(m), kind, room, in.User, in.Reason, in.lasts())
	}
}

// pardon makes the handler that takes one kind back.
func (a *API) pardon(kind chat.SanctionKind) func(context.Context, *member, Sanction) (Entry, error) {
	return func(ctx context.Context, m *member, in Sanction) (Entry, error) {
		room, err := a.room(m, cmp.Or(in.Room, chat.Lobby), chat.Moderate)
		if err != nil {
			return Entry{}, err
		}
		return a.Pardon(ctx, a.moderator(m), kind, room, in.User)
	}
}

// Sanction mutes, bans or kicks the person of a public id in a room, for a time (0:
// an hour), on all nodes at once: remembered, told to the room, and enforced, in
// this order. room is normal, and by may moderate it.
func (a *API) Sanction(ctx context.Context, by chat.Moderator, kind chat.SanctionKind, room, user, reason string, lasts time.Duration) (Entry, error) {
	if lasts <= 0 || lasts > chat.MaxSanction {
		lasts = min(max(lasts, 0), chat.MaxSanction)
		lasts = cmp.Or(lasts, defaultSanction)
	}
	if kind == chat.Kick {
		lasts = a.options.KickMemory
	}
	now := time.Now()
	sent, err := a.chat.Sanction(ctx, by, kind, room, user, reason, now, now.Add(lasts))
	if err != nil {
		return Entry{}, err
	}
	own := a.ns.To(chat.PersonalRoom(user))
	if kind == chat.Mute {
		err = own.SocketsJoin(ctx, chat.MuteRoom(room))
	} else {
		err = own.SocketsLeave(ctx, chat.AdapterRoom(room))
		if err == nil {
			err = own.Ephemeral().EmitEvent(ctx, event(eventRoomClosed, RoomClosed{Room: room, Code: closedBy[kind]}))
		}
	}
	if err != nil {
		return Entry{}, fmt.Errorf("enforce %s: %w", kind, err)
	}
	return entryOf(sent), nil
}

// lasts is For, which may be more seconds than a duration can hold.
func (s Sanction) lasts() time.Duration {
	return time.Duration(max(0, min(s.For, int64(chat.MaxSanction/time.Second)))) * time.Second
}

var closedBy = map[chat.SanctionKind]Code{chat.Ban: CodeBanned, chat.Kick: CodeKicked}

// Pardon takes a mute or ban back.
func (a *API) Pardon(ctx context.Context, by chat.Moderator, kind chat.SanctionKind, room, user string) (Entry, error) {
	sent, err := a.chat.Pardon(ctx, by, kind, room, user)
	if err != nil {
		return Entry{}, err
	}
	if kind == chat.Mute {
		if err := a.ns.To(chat.PersonalRoom(user)).SocketsLeave(ctx, chat.MuteRoom(room)); err != nil {
			return Entry{}, fmt.Errorf("end mute: %w", err)
		}
	}
	return entryOf(sent), nil
}

// Bar keeps the person of a public id out of the chat for a time, and ends its
// sockets on all nodes; a time of 0 lets it in again. It is how a back end revokes
// a user.
func (a *API) Bar(ctx context.Context, user string, lasts time.Duration) error {
	now := time.Now()
	if err := a.chat.Bar(ctx, user, now, now.Add(lasts)); err != nil {
		return err
	}
	if lasts <= 0 {
		return nil
	}
	own := a.ns.To(chat.PersonalRoom(user))
	p := problem(&sanctioned{CodeBanned, now.Add(lasts)})
	if err := own.Ephemeral().EmitEvent(ctx, event(eventSessionEnded, SessionEnded{Code: p.Code, Message: p.Message})); err != nil {
		return fmt.Errorf("tell the end: %w", err)
	}
	if err := own.DisconnectSockets(ctx, true); err != nil {
		return fmt.Errorf("disconnect: %w", err)
	}
	return nil
}

// UserOf is the public id of the user whom a token's issuer calls so.
func UserOf(subject string) string { return chat.PublicID(chat.UserOfSubject(subject)) }

func entryOf(s chat.Sent) Entry {
	return Entry{Room: s.Room, Seq: s.Seq, Epoch: s.Epoch, TS: chat.Milliseconds(s.Time)}
}

// sanctions are what holds against a member now.
func (a *API) sanctions(ctx context.Context, user string) (chat.Sanctions, error) {
	return a.chat.SanctionsOn(ctx, chat.PublicID(user), time.Now())
}

// unmuted refuses whoever is muted in a room. Only a socket in the room's mute room
// is asked about, so nobody else pays for it; a mute that has ended is noticed
// here.
func (a *API) unmuted(ctx context.Context, m *member, room string) error {
	if !slices.Contains(m.socket.Rooms(), chat.MuteRoom(room)) {
		return nil
	}
	s, err := a.sanctions(ctx, m.socket.User())
	if err != nil {
		return err
	}
	if until := s.Until(chat.Mute, room); !until.IsZero() {
		return &sanctioned{CodeMuted, until}
	}
	return m.socket.Leave(ctx, chat.MuteRoom(room))
}

// admitted refuses whoever is banned from a room, and lets a mute there hold for
// the socket that is about to join.
func (a *API) admitted(ctx context.Context, m *member, room string) error {
	s, err := a.sanctions(ctx, m.socket.User())
	if err != nil {
		return err
	}
	if until := s.Until(chat.Ban, room); !until.IsZero() {
		return &sanctioned{CodeBanned, until}
	}
	if !s.Until(chat.Mute, room).IsZero() {
		return m.socket.Join(ctx, chat.MuteRoom(room))
	}
	return nil
}

// readable is the room that a request names, if the member may read there and is
// not banned from it. Who is a member is not: a ban ends that.
func (a *API) readable(ctx context.Context, m *member, name string) (string, error) {
	room, err := a.room(m, name, chat.Read)
	if err != nil || m.in(room) {
		return room, err
	}
	s, err := a.sanctions(ctx, m.socket.User())
	if err != nil {
		return "", err
	}
	if until := s.Until(chat.Ban, room); !until.IsZero() {
		return "", &sanctioned{CodeBanned, until}
	}
	return room, nil
}

// unbarred is part of the connect middleware: it reads what holds against a
// user, and refuses whoever is kept out.
func (a *API) unbarred(ctx context.Context, m *member, user string) error {
	if err := a.takeConnect(ctx, ScopeUser, user); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
	defer cancel()
	s, err := a.sanctions(ctx, user)
	if err != nil {
		return err
	}
	if until := s.Barred(); !until.IsZero() {
		return a.refuseConnect(&sanctioned{CodeBanned, until})
	}
	m.held, m.known = s, true
	m.keep()
	return nil
}

// welcome is the end of a connect. What a moderator or an operator did while the
// socket was on its way (from the middleware's look to the socket's rooms, or from
// another node) has passed it by, so it is looked for once more, now that
// nothing can any longer.
func (a *API) welcome(ctx context.Context, m *member) error {
	if !m.known && !m.socket.Recovered() {
		return nil // nobody knows who has just come to be
	}
	s, err := a.sanctions(ctx, m.socket.User())
	if err != nil {
		return err
	}
	if until := s.Barred(); !until.IsZero() {
		a.endSession(m.socket, &sanctioned{CodeBanned, until})
		return nil
	}
	var muted []string
	rooms := m.socket.Rooms()
	for _, room := range chat.Rooms(rooms) {
		kind := chat.Ban
		if s.Until(kind, room).IsZero() {
			// A kick from before the middleware's look has been heeded there, and
			// may be over: the person may have joined again.
			kind = chat.Kick
			if !m.known || s.Until(kind, room).IsZero() || !m.held.Until(kind, room).IsZero() {
				if mute := chat.MuteRoom(room); !s.Until(chat.Mute, room).IsZero() && !slices.Contains(rooms, mute) {
					muted = append(muted, mute)
				}
				continue
			}
		}
		if err := a.leave(ctx, m, room); err != nil {
			return fmt.Errorf("leave a room that was closed: %w", err)
		}
		if err := m.socket.Emit(eventRoomClosed, RoomClosed{Room: room, Code: closedBy[kind]}); err != nil {
			return fmt.Errorf("tell of a room that was closed: %w", err)
		}
	}
	if len(muted) == 0 {
		return nil
	}
	if err := m.socket.Join(ctx, muted...); err != nil {
		return fmt.Errorf("join mute rooms: %w", err)
	}
	return nil
}

// redactReplay takes what was removed meanwhile out of what a socket missed.
func redactReplay(missed []*adapter.Delivery) []*adapter.Delivery {
	missed = slices.Clone(missed)
	chat.Redact(missed)
	return missed
}

// putOutSoon makes the presence of a socket that was put out of a room follow,
// without waiting for its next request. It runs on the sequencer.
func (a *API) putOutSoon(s *socketio.Socket, e adapter.Event) {
	if e.Name != eventRoomClosed {
		return
	}
	if m, ok := s.Value().(*member); ok {
		select {
		case a.moved <- m:
		default: // its next request does it
		}
	}
}
