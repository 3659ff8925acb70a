package local

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

func fenceOf(namespace string) *roomindex.Fence { return &roomindex.Fence{Namespace: namespace} }

// Open implements adapter.Namespaces.
func (a *Adapter) Open(namespace string, r adapter.Receiver) { a.seq.Open(namespace, r) }

// CloseNamespace implements adapter.Namespaces.
func (a *Adapter) CloseNamespace(namespace string) { a.seq.CloseNamespace(namespace) }

// Add implements adapter.Membership.
func (a *Adapter) Add(ctx context.Context, namespace string, s adapter.Socket, session *adapter.Owner) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	c := &roomindex.Cut{Namespace: namespace, Socket: s, Add: true, Session: session}
	_, err := a.passCut(ctx, c, session, func(pos uint64) error {
		c.After = func([]string) { a.sessions.begin(session, pos) }
		return nil
	})
	return err
}

// passCut pushes a cut and waits for it. The owner is compared where the cut
// takes its position and again where it passes.
func (a *Adapter) passCut(ctx context.Context, c *roomindex.Cut, o *adapter.Owner, look func(pos uint64) error) (uint64, error) {
	c.Prepare()
	c.Before = func() error { return a.sessions.check(o) }
	pos, err := a.stream.cut(c, func(pos uint64) error {
		if err := a.sessions.check(o); err != nil {
			return err
		}
		return look(pos)
	})
	if err != nil {
		return 0, err
	}
	return pos, c.Wait(ctx)
}

// Remove implements adapter.Membership.
func (a *Adapter) Remove(namespace string, s adapter.Socket) {
	a.seq.Push(&roomindex.Remove{Namespace: namespace, Socket: s})
}

// Join implements adapter.Membership.
func (a *Adapter) Join(ctx context.Context, namespace string, s adapter.Socket, rooms []string, hold bool, read *adapter.LogRead) (*adapter.Cut, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	if read != nil && len(rooms) == 0 {
		return nil, fmt.Errorf("join: a read needs a room: %w", adapter.ErrUnknownSocket)
	}
	session, ok := a.session(namespace, s)
	if !ok {
		return nil, fmt.Errorf("join: %w", adapter.ErrUnknownSocket)
	}
	c := &roomindex.Cut{Namespace: namespace, Socket: s, Rooms: slices.Clone(rooms), Hold: hold}
	var v view
	pos, err := a.passCut(ctx, c, session, func(pos uint64) error {
		if read != nil {
			v = a.stream.viewLocked(roomKey{namespace, rooms[0]})
		}
		c.After = func(joined []string) { a.sessions.join(session, joined, pos) }
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	cut := &adapter.Cut{Position: adapter.Position{pos}}
	if read == nil {
		return cut, nil
	}
	cut.Read, err = a.read(v, namespace, rooms[0], *read)
	if err != nil {
		// The membership is taken back; the hold cannot be, so the cut says
		// that there was one.
		undo := a.leave(context.WithoutCancel(ctx), namespace, s, session, c.Joined)
		return cut, fmt.Errorf("join: %w", errors.Join(err, undo))
	}
	return cut, nil
}

func (a *Adapter) session(namespace string, s adapter.Socket) (*adapter.Owner, bool) {
	n := a.seq.Namespace(namespace)
	if n == nil {
		return nil, false
	}
	return n.Index.Session(s)
}

// Leave implements adapter.Membership.
func (a *Adapter) Leave(ctx context.Context, namespace string, s adapter.Socket, rooms []string) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	session, ok := a.session(namespace, s)
	if !ok {
		return fmt.Errorf("leave: %w", adapter.ErrUnknownSocket)
	}
	if err := a.leave(ctx, namespace, s, session, slices.Clone(rooms)); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}

func (a *Adapter) leave(ctx context.Context, namespace string, s adapter.Socket, session *adapter.Owner, rooms []string) error {
	l := &roomindex.Leave{Namespace: namespace, Socket: s, Rooms: rooms}
	l.Prepare()
	l.Before = func() error { return a.sessions.check(session) }
	l.After = func([]string) { a.sessions.leave(session, rooms) }
	if _, err := a.stream.cut(l, nil); err != nil {
		return err
	}
	return l.Wait(ctx)
}

// Rooms implements adapter.Membership.
func (a *Adapter) Rooms(namespace, socketID string) []string {
	if n := a.seq.Namespace(namespace); n != nil {
		return n.Index.Rooms(socketID)
	}
	return nil
}
