package chatapi

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
)

// presenceEvent tells a room's members of a change, on the sequencer. The
// number of a big room is left to the worker, which must not tell it after a
// later one.
func (a *API) presenceEvent(c adapter.PresenceChange) (e adapter.Event, exceptUser string, ok bool) {
	news, ok := a.chat.Announce(c)
	if !ok {
		return adapter.Event{}, "", false
	}
	if news.Counted {
		a.mu.Lock()
		first := a.counts.Add(news.Room, news.NumUsers)
		a.mu.Unlock()
		if first {
			a.nudge()
		}
		return adapter.Event{}, "", false
	}
	a.mu.Lock()
	a.counts.Forget(news.Room)
	a.mu.Unlock()
	name := eventUserLeft
	if news.Joined {
		name = eventUserJoined
	}
	return event(name, UserChange{Username: news.Username, NumUsers: news.NumUsers, Room: news.Room, User: news.User}), c.Person.User, true
}

// startTyping passes on a sign of typing.
func (a *API) startTyping(ctx context.Context, m *member, in RoomOnly) (struct{}, error) {
	room, err := a.typingRoom(m, in)
	if err != nil {
		return struct{}{}, err
	}
	if err := a.unmuted(ctx, m, room); err != nil {
		return struct{}{}, err
	}
	name := m.author().Name
	a.mu.Lock()
	tell, first := a.typing.Start(time.Now(), m.socket.ID(), room, name)
	a.mu.Unlock()
	if first {
		a.nudge()
	}
	if !tell {
		return struct{}{}, nil
	}
	return struct{}{}, a.tellTyping(ctx, eventTyping, m.socket.ID(), room, name)
}

// stopTyping passes on that it ended, also when its beginning was not heard:
// the room may still show what it heard of another connection.
func (a *API) stopTyping(ctx context.Context, m *member, in RoomOnly) (struct{}, error) {
	room, err := a.typingRoom(m, in)
	if err != nil {
		return struct{}{}, err
	}
	a.mu.Lock()
	a.typing.Stop(m.socket.ID(), room)
	a.mu.Unlock()
	return struct{}{}, a.tellTyping(ctx, eventStopTyping, m.socket.ID(), room, m.author().Name)
}

// typingRoom is the room a typing event is for. Only members may disturb it.
func (a *API) typingRoom(m *member, in RoomOnly) (string, error) {
	return a.memberRoom(m, cmp.Or(in.Room, chat.Lobby), chat.Write)
}

// silence ends typing for a socket that leaves a room.
func (a *API) silence(ctx context.Context, socket, room string) {
	a.mu.Lock()
	s, was := a.typing.Stop(socket, room)
	a.mu.Unlock()
	if was {
		a.tellSilent(ctx, s)
	}
}

func (a *API) tellSilent(ctx context.Context, s chat.Silent) {
	if err := a.tellTyping(ctx, eventStopTyping, s.Socket, s.Room, s.Name); err != nil {
		a.options.Logger.Debug("stop typing not sent", "room", s.Room, "err", err)
	}
}

// tellTyping tells the others in a room. That somebody types may be dropped
// where a connection is busy; that it is over may not, or a front end that keeps
// no time of its own shows it for ever.
func (a *API) tellTyping(ctx context.Context, name, socket, room, username string) error {
	to := a.ns.To(chat.AdapterRoom(room)).Except(socket).Ephemeral()
	if name == eventTyping {
		to = to.Volatile()
	}
	return to.EmitEvent(ctx, event(name, UserTyping{Username: username, Room: room}))
}

// nudge wakes the worker; it never blocks.
func (a *API) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// sweep is how often typing is looked at while somebody types: a stop comes at
// most this much late.
const sweep = 250 * time.Millisecond

// work is the API's goroutine. It sleeps without a timer while nobody types
// and no big room has changed.
func (a *API) work() {
	defer close(a.done)
	for {
		select {
		case <-a.stop.Done():
			return
		case m := <-a.moved:
			a.putOut(m)
			continue
		case <-a.wake:
		}
		if !a.workUntilIdle() {
			return
		}
	}
}

// workUntilIdle returns false when the API is closed.
func (a *API) workUntilIdle() bool {
	tick := time.NewTicker(min(sweep, a.options.CountInterval, a.options.TypingExpiry))
	defer tick.Stop()
	var told time.Time
	for {
		now := time.Now()
		a.mu.Lock()
		silent := a.typing.Expire(now)
		var counts map[string]int
		if now.Sub(told) >= a.options.CountInterval {
			counts = a.counts.Take()
		}
		idle := a.typing.Len() == 0 && a.counts.Len() == 0 && now.Sub(told) >= a.options.CountInterval
		a.mu.Unlock()
		if len(counts) > 0 {
			told, idle = now, false
		}
		a.tell(silent, counts)
		if idle {
			return true
		}
		select {
		case <-a.stop.Done():
			return false
		case m := <-a.moved:
			a.putOut(m)
		case <-tick.C:
		}
	}
}

// putOut has the presence and the count of a socket that was put out of a room
// follow. It does not wait: everybody's typing does.
func (a *API) putOut(m *member) {
	a.uncountLeft(m)
	a.exitLeft(m)
}

// tell sends what the worker found. Numbers go to this node's members only:
// every node that has members hears of the changes itself.
func (a *API) tell(silent []chat.Silent, counts map[string]int) {
	ctx, cancel := context.WithTimeout(a.stop, a.options.StoreTimeout)
	defer cancel()
	for _, s := range silent {
		a.tellSilent(ctx, s)
	}
	for _, room := range slices.Sorted(maps.Keys(counts)) {
		err := a.ns.To(chat.AdapterRoom(room)).Local().Ephemeral().
			EmitEvent(ctx, event(eventRoomUsers, RoomUsers{Room: room, NumUsers: counts[room]}))
		if err != nil {
			a.options.Logger.Debug("number of people not sent", "room", room, "err", err)
		}
	}
}
