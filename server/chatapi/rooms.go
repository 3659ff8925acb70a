package chatapi

import (
	"cmp"
	"context"
	"fmt"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// addUser gives the socket's person a name, once: a repetition only
// acknowledges.
func (a *API) addUser(ctx context.Context, m *member, in AddUser) (AddedUser, error) {
	first := m.guest()
	if first {
		name, err := a.nameOf(m, in.Username)
		if err != nil {
			return AddedUser{}, err
		}
		if err := a.introduce(ctx, m, name); err != nil {
			return AddedUser{}, err
		}
	}
	n, err := a.chat.Count(ctx, chat.Lobby)
	if err != nil {
		return AddedUser{}, err
	}
	if first {
		if err := m.socket.Emit(eventLogin, Login{NumUsers: n}); err != nil {
			return AddedUser{}, err
		}
	}
	return AddedUser{Username: m.name, User: chat.PublicID(m.socket.User()), NumUsers: n, Rooms: chat.Rooms(m.socket.Rooms())}, nil
}

// nameOf is what a person is to be called: as the token says, or else as asked.
func (a *API) nameOf(m *member, asked string) (string, error) {
	if m.token != nil && m.token.name != "" {
		return m.token.name, nil
	}
	return a.chat.Limits().Name(asked)
}

// introduce announces a named person in the socket's rooms and remembers the
// name. After an error the socket is a guest as before.
func (a *API) introduce(ctx context.Context, m *member, name string) error {
	r, err := dataOf(m.socket)
	if err != nil {
		return err
	}
	m.named(name)
	m.keep()
	if err = a.align(ctx, m); err == nil {
		r.Name = name
		err = m.socket.SetData(r)
	}
	if err != nil {
		a.exitAll(m, true)
		m.unnamed()
		return err
	}
	if a.options.Hooks.Named != nil {
		a.options.Hooks.Named()
	}
	return nil
}

// joinRoom makes the socket a member and answers with what the client lacks.
// The socket is held until the answer is queued, so the two meet.
func (a *API) joinRoom(ctx context.Context, m *member, in JoinRoom) (JoinedRoom, error) {
	limits := a.chat.Limits()
	room, err := a.room(m, in.Room, chat.Read)
	if err != nil {
		return JoinedRoom{}, err
	}
	if err := limits.Epoch(in.Epoch); err != nil {
		return JoinedRoom{}, err
	}
	was := m.in(room)
	if !was && len(chat.Rooms(m.socket.Rooms())) >= limits.RoomsPerSocket {
		a.tooManyRooms(ScopeSocket)
		return JoinedRoom{}, chat.ErrTooManyRooms
	}
	if err := a.admitted(ctx, m, room); err != nil {
		return JoinedRoom{}, err
	}
	if !was {
		if err := a.admitJoin(ctx, m, room); err != nil {
			return JoinedRoom{}, err
		}
		defer m.joinEnded()
	}
	query := chat.JoinQuery{Since: in.Since, Epoch: in.Epoch, Limit: in.Limit}
	cut, err := m.socket.JoinRead(ctx, chat.AdapterRoom(room), *a.chat.JoinRead(query))
	if err != nil {
		if !was {
			a.leftRoom(m, room)
		}
		return JoinedRoom{}, err
	}
	if !was {
		// Again, now that a ban would put the socket out: one that came between is
		// seen here.
		err = a.admitted(ctx, m, room)
	}
	var answer JoinedRoom
	if err == nil {
		answer, err = a.joined(ctx, m, room, query, cut.Read)
	}
	if err == nil && !was && cut.Read.Head == 0 {
		err = a.takeNew(ctx, m, room, answer.NumUsers)
	}
	if err == nil && !was {
		a.tellOwn(ctx, m, eventJoinedRoom, LeftRoom{Room: room})
	}
	if err != nil && !was {
		// The client is told that it has not joined, so it must not have. The
		// request's time may be what has run out.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.options.StoreTimeout)
		defer cancel()
		if err := a.leave(ctx, m, room); err != nil {
			a.options.Logger.Debug("leave after a join that failed", "room", room, "err", err)
		}
		return JoinedRoom{}, err
	}
	return answer, err
}

// takeNew is asked when a room without messages was joined.
func (a *API) takeNew(ctx context.Context, m *member, room string, numUsers int) error {
	user := m.socket.User()
	if partner := chat.Partner(room, user); partner != "" {
		return a.take(ctx, KindDirect, asker{user: user, address: m.socket.Address(), of: partner})
	}
	if numUsers > 1 {
		return nil
	}
	// Nobody was there before, and nothing: it comes to be.
	return a.take(ctx, KindRoom, asker{user: user})
}

// leaveRoom ends membership. Whoever is no member has left already.
func (a *API) leaveRoom(ctx context.Context, m *member, in RoomOnly) (LeftRoom, error) {
	room, err := a.chat.Limits().RoomFor(m.socket.User(), cmp.Or(in.Room, chat.Lobby))
	if err != nil {
		return LeftRoom{}, err
	}
	if !m.in(room) {
		return LeftRoom{Room: room}, nil
	}
	if err := a.leave(ctx, m, room); err != nil {
		return LeftRoom{}, err
	}
	a.tellOwn(ctx, m, eventLeftRoom, LeftRoom{Room: room})
	return LeftRoom{Room: room}, nil
}

// leave takes the socket out first, so that it is not told of its own going.
func (a *API) leave(ctx context.Context, m *member, room string) error {
	if err := m.socket.Leave(ctx, chat.AdapterRoom(room)); err != nil {
		return err
	}
	a.silence(ctx, m.socket.ID(), room)
	a.exit(m, room, true)
	a.leftRoom(m, room)
	return nil
}

// who lists a room's people.
func (a *API) who(ctx context.Context, m *member, in RoomOnly) (RoomPeople, error) {
	room, err := a.readable(ctx, m, cmp.Or(in.Room, chat.Lobby))
	if err != nil {
		return RoomPeople{}, err
	}
	roster, err := a.chat.Who(ctx, room)
	if err != nil {
		return RoomPeople{}, err
	}
	return RoomPeople{Room: room, NumUsers: roster.NumUsers, Users: roster.Users}, nil
}

// rooms lists rooms by page.
func (a *API) rooms(ctx context.Context, m *member, in ListRooms) (RoomList, error) {
	if in.Mine {
		return a.myRooms(ctx, m, in)
	}
	after := ""
	if in.After != "" {
		var err error
		if after, err = a.chat.Limits().Room(in.After); err != nil {
			return RoomList{}, err
		}
	}
	query := chat.RoomsQuery{After: after, Cursor: in.Cursor, Limit: in.Limit}
	page, err := a.chat.ListRooms(ctx, query, func(room string) bool { return a.may(m, room, chat.Read) })
	if err != nil {
		return RoomList{}, err
	}
	list := RoomList{Rooms: make([]ListedRoom, 0, len(page.Rooms)), More: page.More, Next: page.Next}
	pointers, err := a.chat.Pointers(ctx, m.socket.User())
	if err != nil {
		return RoomList{}, err
	}
	for _, r := range page.Rooms {
		list.Rooms = append(list.Rooms, withPointer(ListedRoom{Room: r.Room, NumUsers: r.NumUsers, Seq: r.Seq}, pointers))
	}
	return list, nil
}

// tellLost sends a socket the notices that were made while it was away.
func tellLost(s *socketio.Socket, lost []adapter.Gap) error {
	for _, g := range lost {
		room, _ := chat.RoomName(g.Room)
		if err := s.Emit(eventRoomGap, RoomGap{Room: room, Epoch: g.Epoch, From: g.From, To: g.To}); err != nil {
			return fmt.Errorf("send gap: %w", err)
		}
	}
	return nil
}

// joined makes the answer of a join, while the socket is held.
func (a *API) joined(ctx context.Context, m *member, room string, q chat.JoinQuery, cut *adapter.LogSlice) (JoinedRoom, error) {
	page, err := a.chat.Joined(ctx, q, cut)
	if err != nil {
		return JoinedRoom{}, err
	}
	if err := tellLost(m.socket, page.Lost); err != nil {
		return JoinedRoom{}, err
	}
	if err := a.enter(ctx, m, room); err != nil {
		return JoinedRoom{}, err
	}
	roster, err := a.chat.Who(ctx, room)
	if err != nil {
		return JoinedRoom{}, err
	}
	return JoinedRoom{
		Room: room, Epoch: page.Epoch, Seq: page.Seq, NumUsers: roster.NumUsers, Users: roster.Users,
		Messages: page.Messages, Removed: page.Removed, First: page.First, Last: page.Last, More: page.More, Gap: page.Gap,
		Rights: a.rightsIn(m, room),
	}, nil
}
