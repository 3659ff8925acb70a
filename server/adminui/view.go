package adminui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio"
)

// item is what a hook has seen.
type item struct {
	kind   kind
	socket *socketio.Socket
	args   any // of an event, as it is shown
	reason string
	at     time.Time
}

type kind uint8

const (
	connected kind = iota
	disconnected
	received
	sent
)

// Hooks adds to a Socket.IO server's hooks what development mode shows. Without
// it they are as they were.
func (u *UI) Hooks(h socketio.Hooks) socketio.Hooks {
	if !u.o.Development {
		return h
	}
	was := h
	h.Connected = func(s *socketio.Socket) {
		u.push(item{kind: connected, socket: s})
		if was.Connected != nil {
			was.Connected(s)
		}
	}
	h.Disconnected = func(s *socketio.Socket, reason socketio.DisconnectReason) {
		u.push(item{kind: disconnected, socket: s, reason: string(reason)})
		if was.Disconnected != nil {
			was.Disconnected(s, reason)
		}
	}
	h.Incoming = func(s *socketio.Socket, e *socketio.Incoming) {
		u.pushEvent(received, s, e.Event)
		if was.Incoming != nil {
			was.Incoming(s, e)
		}
	}
	h.Outgoing = func(s *socketio.Socket, e adapter.Event) {
		u.pushEvent(sent, s, e)
		if was.Outgoing != nil {
			was.Outgoing(s, e)
		}
	}
	return h
}

// pushEvent keeps what is shown of an event: not the event, whose bytes may be a
// part of much more. Events of the pages themselves would be told to the pages
// as events.
func (u *UI) pushEvent(k kind, s *socketio.Socket, e adapter.Event) {
	if !u.watching.Load() || s.Namespace() == u.ns {
		return
	}
	if !u.limit.Allow() {
		u.dropped()
		return
	}
	u.push(item{kind: k, socket: s, args: eventArgs(e)})
}

// push does not block. Nobody looks: nothing is kept.
func (u *UI) push(x item) {
	if !u.watching.Load() {
		return
	}
	x.at = time.Now()
	select {
	case u.queue <- x:
	default:
		u.dropped() // compare finds what it was of sockets
	}
}

// view is what pages have been told of this node's sockets. It belongs to the
// worker, and is made when somebody begins to look.
type view struct {
	u      *UI
	told   map[*socketio.Socket]*told
	overly bool // too many sockets: none is followed
}

type told struct {
	rooms     []string
	transport string
	data      string
}

// newView takes what is there for told: pages ask for it by themselves.
func newView(u *UI) view {
	for len(u.queue) > 0 {
		<-u.queue // of the last time that somebody looked
	}
	v := view{u: u, told: make(map[*socketio.Socket]*told)}
	list := u.server.Sockets()
	if v.tooMany(len(list)) {
		return v
	}
	for _, s := range list {
		v.told[s] = now(s)
	}
	return v
}

func (v *view) tooMany(n int) bool {
	if n > v.u.o.MaxSockets {
		if !v.overly {
			v.u.o.Logger.Warn("admin ui: too many sockets to follow", "sockets", n, "most", v.u.o.MaxSockets)
		}
		v.overly = true
		clear(v.told)
	}
	return v.overly
}

func now(s *socketio.Socket) *told {
	data, _ := socketio.Data[json.RawMessage](s)
	return &told{s.Rooms(), s.Transport(), string(data)}
}

// date is how JavaScript writes a time in JSON.
func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// take tells pages what a hook has seen.
func (v *view) take(ctx context.Context, x item) {
	nsp, id := x.socket.Namespace().Name(), x.socket.ID()
	switch x.kind {
	case connected:
		v.came(ctx, x.socket, x.at)
	case disconnected:
		v.went(ctx, x.socket, x.reason, x.at)
	case received, sent:
		name := "event_received"
		if x.kind == sent {
			name = "event_sent"
		}
		v.u.tell(ctx, name, nsp, id, x.args, date(x.at))
	}
}

// maxShown bounds the arguments of an event that pages are shown, in bytes.
const maxShown = 4 << 10

// eventArgs is an event as the page shows it: [name, ...arguments]. The bytes of
// attachments are left out, and arguments that are too large.
func eventArgs(e adapter.Event) any {
	if len(e.Data) > maxShown {
		return []any{e.Name, "(too large to be shown)"}
	}
	if len(e.Attachments) == 0 {
		return json.RawMessage(bytes.Clone(e.Data))
	}
	var args any
	if json.Unmarshal(e.Data, &args) != nil {
		return []any{e.Name}
	}
	return withoutBinary(args, e.Attachments)
}

// withoutBinary says how long an attachment is where it belongs. The codec has
// bounded the depth.
func withoutBinary(v any, attachments [][]byte) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = withoutBinary(v[i], attachments)
		}
	case map[string]any:
		if n, ok := v["num"].(float64); ok && v["_placeholder"] == true && n >= 0 && int(n) < len(attachments) {
			return fmt.Sprintf("(%d bytes)", len(attachments[int(n)]))
		}
		for k := range v {
			v[k] = withoutBinary(v[k], attachments)
		}
	}
	return v
}

func (v *view) came(ctx context.Context, s *socketio.Socket, at time.Time) {
	if v.overly || v.told[s] != nil || v.tooMany(len(v.told)+1) {
		return
	}
	t := now(s)
	info := s.Info()
	info.Rooms = t.rooms
	v.told[s] = t
	v.u.tell(ctx, "socket_connected", show(s.Namespace().Name(), info), date(at))
}

func (v *view) went(ctx context.Context, s *socketio.Socket, reason string, at time.Time) {
	if v.told[s] == nil {
		return
	}
	delete(v.told, s)
	v.u.tell(ctx, "socket_disconnected", s.Namespace().Name(), s.ID(), reason, date(at))
}

// compare tells pages of rooms, data and transports that have changed, and of
// sockets that no hook was heard of. The fleet can put sockets into rooms, so
// that looking is the one way that misses nothing.
func (v *view) compare(ctx context.Context) {
	if v.overly {
		return
	}
	list := v.u.server.Sockets()
	if v.tooMany(len(list)) {
		return
	}
	at := time.Now()
	here := make(map[*socketio.Socket]bool, len(list))
	for _, s := range list {
		here[s] = true
		was := v.told[s]
		if was == nil {
			v.came(ctx, s, at)
			continue
		}
		is := now(s)
		v.told[s] = is
		nsp, id := s.Namespace().Name(), s.ID()
		for _, room := range is.rooms {
			if !slices.Contains(was.rooms, room) {
				v.u.tell(ctx, "room_joined", nsp, room, id, date(at))
			}
		}
		for _, room := range was.rooms {
			if !slices.Contains(is.rooms, room) {
				v.u.tell(ctx, "room_left", nsp, room, id, date(at))
			}
		}
		update := map[string]any{"id": id, "nsp": nsp}
		if is.transport != was.transport {
			update["transport"] = is.transport
		}
		if is.data != was.data {
			update["data"] = json.RawMessage(is.data)
		}
		if len(update) > 2 {
			v.u.tell(ctx, "socket_updated", update)
		}
	}
	for s := range v.told {
		if !here[s] {
			v.went(ctx, s, "", at)
		}
	}
}
