package redis

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/redis/official"
	"github.com/antchat/antchat/adapter/roomindex"
)

// Official says how a node takes part in what the official Socket.IO packages
// publish on the same Redis. Its Options are the bridge's; a Fleet, Keys, Node
// or Logger that is not set follows from the adapter's own Options.
type Official struct {
	official.Options
	// Render makes what the Node servers' sockets are sent of an entry that
	// this node has appended; not ok keeps it to the fleet. When nil the event
	// is sent as it was appended.
	Render func(d *adapter.Delivery) (e adapter.Event, ok bool)
}

// among is a node of the fleet that is also a server among Node servers, or
// hears emitters. What it does to the fleet, the Adapter does; what the Node
// servers must know of it, the bridge tells them, once: the other nodes of the
// fleet hear of it through the Adapter and leave the bridge's word alone. What
// Node servers say reaches the local sockets through here.
//
// An event of this fleet reaches its own sockets as the Adapter promises, and
// the sockets of the Node servers as those promise each other: once, or not at
// all when Redis is away.
type among struct {
	*Adapter
	bridge *official.Bridge
	client goredis.UniversalClient
	render func(d *adapter.Delivery) (adapter.Event, bool)
	speaks bool // there are Node servers

	close    sync.Once
	closed   chan struct{} // when the bridge is closed
	standing atomic.Bool   // the bridge has heard everything at some time
}

// OpenOfficial is Open for a node that takes part: see [Official].
func OpenOfficial(o Options, f Official) (adapter.Adapter, error) {
	if o.Prefix == "" {
		def(&f.Fleet, "antchat")
	} else {
		sum := sha256.Sum256([]byte(o.Prefix))
		def(&f.Fleet, "antchat-"+hex.EncodeToString(sum[:6]))
	}
	def(&f.Keys, "ac1:"+o.Prefix+":official:")
	if f.Logger == nil {
		f.Logger = o.Logger
	}
	m := &among{render: f.Render, speaks: f.Mode != official.Apart, closed: make(chan struct{})}
	var rooms func(namespace, room string, open bool)
	if f.Mode >= official.Dynamic {
		rooms = m.room
	}
	var err error
	if m.Adapter, err = openNode(o, rooms); err != nil {
		return nil, err
	}
	def(&f.Node, m.NodeID())
	if f.Append != nil {
		f.Append = heardFirst(f.Append)
	}
	m.client = m.conn.universal()
	if m.bridge, err = official.Open(m.client, f.Options, (*localHalf)(m.Adapter)); err != nil {
		_ = m.client.Close()
		_ = m.Adapter.Close(context.Background()) // bounded by Timeout
		return nil, fmt.Errorf("redis: %w", err)
	}
	return m, nil
}

// room follows the rooms of the local sockets. On the sequencer.
func (m *among) room(namespace, room string, open bool) {
	if open {
		m.bridge.OpenRoom(namespace, room)
	} else {
		m.bridge.CloseRoom(namespace, room)
	}
}

// Open implements adapter.Namespaces.
func (m *among) Open(namespace string, r adapter.Receiver) {
	m.Adapter.Open(namespace, r)
	m.bridge.Add(namespace)
}

// CloseNamespace implements adapter.Namespaces.
func (m *among) CloseNamespace(namespace string) {
	m.bridge.Remove(namespace)
	m.Adapter.CloseNamespace(namespace)
}

// Status implements adapter.Adapter. A node is not ready before it hears the
// others for the first time; later its own link says what Redis is like.
func (m *among) Status() adapter.Status {
	s := m.Adapter.Status()
	if s.Ready && !m.standing.Load() {
		if !m.bridge.Standing() {
			return adapter.Status{Reason: "redis: the channels of the official packages are not subscribed to yet"}
		}
		m.standing.Store(true)
	}
	return s
}

// Close implements adapter.Adapter.
func (m *among) Close(ctx context.Context) error {
	m.close.Do(func() {
		go func() {
			defer close(m.closed)
			m.bridge.Close()
			_ = m.client.Close()
		}()
	})
	select {
	case <-m.closed:
	case <-ctx.Done():
		return fmt.Errorf("redis: close: %w", context.Cause(ctx))
	}
	return m.Adapter.Close(ctx)
}

// Append implements adapter.Log. A repetition is not told again.
func (m *among) Append(ctx context.Context, e adapter.Append) (adapter.Appended, error) {
	got, err := m.Adapter.Append(ctx, e)
	if err != nil || got.Duplicate || !m.speaks || heard(ctx) {
		return got, err
	}
	d := adapter.Delivery{
		Namespace: e.Namespace, Room: e.Room, Event: e.Event, Class: adapter.Logged,
		Epoch: got.Epoch, Seq: got.Seq, Time: got.Time, Lane: got.Lane, Pos: got.Pos,
		Sender: e.Sender, User: e.User, ID: e.ID,
	}
	event, ok := d.Event, true
	if m.render != nil {
		event, ok = m.render(&d)
	}
	if ok {
		m.tell(adapter.Emit{Target: adapter.Target{Namespace: e.Namespace, Rooms: []string{e.Room}}, Event: event})
	}
	return got, nil
}

// tell publishes to the Node servers. What fails is counted by the bridge: the
// fleet has had it, and the caller has nothing to repeat.
func (m *among) tell(e adapter.Emit) {
	if err := m.bridge.Emit(e); err != nil {
		m.note("official formats: emit", err)
	}
}

// Emit implements adapter.Broadcaster.
func (m *among) Emit(ctx context.Context, e adapter.Emit) error {
	if err := m.Adapter.Emit(ctx, e); err != nil {
		return err
	}
	if m.speaks && !e.Local {
		m.tell(e)
	}
	return nil
}

// apart is the name under which Node servers are missing when they could not
// even be asked.
const apart = "node-servers"

// both runs a question to the fleet and one to the Node servers at the same
// time, unless it is for this node alone.
func (m *among) both(local bool, fleet, others func()) {
	if local || !m.speaks {
		fleet()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		others()
	}()
	fleet()
	<-done
}

// missed adds what the Node servers left open to the missing nodes.
func (m *among) missed(missing, others []string, err error) []string {
	if err != nil {
		m.note("official formats: ask", err)
		others = append(others, apart)
	}
	return append(missing, others...)
}

// Request implements adapter.Broadcaster.
func (m *among) Request(ctx context.Context, e adapter.Emit, timeout time.Duration) (out adapter.Answers, err error) {
	var others adapter.Answers
	var failed error
	m.both(e.Local,
		func() { out, err = m.Adapter.Request(ctx, e, timeout) },
		func() { others, failed = m.bridge.Request(ctx, e, timeout) })
	out.Expected += others.Expected
	out.Replies = append(out.Replies, others.Replies...)
	out.Missing = m.missed(out.Missing, others.Missing, failed)
	return out, err
}

// FetchSockets implements adapter.Fleet.
func (m *among) FetchSockets(ctx context.Context, t adapter.Target) (list []adapter.SocketInfo, missing []string, err error) {
	var others []adapter.SocketInfo
	var silent []string
	var failed error
	m.both(t.Local,
		func() { list, missing, err = m.Adapter.FetchSockets(ctx, t) },
		func() { others, silent, failed = m.bridge.FetchSockets(ctx, t) })
	if err != nil {
		return nil, nil, err
	}
	return append(list, others...), m.missed(missing, silent, failed), nil
}

// ServerSideRequest implements adapter.Fleet.
func (m *among) ServerSideRequest(ctx context.Context, namespace string, e adapter.Event) (list []adapter.NodeAnswer, missing []string, err error) {
	var others []adapter.NodeAnswer
	var silent []string
	var failed error
	m.both(false,
		func() { list, missing, err = m.Adapter.ServerSideRequest(ctx, namespace, e) },
		func() { others, silent, failed = m.bridge.ServerSideRequest(ctx, namespace, e) })
	if err != nil {
		return nil, nil, err
	}
	return append(list, others...), m.missed(missing, silent, failed), nil
}

// ServerSideEmit implements adapter.Fleet.
func (m *among) ServerSideEmit(ctx context.Context, namespace string, e adapter.Event) error {
	return m.order(m.Adapter.ServerSideEmit(ctx, namespace, e), false, func() error { return m.bridge.ServerSideEmit(namespace, e) })
}

// SocketsJoin implements adapter.Fleet.
func (m *among) SocketsJoin(ctx context.Context, t adapter.Target, rooms []string) error {
	return m.order(m.Adapter.SocketsJoin(ctx, t, rooms), t.Local, func() error { return m.bridge.SocketsJoin(t, rooms) })
}

// SocketsLeave implements adapter.Fleet.
func (m *among) SocketsLeave(ctx context.Context, t adapter.Target, rooms []string) error {
	return m.order(m.Adapter.SocketsLeave(ctx, t, rooms), t.Local, func() error { return m.bridge.SocketsLeave(t, rooms) })
}

// DisconnectSockets implements adapter.Fleet.
func (m *among) DisconnectSockets(ctx context.Context, t adapter.Target, transport bool) error {
	return m.order(m.Adapter.DisconnectSockets(ctx, t, transport), t.Local, func() error { return m.bridge.DisconnectSockets(t, transport) })
}

// order passes on to the Node servers what the fleet was told without an error.
func (m *among) order(err error, local bool, others func() error) error {
	if err != nil || local || !m.speaks {
		return err
	}
	if err := others(); err != nil {
		m.note("official formats: order", err)
	}
	return nil
}

// heardKey marks the context of an append that Node servers have heard from the
// emitter itself. It travels in the context since between the bridge's append
// and the adapter's stands the application.
type heardKey struct{}

func heardFirst(f func(context.Context, official.Message) error) func(context.Context, official.Message) error {
	return func(ctx context.Context, m official.Message) error {
		if m.Heard {
			ctx = context.WithValue(ctx, heardKey{}, true)
		}
		return f(ctx, m)
	}
}

func heard(ctx context.Context) bool { return ctx.Value(heardKey{}) != nil }

// localHalf is the bridge's view of a node: its own sockets.
type localHalf Adapter

func (h *localHalf) core() *Adapter { return (*Adapter)(h) }

// Emit implements official.Backend.
func (h *localHalf) Emit(ctx context.Context, e adapter.Emit, ask adapter.Ask) error {
	a := h.core()
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	if err := a.seq.Admit(ctx); err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	ok := a.seq.Push(&roomindex.Event{
		Target: e.Target,
		Delivery: adapter.Delivery{
			Namespace: e.Namespace, Event: e.Event, Class: adapter.Ephemeral, Volatile: e.Volatile, Ask: ask,
		},
	})
	if !ok {
		return adapter.ErrClosed
	}
	return nil
}

// Sockets implements official.Backend.
func (h *localHalf) Sockets(ctx context.Context, t adapter.Target) ([]adapter.SocketInfo, error) {
	list, _, err := h.core().FetchSockets(ctx, t) // bounds itself
	return list, err
}

// Join implements official.Backend. It waits for the rooms' channels, so that
// what the same server says next to the rooms is heard; not for ever, since
// nothing else is heard meanwhile.
func (h *localHalf) Join(ctx context.Context, t adapter.Target, rooms []string) error {
	ctx, cancel := h.core().bounded(ctx)
	defer cancel()
	return h.core().SocketsJoin(ctx, t, rooms)
}

// Leave implements official.Backend.
func (h *localHalf) Leave(ctx context.Context, t adapter.Target, rooms []string) error {
	ctx, cancel := h.core().bounded(ctx)
	defer cancel()
	return h.core().SocketsLeave(ctx, t, rooms)
}

// Disconnect implements official.Backend.
func (h *localHalf) Disconnect(ctx context.Context, t adapter.Target, transport bool) error {
	ctx, cancel := h.core().bounded(ctx)
	defer cancel()
	return h.core().DisconnectSockets(ctx, t, transport)
}

// ServerEvent implements official.Backend.
func (h *localHalf) ServerEvent(namespace string, e adapter.Event, answer func([]byte)) {
	h.core().seq.Push(&roomindex.ServerEvent{Namespace: namespace, Event: e, Answer: answer})
}

// Socket implements official.Backend.
func (h *localHalf) Socket(namespace, id string) bool {
	n := h.core().seq.Namespace(namespace)
	return n != nil && n.Index.Known(id)
}

// Room implements official.Backend.
func (h *localHalf) Room(namespace, room string) bool {
	n := h.core().seq.Namespace(namespace)
	return n != nil && (n.Index.RoomLen(room) > 0 || n.Index.Known(room))
}
