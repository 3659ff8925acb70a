package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// errLink: the link was lost before a cut's marker came. Nothing of the cut
// was installed in that lane.
var errLink = errors.New("the link was lost")

// cutOp is one attempt at a cut, in one or several lanes (DELIVERY, "Cut").
// Each lane's script publishes a marker; where it comes on the link the
// membership begins. An attempt that fails is withdrawn whole.
type cutOp struct {
	// Immutable once begun.
	a         *Adapter
	id        string
	namespace string
	socket    adapter.Socket // nil: only the rooms' heads are wanted
	session   *adapter.Owner
	add, hold bool
	// kill: a lost link ends the socket's transport, for its session's record
	// may say more than it was sent.
	kill  bool
	lanes map[*lane]*cutPart
	// after runs on the sequencer's goroutine when a lane's part was
	// installed.
	after func(l *lane, pos uint64, rooms []string)

	// Owned by the sequencer.
	passed map[*lane]bool
	joined []string
	added  bool
	over   bool // withdrawn or failed: later markers have no effect

	mu   sync.Mutex
	held bool
	err  error
	done chan struct{} // closed when all markers have passed, or at the first failure
}

// cutPart is a cut's part in one lane.
type cutPart struct {
	rooms []string
	mode  string
	tail  []any // further arguments of the script
	sid   bool  // this lane is the socket's own
}

func (a *Adapter) newCut(namespace string, s adapter.Socket, session *adapter.Owner) *cutOp {
	return &cutOp{a: a, namespace: namespace, socket: s, session: session, lanes: make(map[*lane]*cutPart)}
}

// part is the op's part in a lane, made at need.
func (op *cutOp) part(l *lane, mode string) *cutPart {
	p := op.lanes[l]
	if p == nil {
		p = &cutPart{mode: mode}
		op.lanes[l] = p
	}
	return p
}

// spread puts rooms into the parts of their lanes.
func (op *cutOp) spread(rooms []string, mode string) {
	for _, room := range rooms {
		if op.socket != nil && room == op.socket.ID() {
			continue
		}
		p := op.part(op.a.laneOf(op.namespace, room), mode)
		if !slices.Contains(p.rooms, room) {
			p.rooms = append(p.rooms, room)
		}
	}
}

func (op *cutOp) fail(err error) {
	op.mu.Lock()
	defer op.mu.Unlock()
	select {
	case <-op.done:
	default:
		op.err = err
		close(op.done)
	}
}

// linkLost is called with the lane's lock held, for a cut whose marker has not
// come.
func (op *cutOp) linkLost(l *lane) {
	op.fail(errLink)
	if op.kill {
		// In the sequencer's order, so before anything that is repaired.
		l.push(func(q *roomindex.Sequencer) { op.a.fenceSocket(q, op.namespace, op.socket) })
	}
}

// install makes the cut's part of a lane count.
func (op *cutOp) install(q *roomindex.Sequencer, l *lane, pos uint64) {
	q.Advance(l.n, pos)
	if op.over {
		return
	}
	if op.socket != nil {
		n := q.Namespace(op.namespace)
		if n == nil || !op.add && !n.Index.Has(op.socket) {
			op.over = true
			op.fail(adapter.ErrUnknownSocket)
			return
		}
		if op.add && !op.added {
			op.added = true
			if old := n.Index.Add(op.socket, op.session); old != nil {
				old.Fence()
			}
			op.a.homes[fullName(op.namespace, op.socket.ID())] = home{op.socket, op.id}
			if len(op.lanes) > 1 {
				op.a.partial = append(op.a.partial, op)
			}
		}
		joined, _ := n.Index.Join(op.socket, op.lanes[l].rooms)
		op.joined = append(op.joined, joined...)
		if op.hold {
			op.mu.Lock()
			hold := !op.held
			op.held = true
			op.mu.Unlock()
			if hold {
				op.socket.Hold()
			}
		}
	}
	if op.after != nil {
		op.after(l, pos, op.lanes[l].rooms)
	}
	op.passed[l] = true
	if len(op.passed) == len(op.lanes) {
		op.over = true
		op.settle()
		op.fail(nil)
	}
}

// settle ends the op's part in the sequencer's own state.
func (op *cutOp) settle() {
	op.a.partial = slices.DeleteFunc(op.a.partial, func(x *cutOp) bool { return x == op })
}

// withdraw takes back what was installed and waits until that has passed.
func (op *cutOp) withdraw() {
	for l := range op.lanes {
		l.mu.Lock()
		delete(l.ops, op.id)
		l.mu.Unlock()
	}
	passed := make(chan struct{})
	ok := op.a.seq.Push(roomindex.Func(func(q *roomindex.Sequencer) {
		defer close(passed)
		op.over = true
		op.settle()
		n := q.Namespace(op.namespace)
		if n == nil || op.socket == nil {
			return
		}
		if op.added {
			op.a.removeSocket(q, op.namespace, op.socket)
		} else {
			n.Index.Leave(op.socket, op.joined)
			op.a.owned.leave(op.session, op.joined)
		}
	}))
	if ok {
		<-passed
	}
	if op.session != nil && !op.add {
		// The scripts may have noted rooms that nobody was told of.
		for l, p := range op.lanes {
			rooms := slices.DeleteFunc(slices.Clone(p.rooms), func(room string) bool {
				return op.a.owned.in(op.session.PID, room)
			})
			op.a.noteLeft(l, op.session, rooms, nil)
		}
	}
}

// cutAnswer is what a lane's script said.
type cutAnswer struct {
	lane  *lane
	reply reply
	err   error
}

// try makes one attempt. All answers are in and all markers have passed when
// it returns nil.
func (op *cutOp) try(ctx context.Context) (map[*lane]reply, error) {
	op.id = op.a.nextID()
	op.done = make(chan struct{})
	op.passed = make(map[*lane]bool, len(op.lanes))
	op.joined, op.added, op.over, op.err = nil, false, false, nil
	for l, p := range op.lanes {
		release, err := l.want(ctx, op.namespace, p.rooms)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	op.a.track(op, true)
	defer op.a.track(op, false)
	for l := range op.lanes {
		l.mu.Lock()
		live := l.state == linkLive
		if live {
			l.ops[op.id] = op
		}
		l.mu.Unlock()
		if !live {
			op.withdraw()
			return nil, errLink
		}
	}
	answers := make(chan cutAnswer, len(op.lanes))
	for l, p := range op.lanes {
		args := op.args(l, p)
		if len(op.lanes) == 1 {
			v, err := op.ask(ctx, l, args)
			answers <- cutAnswer{l, v, err}
			break
		}
		op.a.spawn(func() {
			v, err := op.ask(ctx, l, args)
			answers <- cutAnswer{l, v, err}
		})
	}
	got := make(map[*lane]reply, len(op.lanes))
	done := op.done
	for len(got) < len(op.lanes) {
		select {
		case a := <-answers:
			if a.err != nil {
				op.withdraw()
				return nil, a.err
			}
			got[a.lane] = a.reply
		case <-done:
			if op.err != nil {
				op.withdraw()
				return nil, op.err
			}
			done = nil // the markers were faster
		case <-ctx.Done():
			op.withdraw()
			return nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, context.Cause(ctx))
		case <-op.a.ctx.Done():
			op.withdraw()
			return nil, adapter.ErrClosed
		}
	}
	select {
	case <-op.done:
		if op.err != nil {
			op.withdraw()
			return nil, op.err
		}
		return got, nil
	case <-ctx.Done():
		op.withdraw()
		return nil, fmt.Errorf("wait for the marker: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
	case <-op.a.ctx.Done():
		op.withdraw()
		return nil, adapter.ErrClosed
	}
}

func (op *cutOp) ask(ctx context.Context, l *lane, args []any) (reply, error) {
	life := op.a.incarnation()
	v, err := l.eval(ctx, false, lua().cut, args...)
	if err != nil {
		return nil, err
	}
	r, err := asReply(v)
	if err != nil {
		return nil, err
	}
	switch r.text(0) {
	case "ok":
		return r, nil
	case "dead":
		op.a.reaped(life)
		return nil, adapter.ErrFenced
	case "fenced":
		return nil, adapter.ErrFenced
	case "much":
		return nil, fmt.Errorf("too much was missed: %w", adapter.ErrUnrecoverable)
	case "trimmed":
		return nil, fmt.Errorf("missed events were trimmed away: %w", adapter.ErrUnrecoverable)
	}
	return nil, fmt.Errorf("the session is gone: %w", adapter.ErrUnrecoverable)
}

func (op *cutOp) args(l *lane, p *cutPart) []any {
	pid, token := "", "0"
	if op.session != nil {
		pid, token = op.session.PID, strconv.FormatUint(op.session.Token, 10)
	}
	sid, ns := "", ""
	if p.sid {
		sid = fullName(op.namespace, op.socket.ID())
	}
	if l.n == 0 {
		ns = op.namespace
	}
	args := []any{op.a.node, op.id, pid, token, p.mode, sid, ns, len(p.rooms)}
	for _, room := range p.rooms {
		fresh := "1"
		if op.a.owned.in(pid, room) {
			fresh = "0"
		}
		args = append(args, fullName(op.namespace, room), room, fresh)
	}
	return append(args, p.tail...)
}

// run tries until it succeeds, or fails for good. A lost link is tried again,
// unless it ends the socket.
func (op *cutOp) run(ctx context.Context) (map[*lane]reply, error) {
	ctx, cancel := context.WithTimeout(ctx, op.a.o.Timeout)
	defer cancel()
	for {
		got, err := op.try(ctx)
		if errors.Is(err, errLink) {
			if !op.kill && ctx.Err() == nil {
				continue
			}
			return nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
		}
		return got, err
	}
}
