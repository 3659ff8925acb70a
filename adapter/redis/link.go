package redis

import (
	"strconv"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// take takes a message off the link. It is false when the link is lost.
func (l *lane) take(gen uint64, channel, payload string) bool {
	p, err := readParcel(payload)
	if err != nil {
		l.a.drop("malformed message")
		return true
	}
	channel = strings.TrimPrefix(channel, l.base)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gen != gen || l.state == linkDown {
		return false
	}
	switch p.kind {
	case kindBeat:
		l.lastBeat = time.Now()
	case kindFence, kindReply:
		// These have no place in the order of events, and what is asked must
		// not wait for a repair.
		l.a.apart(l, &p)
		return true
	}
	switch l.state {
	case linkSyncing:
		if p.kind == kindMarker && p.word(0) == l.repairID {
			l.state = linkBuffering
			l.answerMark(&p)
		}
	case linkBuffering:
		if l.overrun {
			break
		}
		l.buffer = append(l.buffer, held{channel, p})
		l.bufferBytes += len(payload)
		if len(l.buffer) > l.a.o.Buffer || l.bufferBytes > 64<<20 {
			l.overrun, l.buffer, l.bufferBytes = true, nil, 0
		}
	case linkLive:
		l.handle(channel, &p)
	}
	return l.state != linkDown
}

func (l *lane) answerMark(p *parcel) {
	if ch := l.marks[p.word(0)]; ch != nil {
		pos, _ := p.number(1)
		delete(l.marks, p.word(0))
		ch <- pos
	}
}

// handle passes a message on to the sequencer. Called with mu held, in the
// order of the link.
func (l *lane) handle(channel string, p *parcel) {
	var err error
	switch p.kind {
	case kindLogged:
		err = l.logged(channel, p)
	case kindKept, kindKeptHere:
		err = l.kept(channel, p)
	case kindEphemeral, kindHere:
		var e *emission
		if e, err = readEmission(p.body); err == nil && !(p.kind == kindHere && l.subscribed(e)) {
			ev := l.a.eventOf(l, e, adapter.Ephemeral, 0)
			ev.Delivery.Trace = p.trace(0)
			l.deliver(ev)
		}
	case kindLoss:
		err = l.lost(channel, p)
	case kindJoined, kindLeft:
		err = l.presence(channel, p)
	case kindBeat:
		if l.era(p, 1) {
			l.advance(p, 0)
		}
	case kindMarker:
		if l.era(p, 2) {
			l.advance(p, 1)
			l.answerMark(p)
		}
	case kindCut:
		err = l.cut(p)
	case kindOrder, kindServer:
		err = l.a.ordered(l, p)
	default:
		l.a.drop("unknown message")
	}
	if err != nil {
		l.a.drop("malformed message")
	}
}

// era compares the era that a message names with the link's own. The store
// has lost its memory, or another one took its place: what this link saw and
// what it did not is no longer in one order.
func (l *lane) era(p *parcel, word int) bool {
	n, err := p.number(word)
	if err != nil || n == l.start {
		return err == nil
	}
	l.loseLocked("a new era began")
	return false
}

// advance carries the lane's position forward.
func (l *lane) advance(p *parcel, word int) {
	pos, err := p.number(word)
	if err != nil || pos <= l.pos {
		return
	}
	l.pos = pos
	l.push(func(q *roomindex.Sequencer) { q.Advance(l.n, pos) })
}

// roomOfChannel is the full name of a channel's room.
func roomOfChannel(channel string) string { return strings.TrimPrefix(channel, "c:") }

func (l *lane) logged(channel string, p *parcel) error {
	w := l.rooms[roomOfChannel(channel)]
	if w == nil {
		return nil // unsubscribed meanwhile
	}
	if !l.era(p, 5) {
		return nil
	}
	seq, err1 := p.number(1)
	pos, err2 := p.number(2)
	at, err3 := p.number(4)
	if err1 != nil || err2 != nil || err3 != nil {
		return errWire
	}
	if pos <= l.pos {
		return nil // repaired
	}
	if w.set {
		before := p.word(3)
		if before == "-" {
			before = ""
		}
		if seq != w.seq+1 || before != w.epoch {
			l.loseLocked("a room's sequence has a hole")
			return nil
		}
		w.show(p.word(0), seq)
	}
	l.pos = pos
	ev := &roomindex.Event{
		Target: adapter.Target{Namespace: w.namespace, Rooms: []string{w.room}},
		Delivery: adapter.Delivery{
			Namespace: w.namespace, Class: adapter.Logged, Room: w.room, Epoch: p.word(0), Seq: seq,
			Time: time.UnixMilli(int64(at)), Lane: l.n, Pos: pos, Trace: p.trace(6),
		},
	}
	if err := readEntry(p.body, &ev.Delivery); err != nil {
		return err
	}
	l.deliver(ev)
	return nil
}

func (l *lane) kept(_ string, p *parcel) error {
	if !l.era(p, 1) {
		return nil
	}
	pos, err := p.number(0)
	if err != nil {
		return err
	}
	e, err := readEmission(p.body)
	if err != nil {
		return err
	}
	// A node that has the socket and its room gets the event twice.
	if pos <= l.pos || p.kind == kindKeptHere && l.subscribed(e) {
		return nil
	}
	l.pos = pos
	ev := l.a.eventOf(l, e, adapter.Recoverable, pos)
	ev.Delivery.Trace = p.trace(2)
	l.deliver(ev)
	return nil
}

// subscribed: the event's one room is subscribed here, so that it comes by the
// room's channel as well.
func (l *lane) subscribed(e *emission) bool {
	if len(e.target.Rooms) != 1 {
		return false
	}
	w := l.rooms[fullName(e.target.Namespace, e.target.Rooms[0])]
	return w != nil && w.confirmed
}

func (l *lane) presence(channel string, p *parcel) error {
	w := l.rooms[roomOfChannel(channel)]
	if w == nil {
		return nil
	}
	count, err1 := p.number(0)
	size, err2 := p.number(1)
	if err1 != nil || err2 != nil || size > uint64(len(p.body)) {
		return errWire
	}
	c := roomindex.Presence{
		Namespace: w.namespace, Room: w.room, Joined: p.kind == kindJoined, Count: int(count),
		Person: adapter.Person{User: string(p.body[:size]), Name: string(p.body[size:])},
	}
	l.a.seq.Push(&c)
	return nil
}

// cut is a marker: the membership it stands for begins here.
func (l *lane) cut(p *parcel) error {
	if !l.era(p, 2) {
		return nil
	}
	pos, err := p.number(1)
	if err != nil {
		return err
	}
	op := l.ops[p.word(0)]
	if op == nil {
		return nil // given up
	}
	delete(l.ops, p.word(0))
	heads := strings.Split(string(p.body), ";")
	for i, room := range op.lanes[l].rooms {
		w := l.rooms[fullName(op.namespace, room)]
		if w == nil || i >= len(heads) {
			return errWire
		}
		epoch, text, _ := strings.Cut(heads[i], " ")
		seq, err := strconv.ParseUint(text, 10, 53)
		if err != nil {
			return errWire
		}
		if epoch == "-" {
			epoch = ""
		}
		if w.set && (w.seq != seq || w.epoch != epoch) {
			l.ops[op.id] = op // not installed: cut short like the others
			l.loseLocked("a room's head is not where the link has seen it")
			return nil
		}
		if !w.set {
			w.set, w.stand = true, begin(epoch, seq)
		}
		w.told = nil // somebody new was not told
	}
	l.pos = max(l.pos, pos)
	l.push(func(q *roomindex.Sequencer) { op.install(q, l, pos) })
	return nil
}

// deliver hands an event to the sequencer.
func (l *lane) deliver(ev *roomindex.Event) {
	if len(l.a.lanes) == 1 || ev.Delivery.Pos == 0 {
		l.a.seq.Push(ev)
		return
	}
	l.push(func(q *roomindex.Sequencer) {
		// A socket that comes back by cuts in several lanes gets nothing of a
		// lane live before that lane's cut: the replay has it.
		for _, op := range l.a.partial {
			if !op.passed[l] && op.namespace == ev.Target.Namespace {
				ev.Target.Except = append(ev.Target.Except[:len(ev.Target.Except):len(ev.Target.Except)], op.socket.ID())
			}
		}
		q.Pass(ev)
	})
}
