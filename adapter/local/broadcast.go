package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// ErrClass: an Emit asked for a class that only Append makes.
var ErrClass = errors.New("local: only Append logs events")

// Emit implements adapter.Broadcaster.
func (a *Adapter) Emit(ctx context.Context, e adapter.Emit) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if e.Class > adapter.Recoverable {
		return ErrClass
	}
	ev := &roomindex.Event{Target: e.Target, Delivery: adapter.Delivery{
		Namespace: e.Namespace, Event: e.Event, Class: e.Class, Volatile: e.Volatile, Trace: e.Trace,
	}}
	keep := e.Class == adapter.Recoverable && !e.Volatile
	if e.Volatile {
		ev.Delivery.Class = adapter.Ephemeral
	}
	if err := a.seq.Admit(ctx); err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	nowMilli := a.nowMilli()
	if keep {
		if size := e.Event.Size(); size > a.o.MaxEntry {
			return fmt.Errorf("emit: event of %d bytes, %d are allowed: %w", size, a.o.MaxEntry, adapter.ErrFull)
		}
		if err := a.loose.declare(ctx, ringKey(&e.Target), nowMilli, a.committer.sync); err != nil {
			return fmt.Errorf("emit: %w", err)
		}
	}
	if err := a.stream.emit(ctx, ev, keep, nowMilli); err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	return nil
}

// Request implements adapter.Broadcaster.
func (a *Adapter) Request(ctx context.Context, e adapter.Emit, timeout time.Duration) (adapter.Answers, error) {
	if err := a.usable(ctx); err != nil {
		return adapter.Answers{}, err
	}
	if err := a.seq.Admit(ctx); err != nil {
		return adapter.Answers{}, fmt.Errorf("request: %w", err)
	}
	q := &ask{node: a.node, timeout: timeout, complete: make(chan struct{})}
	// Events that want an answer are never replayed, so they take no place
	// among the recoverable ones (DELIVERY, "Recovery").
	ev := &roomindex.Event{Target: e.Target, Delivery: adapter.Delivery{
		Namespace: e.Namespace, Event: e.Event, Class: adapter.Ephemeral, Volatile: e.Volatile, Ask: q,
	}}
	if err := a.stream.emit(ctx, ev, false, 0); err != nil {
		return adapter.Answers{}, fmt.Errorf("request: %w", err)
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var err error
	select {
	case <-q.complete:
	case <-timer.C:
	case <-a.stop:
		err = adapter.ErrClosed
	case <-ctx.Done():
		err = fmt.Errorf("request: %w", context.Cause(ctx))
	}
	return q.take(), err
}

// ask collects the acknowledgements of one broadcast.
type ask struct {
	node     string
	timeout  time.Duration
	complete chan struct{}

	mu       sync.Mutex
	said     bool // how many are expected
	ended    bool
	expected int
	replies  []adapter.Answer
	replied  map[string]bool
}

func (q *ask) Timeout() time.Duration { return q.timeout }

func (q *ask) Expect(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.said {
		q.said, q.expected = true, n
		q.checkLocked()
	}
}

func (q *ask) Reply(socketID string, args []byte, attachments [][]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended || !q.said || len(q.replies) >= q.expected || q.replied[socketID] {
		return // too late, unasked or repeated
	}
	if q.replied == nil {
		q.replied = make(map[string]bool)
	}
	q.replied[socketID] = true
	q.replies = append(q.replies, adapter.Answer{SocketID: socketID, Node: q.node, Args: args, Attachments: attachments})
	q.checkLocked()
}

func (q *ask) checkLocked() {
	if !q.ended && len(q.replies) >= q.expected {
		q.ended = true
		close(q.complete)
	}
}

func (q *ask) take() adapter.Answers {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	out := adapter.Answers{Expected: q.expected, Replies: q.replies}
	if !q.said {
		out.Missing = []string{q.node}
	}
	return out
}
