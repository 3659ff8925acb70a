package main

import "time"

// mostIn bounds the rooms of a member in the chat mix.
const mostIn = 5

// chat is what people do: of 100 actions 50 are messages, 24 typing, 8 joins, 6
// leaves, 8 look back, and 4 lose their connection. What a server has no event
// for is left out.
func (r *runner) chat() func(time.Time) time.Time {
	start, i := time.Now(), 0
	return func(now time.Time) time.Time {
		for {
			due := start.Add(time.Duration(float64(i) / r.o.Rate * float64(time.Second)))
			if due.After(now) {
				return due
			}
			i++
			m := r.members[r.random.IntN(len(r.members))]
			if m.ready && m.Connected() {
				r.act(m, r.random.IntN(100), due)
			}
		}
	}
}

// act has a member do one thing.
func (r *runner) act(m *member, dice int, due time.Time) {
	at := m.in[r.random.IntN(len(m.in))]
	switch {
	case !at.in:
	case dice < 50:
		in, who := at.room, m
		if !r.words.acked() {
			// Only one writer's messages have an order that plain servers promise.
			who = in.speaker
		}
		r.publish(in, who, due)
	case dice < 74:
		if array := r.words.typing(at.room.name); array != "" {
			r.counts.Typing++
			m.Emit(array)
		}
	case dice < 82:
		in := r.rooms[r.random.IntN(len(r.rooms))]
		if m.place(in) == nil && len(m.in) < mostIn {
			at := &membership{room: in}
			m.in = append(m.in, at)
			r.join(m, at)
		}
	case dice < 88:
		r.leave(m, at)
	case dice < 96:
		if array := r.words.history(at.room.name, at.track.last+1); array != "" {
			r.ask(m, forHistory, at.room, 0, array)
		}
	case !m.speaker:
		r.drop(m)
	}
}

// leave takes a member out of a room, but for its last one and those that it
// speaks in.
func (r *runner) leave(m *member, at *membership) {
	array := r.words.leave(at.room.name)
	if array == "" || len(m.in) < 2 || at.room.speaker == m {
		return
	}
	for what := range m.unacked {
		if what.room == at.room {
			return // its number would never be known
		}
	}
	r.counts.Leaves++
	if n := len(at.track.missing); n > 0 {
		r.verdicts.Lost += n
		r.noteLoss(m, at, "when it left")
	}
	at.room.joined--
	for i, other := range m.in {
		if other == at {
			m.in = append(m.in[:i], m.in[i+1:]...)
			break
		}
	}
	r.ask(m, forOther, at.room, 0, array)
}
