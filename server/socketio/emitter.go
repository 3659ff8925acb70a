package socketio

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Emitter says whom a broadcast is for and how it goes out. It is a value:
// each method returns a changed copy, so an Emitter may be kept and shared.
type Emitter struct {
	ns       *Namespace
	target   adapter.Target // without Namespace
	class    adapter.Class
	volatile bool
	timeout  time.Duration
}

func (ns *Namespace) emitter() Emitter { return Emitter{ns: ns, class: adapter.Recoverable} }

// To addresses rooms; several reach each socket once. A socket's id is the
// room of that socket alone.
func (ns *Namespace) To(rooms ...string) Emitter { return ns.emitter().To(rooms...) }

// In is To.
func (ns *Namespace) In(rooms ...string) Emitter { return ns.emitter().To(rooms...) }

// Except leaves out the sockets of rooms.
func (ns *Namespace) Except(rooms ...string) Emitter { return ns.emitter().Except(rooms...) }

// All addresses every socket of the namespace.
func (ns *Namespace) All() Emitter { return ns.emitter() }

// Local addresses the sockets of this node only.
func (ns *Namespace) Local() Emitter { return ns.emitter().Local() }

// Volatile is [Emitter.Volatile] for every socket of the namespace.
func (ns *Namespace) Volatile() Emitter { return ns.emitter().Volatile() }

// Timeout is [Emitter.Timeout] for every socket of the namespace.
func (ns *Namespace) Timeout(d time.Duration) Emitter { return ns.emitter().Timeout(d) }

// Emit sends an event to every socket of the namespace: see [Emitter.Emit].
func (ns *Namespace) Emit(ctx context.Context, event string, args ...any) error {
	return ns.emitter().Emit(ctx, event, args...)
}

// To adds rooms to address.
func (e Emitter) To(rooms ...string) Emitter {
	e.target.Rooms = append(slices.Clip(e.target.Rooms), rooms...)
	return e
}

// In is To.
func (e Emitter) In(rooms ...string) Emitter { return e.To(rooms...) }

// Except adds rooms whose sockets are left out.
func (e Emitter) Except(rooms ...string) Emitter {
	e.target.Except = append(slices.Clip(e.target.Except), rooms...)
	return e
}

// Local keeps the broadcast on this node.
func (e Emitter) Local() Emitter { e.target.Local = true; return e }

// Ephemeral makes the event one that no recovery brings back.
func (e Emitter) Ephemeral() Emitter { e.class = adapter.Ephemeral; return e }

// Volatile lets the event be dropped for sockets that are busy. It implies
// Ephemeral.
func (e Emitter) Volatile() Emitter { e.volatile = true; return e.Ephemeral() }

// Compress is accepted for likeness with the reference server; it has no
// effect, since no transport here compresses single messages.
func (e Emitter) Compress(bool) Emitter { return e }

// Timeout bounds the wait of Request. Options.AckTimeout without it.
func (e Emitter) Timeout(d time.Duration) Emitter { e.timeout = d; return e }

// Emit sends an event. It returns once the event is published (its sockets get
// it afterwards), and blocks only while the adapter's queue is full. Events of
// one caller to one target arrive in the order of the calls.
func (e Emitter) Emit(ctx context.Context, event string, args ...any) error {
	ev, err := NewEvent(event, args...)
	if err != nil {
		return err
	}
	return e.EmitEvent(ctx, ev)
}

// EmitEvent is Emit of an event that is encoded already.
func (e Emitter) EmitEvent(ctx context.Context, ev adapter.Event) error {
	var errs []error
	for _, ns := range e.ns.targets() {
		errs = append(errs, ns.server.adapter.Emit(ctx, e.emit(ns, ev)))
	}
	return errors.Join(errs...)
}

func (e Emitter) emit(ns *Namespace, ev adapter.Event) adapter.Emit {
	return adapter.Emit{Target: e.at(ns), Event: ev, Class: e.class, Volatile: e.volatile}
}

// at is the target in one namespace.
func (e Emitter) at(ns *Namespace) adapter.Target {
	t := e.target
	t.Namespace = ns.name
	return t
}

// Request sends an event and collects every socket's acknowledgement, until
// all have answered or the timeout has passed. What came is returned without
// an error even when it is not complete: [adapter.Answers.Complete] tells.
func (e Emitter) Request(ctx context.Context, event string, args ...any) (adapter.Answers, error) {
	ev, err := NewEvent(event, args...)
	if err != nil {
		return adapter.Answers{}, err
	}
	timeout := e.timeout
	if timeout <= 0 {
		timeout = e.ns.server.options.AckTimeout
	}
	var all adapter.Answers
	for _, ns := range e.ns.targets() {
		emit := e.emit(ns, ev)
		emit.Class = adapter.Ephemeral // an event with an ack id is never replayed
		a, err := ns.server.adapter.Request(ctx, emit, timeout)
		all.Expected += a.Expected
		all.Replies = append(all.Replies, a.Replies...)
		all.Missing = append(all.Missing, a.Missing...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// FetchSockets describes the sockets of the target, on all nodes. missing
// names nodes that did not answer in the context's time.
func (e Emitter) FetchSockets(ctx context.Context) (sockets []adapter.SocketInfo, missing []string, err error) {
	for _, ns := range e.ns.targets() {
		s, m, err := ns.server.adapter.FetchSockets(ctx, e.at(ns))
		sockets, missing = append(sockets, s...), append(missing, m...)
		if err != nil {
			return sockets, missing, err
		}
	}
	return sockets, missing, nil
}

// SocketsJoin makes the target's sockets join rooms. It returns once the order
// is published; Options.MaxRooms does not apply.
func (e Emitter) SocketsJoin(ctx context.Context, rooms ...string) error {
	return e.each(func(ns *Namespace) error { return ns.server.adapter.SocketsJoin(ctx, e.at(ns), rooms) })
}

// SocketsLeave makes the target's sockets leave rooms.
func (e Emitter) SocketsLeave(ctx context.Context, rooms ...string) error {
	return e.each(func(ns *Namespace) error { return ns.server.adapter.SocketsLeave(ctx, e.at(ns), rooms) })
}

// DisconnectSockets ends the target's sockets, with transport true their whole
// connections.
func (e Emitter) DisconnectSockets(ctx context.Context, transport bool) error {
	return e.each(func(ns *Namespace) error { return ns.server.adapter.DisconnectSockets(ctx, e.at(ns), transport) })
}

func (e Emitter) each(f func(ns *Namespace) error) error {
	var errs []error
	for _, ns := range e.ns.targets() {
		errs = append(errs, f(ns))
	}
	return errors.Join(errs...)
}

// FetchSockets is [Emitter.FetchSockets] for the whole namespace.
func (ns *Namespace) FetchSockets(ctx context.Context) ([]adapter.SocketInfo, []string, error) {
	return ns.emitter().FetchSockets(ctx)
}

// SocketsJoin is [Emitter.SocketsJoin] for the whole namespace.
func (ns *Namespace) SocketsJoin(ctx context.Context, rooms ...string) error {
	return ns.emitter().SocketsJoin(ctx, rooms...)
}

// SocketsLeave is [Emitter.SocketsLeave] for the whole namespace.
func (ns *Namespace) SocketsLeave(ctx context.Context, rooms ...string) error {
	return ns.emitter().SocketsLeave(ctx, rooms...)
}

// DisconnectSockets is [Emitter.DisconnectSockets] for the whole namespace.
func (ns *Namespace) DisconnectSockets(ctx context.Context, transport bool) error {
	return ns.emitter().DisconnectSockets(ctx, transport)
}
