package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// member is a person with one client in some rooms: it does what a careful
// application does with its socket and remembers all that it was shown.
type member struct {
	// Immutable after start.
	name   string
	kind   string
	named  bool // shows a name, and so counts in numUsers
	bulk   bool // writes in the bulk room alone
	ledger *ledger
	ctx    context.Context
	socket socket

	mu                    sync.Mutex
	up                    bool // guarded by mu, like all below
	since                 time.Duration
	turn                  int // counts connections: an answer of an earlier one is void
	views                 map[string]*view
	connections, fresh    int
	lastDown              time.Duration
	down                  []outage
	reasons               map[string]int
	recovers, said, roams bool
	sessions              int            // counts sessions of the server
	sentBy                map[string]int // the session that sent an id first
}

// outage is a time without connection.
type outage struct{ from, to time.Duration }

func newMember(ctx context.Context, name, kind string, rooms []string, named bool, l *ledger) *member {
	m := &member{
		name: name, kind: kind, named: named, ledger: l, ctx: ctx,
		views: make(map[string]*view), reasons: make(map[string]int), sentBy: make(map[string]int),
	}
	for _, room := range rooms {
		m.views[room] = newView(room)
	}
	return m
}

// session is the secret that makes retries recognisable through everything.
func (m *member) session() string { return "the secret of " + m.name + ", long enough" }

func (m *member) connected(recovered bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
	if m.connections > 0 {
		m.down = append(m.down, outage{m.lastDown, m.ledger.now()})
		if m.recovers && !recovered {
			m.fresh++
			o := m.down[len(m.down)-1]
			m.ledger.note("%s (%s) came back as a new session at %.3fs after %.3fs", m.name, m.kind, o.to.Seconds(), (o.to - o.from).Seconds())
		}
	}
	m.connections++
	m.up, m.since = true, m.ledger.now()
	if !recovered {
		m.said = false
		m.sessions++
		for _, v := range m.views {
			v.state = out
		}
	}
	if m.named && !m.said {
		m.introduce()
	}
	for _, v := range m.views {
		if v.want && v.state != in {
			m.join(v)
		}
	}
}

func (m *member) disconnected(reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn++
	m.up = false
	m.lastDown = m.ledger.now()
	m.reasons[reason]++
	for _, v := range m.views {
		if v.state != in {
			v.state, v.held = out, nil
		}
	}
}

// again calls f later, if the connection is still the same.
func (m *member) again(turn int, f func()) {
	time.AfterFunc(100*time.Millisecond+time.Duration(rand.Int64N(int64(300*time.Millisecond))), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.turn == turn && m.ctx.Err() == nil {
			f()
		}
	})
}

// ask emits a request and calls then under the member's lock with the answer,
// unless the connection is another one by then. A request that gets no answer,
// or a retryable error, is made again. m.mu is held.
func (m *member) ask(event string, payload any, then func(answer json.RawMessage)) {
	turn := m.turn
	m.socket.emit(event, payload, func(answer json.RawMessage, err error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.turn != turn {
			return
		}
		p := problemOf(answer)
		switch {
		case err == nil && p == nil:
			then(answer)
		case p != nil && !p.Retryable:
			m.ledger.complain("%s: %s was refused: %s", m.name, event, p.Code)
		default:
			if p != nil {
				m.ledger.refused(p.Code)
			}
			m.again(turn, func() { m.ask(event, payload, then) })
		}
	})
}

type problem struct {
	Code      string
	Retryable bool
}

// problemOf returns nil for an answer that is no error.
func problemOf(answer json.RawMessage) *problem {
	var a struct{ Error *problem }
	if len(answer) == 0 || json.Unmarshal(answer, &a) != nil {
		return nil
	}
	return a.Error
}

func (m *member) introduce() {
	m.ask("add user", map[string]string{"username": m.name}, func(json.RawMessage) { m.said = true })
}

type page struct {
	Epoch    string
	Seq      uint64
	Messages []wireMessage
	More     bool
	Gap      *struct{ From, To uint64 }
}

type wireMessage struct {
	Room, ID, Message, Epoch string
	Seq                      uint64
}

func (w wireMessage) entry() entry { return entry{place{w.Epoch, w.Seq}, w.ID, w.Message} }

const pageLimit = 200

// join enters a room, or enters it again after the last message known. m.mu is
// held.
func (m *member) join(v *view) {
	v.state, v.held = joining, nil
	since := v.cursor
	payload := map[string]any{"room": v.room, "limit": 20}
	if v.began {
		payload = map[string]any{"room": v.room, "limit": pageLimit, "since": since.Seq, "epoch": since.Epoch}
	}
	m.ask("join room", payload, func(answer json.RawMessage) {
		var p page
		if err := json.Unmarshal(answer, &p); err != nil {
			m.ledger.complain("%s: an odd answer to a join: %s", m.name, answer)
			return
		}
		if !v.began {
			v.began, v.from = true, place{p.Epoch, p.Seq}
			if len(p.Messages) > 0 {
				v.from = place{p.Messages[0].Epoch, p.Messages[0].Seq - 1}
			}
			v.cursor, p.More = v.from, false
		}
		if p.Gap != nil {
			v.lost(span{epoch: since.Epoch, from: p.Gap.From, to: p.Gap.To})
		}
		m.fill(v, p, since, p.Messages, p.More)
	})
}

// fill reads what the answer of a join has left out, and then shows everything
// in order: the pages, then what came live meanwhile.
func (m *member) fill(v *view, joined page, since place, messages []wireMessage, more bool) {
	if more && len(messages) > 0 {
		payload := map[string]any{"room": v.room, "before": messages[0].Seq, "after": since.Seq, "limit": pageLimit}
		if joined.Gap != nil {
			payload["after"] = afterGap(joined, since)
		}
		m.ask("history", payload, func(answer json.RawMessage) {
			var p page
			if err := json.Unmarshal(answer, &p); err != nil {
				m.ledger.complain("%s: an odd answer to history: %s", m.name, answer)
				return
			}
			m.fill(v, joined, since, append(p.Messages, messages...), p.More && len(p.Messages) > 0)
		})
		return
	}
	for _, w := range messages {
		m.show(v, w.entry(), false)
	}
	for _, e := range v.held {
		m.show(v, e, false)
	}
	v.held, v.state = nil, in
	if !v.want {
		m.leave(v) // it changed its mind meanwhile
	}
}

// afterGap is the last seq before what is left to read, when an answer had a
// gap.
func afterGap(joined page, since place) uint64 {
	switch {
	case joined.Epoch == since.Epoch:
		return joined.Gap.To // too old
	case joined.Gap.From <= since.Seq:
		return joined.Gap.From - 1 // up to there the log is the one that was seen
	default:
		return 0 // all that there is is new
	}
}

func (m *member) show(v *view, e entry, live bool) {
	if !ownID(m.name, e.ID) {
		v.take(e, live, m.ledger.now(), m.ledger, m.name)
		return
	}
	// The sender is left out by its socket id: whoever came back as another
	// socket meanwhile may hear its own words, once.
	_, twice := v.known[e.place]
	if live && (twice || m.sentBy[e.ID] == m.sessions) {
		v.repeated++
		m.ledger.complain("%s was shown its own %s %v of %s", m.name, e.ID, e.place, v.room)
	}
	v.known[e.place] = struct{}{}
	v.cursor = e.place
	m.ledger.shown(m.name, v.room, e)
}

func (m *member) event(name string, payload json.RawMessage) {
	switch name {
	case "new message":
		var w wireMessage
		if err := json.Unmarshal(payload, &w); err != nil || w.Seq == 0 || w.Epoch == "" {
			m.ledger.complain("%s: an odd message: %s", m.name, payload)
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		v := m.views[w.Room]
		switch {
		case v == nil:
			m.ledger.complain("%s was shown %s of %s without being there", m.name, w.ID, w.Room)
		case v.state == joining || v.state == out:
			v.held = append(v.held, w.entry())
		default:
			m.show(v, w.entry(), true)
		}
	case "room gap":
		var g struct {
			Room, Epoch string
			From, To    uint64
		}
		if err := json.Unmarshal(payload, &g); err != nil {
			m.ledger.complain("%s: an odd gap: %s", m.name, payload)
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if v := m.views[g.Room]; v != nil {
			v.lost(span{epoch: g.Epoch, from: g.From, to: g.To})
		}
	case "error message":
		m.ledger.complain("%s: %s", m.name, payload)
	}
}

// leave goes out of a room for a while. m.mu is held.
func (m *member) leave(v *view) {
	v.state = leaving
	m.ask("leave room", map[string]string{"room": v.room}, func(json.RawMessage) {
		v.state = out
		if v.want {
			m.join(v)
		}
	})
}

// wander goes out of a room, or comes back to it.
func (m *member) wander(room string, want bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.views[room]
	if v.want == want {
		return
	}
	v.want = want
	switch {
	case !m.up:
	case want && v.state == out:
		m.join(v)
	case !want && v.state == in:
		m.leave(v)
	}
}

// settled says whether the member is connected and in all its rooms.
func (m *member) settled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.up || m.named && !m.said {
		return false
	}
	for _, v := range m.views {
		if v.want && v.state != in {
			return false
		}
	}
	return true
}

var errStopped = errors.New("stopped")

// say sends a message until it is acknowledged. It returns what is known of
// it, or an error when ctx ends or no retry can mend it.
func (m *member) say(ctx context.Context, room, id string) (entry, error) {
	text, sent := textOf(id), m.ledger.now()
	for {
		if err := m.awaitIn(ctx, room); err != nil {
			return entry{}, err
		}
		type result struct {
			answer json.RawMessage
			err    error
		}
		got := make(chan result, 1)
		m.ledger.tried()
		m.mu.Lock()
		if _, again := m.sentBy[id]; !again {
			m.sentBy[id] = m.sessions
		}
		m.mu.Unlock()
		m.socket.emit("new message", map[string]any{"room": room, "message": text, "id": id},
			func(answer json.RawMessage, err error) { got <- result{answer, err} })
		r := <-got // every emit has its time
		p := problemOf(r.answer)
		switch {
		case r.err != nil:
		case p != nil && (p.Retryable || p.Code == "not_member"):
			// not_member: a new session that has not joined again yet.
			m.ledger.refused(p.Code)
		case p != nil:
			return entry{}, fmt.Errorf("%s was refused: %s", id, p.Code)
		default:
			var w wireMessage
			if err := json.Unmarshal(r.answer, &w); err != nil || w.Seq == 0 || w.ID != id || w.Room != room {
				return entry{}, fmt.Errorf("%s has an odd answer: %s", id, r.answer)
			}
			e := entry{place{w.Epoch, w.Seq}, id, text}
			m.mu.Lock()
			m.views[room].own[e.place] = struct{}{}
			m.mu.Unlock()
			m.ledger.ack(room, e, sent)
			return e, nil
		}
		if err := pause(ctx, 50*time.Millisecond+time.Duration(rand.Int64N(int64(200*time.Millisecond)))); err != nil {
			return entry{}, errStopped
		}
	}
}

func (m *member) awaitIn(ctx context.Context, room string) error {
	for {
		m.mu.Lock()
		ok := m.up && m.views[room].state == in
		m.mu.Unlock()
		if ok {
			return nil
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return errStopped
		}
	}
}
