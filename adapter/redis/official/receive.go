package official

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
)

// onBroadcast takes what came on a classic channel of broadcasts. A room's
// channel says by its name that nobody here is concerned, and the first bytes
// who sent it, so that most of what is not for this node is never decoded.
func (b *Bridge) onBroadcast(s *space, channel string, raw []byte) {
	uid, known := peekUID(raw)
	if known && b.ours(uid) || !strings.HasPrefix(channel, s.main) {
		return
	}
	member := b.o.Mode == Classic
	emitter := !known || uid == emitterUID
	if !member && !emitter {
		return
	}
	// Broadcasts to nobody or to several rooms have no room in the channel.
	if room := strings.TrimSuffix(channel[len(s.main):], "#"); room != "" && !(emitter && b.col != nil) &&
		!slices.ContainsFunc(b.in(s, []string{room}), func(r string) bool { return b.back.Room(s.name, r) }) {
		return
	}
	m, err := b.decoder.broadcast(raw)
	if err != nil {
		b.refuse(err)
		return
	}
	emitter = m.uid == emitterUID
	if m.namespace != s.name || b.ours(m.uid) || !member && !emitter {
		return
	}
	if emitter && b.collect(s, m, raw, emitterUID) {
		return
	}
	b.deliver(s, m, nil)
}

// peekUID reads the uid of a broadcast in msgpack without decoding it.
func peekUID(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != 0x93 && raw[0] != 0x92 {
		return "", false
	}
	n, from := 0, 2
	switch c := raw[1]; {
	case c&0xe0 == 0xa0:
		n = int(c & 0x1f)
	case c == 0xd9 && len(raw) > 2:
		n, from = int(raw[2]), 3
	default:
		return "", false
	}
	if len(raw) < from+n {
		return "", false
	}
	return string(raw[from : from+n]), true
}

// deliver hands a broadcast to the local sockets.
func (b *Bridge) deliver(s *space, m *message, ask adapter.Ask) {
	e := adapter.Emit{Target: b.local(s, &m.to), Event: m.event, Class: adapter.Ephemeral, Volatile: m.to.volatile}
	err := b.back.Emit(b.ctx, e, ask)
	b.failed(err)
	if err != nil && ask != nil {
		ask.Expect(0)
	}
}

// collect hands an emitter's event to the collector if it belongs in a log.
func (b *Bridge) collect(s *space, m *message, raw []byte, sender string) bool {
	if b.col == nil || s.name != b.o.LogNamespace || len(m.to.rooms) == 0 || !slices.Contains(b.o.Logged, m.event.Name) {
		return false
	}
	for _, name := range m.to.rooms {
		b.col.push(Message{
			Namespace: s.name, Name: name, Room: b.o.RoomIn(name), Event: m.event,
			Sender: sender, Heard: sender == emitterUID && b.o.Mode == Classic,
		}, raw)
	}
	return true
}

// onRequest takes a classic request, or any message of the sharded adapter that
// is no answer. Emitters ask for nothing. To the own fleet the node only
// answers that there is nothing to add: everything else travels its own way.
func (b *Bridge) onRequest(s *space, m *message, member bool) {
	emitter := m.id == "" && (m.uid == "" || m.uid == emitterUID)
	switch {
	case m.uid == s.uid:
		return
	case !member && (!b.o.Emitters || !emitter || m.kind < kindJoin || m.kind > kindServerEvent):
		return
	case b.ours(m.uid):
		b.answerFellow(s, m)
		return
	}
	t := b.local(s, &m.to)
	if m.sid != "" {
		b.oldRequest(s, m)
		return
	}
	switch m.kind {
	case kindBroadcast:
		if m.id == "" {
			b.deliver(s, m, nil)
			return
		}
		timeout := min(m.to.timeout, b.o.MaxAckTimeout)
		if timeout == 0 {
			timeout = time.Second
		}
		b.deliver(s, m, &ask{b: b, s: s, of: m, timeout: timeout, end: time.Now().Add(timeout)})
	case kindJoin:
		b.failed(b.back.Join(b.ctx, t, b.in(s, m.rooms)))
	case kindLeave:
		b.failed(b.back.Leave(b.ctx, t, b.in(s, m.rooms)))
	case kindDisconnect:
		b.failed(b.back.Disconnect(b.ctx, t, m.close))
	case kindFetch, kindIDs, kindRooms:
		b.onFetch(s, m, t)
	case kindServerEvent:
		if m.id == "" {
			b.back.ServerEvent(s.name, m.event, nil)
			return
		}
		var once atomic.Bool
		b.back.ServerEvent(s.name, m.event, func(v []byte) {
			if !once.Swap(true) {
				b.answer(s, m, &message{kind: kindAnswer, value: value{data: v}})
			}
		})
	}
}

// oldRequest is a join, leave or disconnect of one socket, by its id
// (socket.io-redis up to 6). Only its own server answers.
func (b *Bridge) oldRequest(s *space, m *message) {
	if !b.back.Socket(s.name, m.sid) {
		return
	}
	t := adapter.Target{Namespace: s.name, Rooms: []string{m.sid}, Local: true}
	var err error
	switch m.kind {
	case kindJoin:
		err = b.back.Join(b.ctx, t, b.in(s, m.rooms))
	case kindLeave:
		err = b.back.Leave(b.ctx, t, b.in(s, m.rooms))
	default:
		err = b.back.Disconnect(b.ctx, t, m.close)
	}
	b.failed(err)
	if m.id != "" {
		b.answer(s, m, &message{kind: kindDone})
	}
}

// onFetch answers for the local sockets, with an empty list too: who does not
// answer is waited for.
func (b *Bridge) onFetch(s *space, m *message, t adapter.Target) {
	list, err := b.back.Sockets(b.ctx, t)
	b.failed(err)
	out := &message{kind: kindSockets}
	for _, info := range list {
		rooms := []string{info.ID}
		for _, r := range info.Rooms {
			if name, ok := b.o.RoomOut(r); ok && r != info.ID {
				rooms = append(rooms, name)
			}
		}
		info.Rooms = rooms
		out.sockets = append(out.sockets, info)
		switch m.kind {
		case kindIDs:
			out.names = append(out.names, info.ID)
		case kindRooms:
			out.names = append(out.names, rooms...)
		}
	}
	switch m.kind {
	case kindIDs:
		out.kind, out.sockets = kindIDList, nil
	case kindRooms:
		slices.Sort(out.names)
		out.kind, out.sockets, out.names = kindNames, nil, slices.Compact(out.names)
	}
	b.answer(s, m, out)
}

// answerFellow tells a node of the own fleet that there is nothing to add.
func (b *Bridge) answerFellow(s *space, m *message) {
	if m.id == "" {
		return
	}
	out := &message{fellow: true}
	switch m.kind {
	case kindBroadcast:
		out.kind = kindCount
	case kindFetch:
		out.kind = kindSockets
	case kindServerEvent:
		out.kind = kindAnswer
	default:
		return
	}
	b.answer(s, m, out)
}

// answer publishes an answer to a request.
func (b *Bridge) answer(s *space, to, out *message) {
	out.id, out.uid, out.namespace = to.id, s.uid, s.name
	if b.o.Mode >= Static {
		payload, err := appendSharded(nil, out)
		b.send(s.main+to.uid+"#", payload, true, err)
		return
	}
	channel := s.answers
	if b.o.SpecificResponses && to.uid != "" && out.kind != kindAnswer {
		channel += to.uid + "#"
	}
	payload, err := appendClassic(nil, out)
	b.send(channel, payload, false, err)
}

// send queues a payload that was encoded.
func (b *Bridge) send(channel string, payload []byte, sharded bool, err error) {
	if err == nil {
		err = b.pub.push(parcel{channel, payload, sharded})
	} else {
		b.o.dropped("publish")
	}
	if err != nil {
		b.o.Logger.Debug("official formats: publish", "error", err)
	}
}

// ask collects local acknowledgements for a server elsewhere.
type ask struct {
	b       *Bridge
	s       *space
	of      *message
	timeout time.Duration
	end     time.Time
	counted atomic.Bool
}

// Expect implements adapter.Ask.
func (a *ask) Expect(n int) {
	if !a.counted.Swap(true) {
		a.b.answer(a.s, a.of, &message{kind: kindCount, count: n})
	}
}

// Reply implements adapter.Ask. Node servers tell each other the first argument
// only.
func (a *ask) Reply(_ string, args []byte, attachments [][]byte) {
	if time.Now().Before(a.end) {
		a.b.answer(a.s, a.of, &message{kind: kindAck, value: first(args, attachments)})
	}
}

// Timeout implements adapter.Ask.
func (a *ask) Timeout() time.Duration { return a.timeout }

// fromPython takes what a manager of python-socketio published.
func (b *Bridge) fromPython(raw []byte) {
	m, err := b.decoder.python(raw)
	if err != nil {
		b.refuse(err)
		return
	}
	if m == nil {
		return
	}
	b.mu.RLock()
	s := b.spaces[m.namespace]
	b.mu.RUnlock()
	switch {
	case s == nil:
	case m.kind == kindBroadcast && b.collect(s, m, raw, "python"):
	case m.kind == kindBroadcast:
		b.deliver(s, m, nil)
	case m.sid != "":
		b.oldRequest(s, m)
	default: // the closing of a room
		b.failed(b.back.Leave(b.ctx, b.local(s, &m.to), b.in(s, m.rooms)))
	}
}
