package chat

import "time"

// Typing says who is typing where. It is a table with deadlines: the owner
// passes the time and sweeps it, so that no socket needs a timer. It grows
// with what members do and shrinks with it; a socket has at most one entry per
// room it is in. Not safe for concurrent use.
type Typing struct {
	expiry time.Duration
	repeat time.Duration
	now    map[typist]typingState
}

type typist struct{ socket, room string }

type typingState struct {
	name  string
	until time.Time
	told  time.Time
}

// Silent is somebody who is not typing any more, or never said so.
type Silent struct{ Socket, Room, Name string }

// NewTyping makes a table in which a sign of typing holds for expiry, and is
// passed on again at most every repeat.
func NewTyping(expiry, repeat time.Duration) *Typing {
	return &Typing{expiry: expiry, repeat: repeat, now: make(map[typist]typingState)}
}

// Start notes a sign of typing. tell says whether the room is to hear of it:
// not when it heard the same a moment ago. first is true when nobody was
// typing before.
func (t *Typing) Start(now time.Time, socket, room, name string) (tell, first bool) {
	first = len(t.now) == 0
	k := typist{socket, room}
	s, known := t.now[k]
	tell = !known || now.Sub(s.told) >= t.repeat
	if tell {
		s.told = now
	}
	s.name, s.until = name, now.Add(t.expiry)
	t.now[k] = s
	return tell, first
}

// Stop ends typing in a room and says whether there was any.
func (t *Typing) Stop(socket, room string) (s Silent, was bool) {
	k := typist{socket, room}
	state, was := t.now[k]
	delete(t.now, k)
	return Silent{socket, room, state.name}, was
}

// Expire takes out everyone who has been silent for the expiry. It looks at
// every entry: call it now and then.
func (t *Typing) Expire(now time.Time) (silent []Silent) {
	for k, s := range t.now {
		if !now.Before(s.until) {
			delete(t.now, k)
			silent = append(silent, Silent{k.socket, k.room, s.name})
		}
	}
	return silent
}

// Len is the number of entries.
func (t *Typing) Len() int { return len(t.now) }
