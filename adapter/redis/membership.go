package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// home is the place under which a socket's id can be reached: the cut that
// added it.
type home struct {
	socket adapter.Socket
	op     string
}

// Open implements adapter.Namespaces.
func (a *Adapter) Open(namespace string, r adapter.Receiver) {
	a.seq.Open(namespace, r)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.namespaces[namespace] = true
}

// CloseNamespace implements adapter.Namespaces.
func (a *Adapter) CloseNamespace(namespace string) {
	a.mu.Lock()
	delete(a.namespaces, namespace)
	a.mu.Unlock()
	a.seq.CloseNamespace(namespace)
}

func (a *Adapter) openNamespaces() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.namespaces))
}

// Add implements adapter.Membership.
func (a *Adapter) Add(ctx context.Context, namespace string, s adapter.Socket, session *adapter.Owner) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	op := a.newCut(namespace, s, session)
	op.add = true
	op.part(a.laneOf(namespace, s.ID()), "add").sid = true
	op.part(a.lanes[0], "add") // where events to everybody come
	op.after = func(l *lane, pos uint64, _ []string) { a.owned.begin(session, l.n, pos) }
	if _, err := op.run(ctx); err != nil {
		return a.outcome("add socket", err)
	}
	return nil
}

// Remove implements adapter.Membership.
func (a *Adapter) Remove(namespace string, s adapter.Socket) {
	a.seq.Push(roomindex.Func(func(q *roomindex.Sequencer) { a.removeSocket(q, namespace, s) }))
}

// removeSocket forgets a socket, here and in the store. Sequencer only.
func (a *Adapter) removeSocket(q *roomindex.Sequencer, namespace string, s adapter.Socket) {
	if n := q.Namespace(namespace); n != nil {
		n.Index.Remove(s)
	}
	name := fullName(namespace, s.ID())
	if h, ok := a.homes[name]; ok && h.socket == s {
		delete(a.homes, name)
		l := a.laneOf(namespace, s.ID())
		l.pipe.control(l.call(lua().forget, name, h.op))
	}
}

// fenceSocket ends a socket's transport. Sequencer only.
func (a *Adapter) fenceSocket(q *roomindex.Sequencer, namespace string, s adapter.Socket) {
	a.removeSocket(q, namespace, s)
	s.Fence()
}

func (a *Adapter) session(namespace string, s adapter.Socket) (*adapter.Owner, bool) {
	n := a.seq.Namespace(namespace)
	if n == nil {
		return nil, false
	}
	return n.Index.Session(s)
}

// Join implements adapter.Membership. A session's socket whose link is lost
// with the cut under way is fenced: its client recovers.
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
	op := a.newCut(namespace, s, session)
	op.hold, op.kill = hold, session != nil
	var first *lane
	if read != nil {
		first = a.laneOf(namespace, rooms[0])
		p := op.part(first, "read")
		p.rooms = []string{rooms[0]}
		p.tail = a.readArgs(*read)
	}
	op.spread(rooms, "join")
	if len(op.lanes) == 0 {
		op.part(a.lanes[0], "join") // nothing but its own id: still a cut
	}
	op.after = func(l *lane, pos uint64, rooms []string) {
		a.owned.join(session, rooms, pos)
		if session != nil {
			a.noteJoined(l, session, rooms, pos)
		}
	}
	got, err := op.run(ctx)
	if err != nil {
		err = a.outcome("join", err)
		if op.isHeld() {
			return &adapter.Cut{}, err
		}
		return nil, err
	}
	cut := &adapter.Cut{}
	for l, r := range got {
		cut.Position[l.n] = r.number(1)
	}
	if read == nil {
		return cut, nil
	}
	if cut.Read, err = first.slice(namespace, rooms[0], *read, got[first].list(4)); err != nil {
		op.withdraw()
		return cut, a.outcome("join", err)
	}
	return cut, nil
}

func (op *cutOp) isHeld() bool {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.held
}

// Leave implements adapter.Membership. The membership ends even when the store
// cannot be told, which is then said.
func (a *Adapter) Leave(ctx context.Context, namespace string, s adapter.Socket, rooms []string) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	session, ok := a.session(namespace, s)
	if !ok {
		return fmt.Errorf("leave: %w", adapter.ErrUnknownSocket)
	}
	leave := &roomindex.Leave{Namespace: namespace, Socket: s, Rooms: slices.Clone(rooms)}
	leave.Prepare()
	if !a.seq.Push(leave) {
		return adapter.ErrClosed
	}
	if err := leave.Wait(ctx); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	if session == nil {
		return nil
	}
	a.owned.leave(session, rooms)
	for l, part := range a.byLane(namespace, rooms) {
		a.owned.leaves(session, part, 1)
		v, err := l.pipe.do(ctx, &op{cmd: l.leaveCall(session, part)})
		if err = sessionOutcome(v, err); err != nil {
			// It may be done yet: not before what is behind it in the pipe.
			l.pipe.pushNow(pingOp(func() { a.owned.leaves(session, part, -1) }))
			return a.outcome("leave", err)
		}
		a.owned.leaves(session, part, -1)
	}
	return nil
}

func (l *lane) leaveCall(session *adapter.Owner, rooms []string) []any {
	args := []any{"leave", session.PID, "0", strconv.FormatUint(session.Token, 10)}
	for _, room := range rooms {
		args = append(args, room)
	}
	return l.call(lua().session, args...)
}

func (a *Adapter) byLane(namespace string, rooms []string) map[*lane][]string {
	out := make(map[*lane][]string, 1)
	for _, room := range rooms {
		l := a.laneOf(namespace, room)
		out[l] = append(out[l], room)
	}
	return out
}

// noteLeft takes rooms out of a session's record in a lane. done, when set, is
// called afterwards.
func (a *Adapter) noteLeft(l *lane, session *adapter.Owner, rooms []string, done func()) {
	if len(rooms) == 0 {
		if done != nil {
			done()
		}
		return
	}
	a.owned.leaves(session, rooms, 1)
	l.pipe.control(l.leaveCall(session, rooms))
	l.pipe.pushNow(pingOp(func() {
		a.owned.leaves(session, rooms, -1)
		if done != nil {
			done()
		}
	}))
}

// noteJoined writes a join again, behind the leaves of the same rooms that a cut has
// overtaken: what is in the pipe would take the room out of the session's record, and
// whoever recovers would not be in it.
func (a *Adapter) noteJoined(l *lane, session *adapter.Owner, rooms []string, pos uint64) {
	rooms = a.owned.overtaken(session, rooms)
	if len(rooms) == 0 {
		return
	}
	args := []any{"join", session.PID, l.hasPID(session.PID), session.Token, pos}
	for _, room := range rooms {
		args = append(args, room)
	}
	a.owned.joinAnd(session, rooms, pos, func() { l.pipe.control(l.call(lua().session, args...)) })
}

// Rooms implements adapter.Membership. A room that the socket was taken out of
// is listed until its session's record says so too.
func (a *Adapter) Rooms(namespace, socketID string) []string {
	n := a.seq.Namespace(namespace)
	if n == nil {
		return nil
	}
	rooms := n.Index.Rooms(socketID)
	a.mu.Lock()
	defer a.mu.Unlock()
	for room := range a.leaving[fullName(namespace, socketID)] {
		if !slices.Contains(rooms, room) {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// markLeaving notes rooms that a socket is being taken out of.
func (a *Adapter) markLeaving(name string, rooms []string, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if on {
		if a.leaving[name] == nil {
			a.leaving[name] = make(map[string]int)
		}
		for _, room := range rooms {
			a.leaving[name][room]++
		}
		return
	}
	for _, room := range rooms {
		if a.leaving[name][room]--; a.leaving[name][room] <= 0 {
			delete(a.leaving[name], room)
		}
	}
	if len(a.leaving[name]) == 0 {
		delete(a.leaving, name)
	}
}
