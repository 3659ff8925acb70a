package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
)

// request is an append that waits for its commit.
type request struct {
	a    adapter.Append
	key  keyHash
	done chan answer // capacity 1
}

type answer struct {
	a   adapter.Appended
	err error
}

// committer is the one goroutine that writes to the store. While it syncs a
// batch, the next one collects.
type committer struct {
	a     *Adapter
	limit int
	wake  chan struct{} // capacity 1
	dirty chan struct{} // capacity 1: something may wait for the flush interval
	done  chan struct{}

	mu      sync.Mutex
	pending []*request
	syncs   []chan error  // wait for the next commit, whatever it holds
	space   chan struct{} // closed when pending was taken; nil while nobody waits
	sweep   bool          // look for entries and rooms that are too old
	mark    bool          // write a sign of life
	closed  bool

	keyCount atomic.Int64 // of keys, for Stats

	// Owned by the goroutine.
	keys     *dedupe
	lastTime int64 // Unix milliseconds, never goes back
	nextRoom uint64
	broken   error // set when a write's outcome was unknown: no further ones
	toldFull int64 // Unix milliseconds of the last warning about a bound
}

// Append implements adapter.Log.
func (a *Adapter) Append(ctx context.Context, r adapter.Append) (adapter.Appended, error) {
	h := a.o.Hooks.Appended
	if h == nil {
		return a.append(ctx, r)
	}
	began := time.Now()
	got, err := a.append(ctx, r)
	if errors.Is(err, adapter.ErrConflict) || errors.Is(err, adapter.ErrFenced) {
		h(time.Since(began), nil)
	} else {
		h(time.Since(began), err)
	}
	return got, err
}

func (a *Adapter) append(ctx context.Context, r adapter.Append) (adapter.Appended, error) {
	if err := a.usable(ctx); err != nil {
		return adapter.Appended{}, err
	}
	if size := r.Event.Size() + len(r.Event.Name) + len(r.Sender) + len(r.User) + len(r.ID) + len(r.Room); size > a.o.MaxEntry {
		return adapter.Appended{}, fmt.Errorf("append: entry of %d bytes, %d are allowed: %w", size, a.o.MaxEntry, adapter.ErrFull)
	}
	// Back-pressure reaches whoever appends, never the committer.
	if err := a.seq.Admit(ctx); err != nil {
		return adapter.Appended{}, fmt.Errorf("append: %w", err)
	}
	req := &request{a: r, done: make(chan answer, 1)}
	if r.Key != "" {
		req.key = hashKey(roomKey{r.Namespace, r.Room}, r.Key)
	}
	if err := a.committer.enqueue(ctx, req); err != nil {
		return adapter.Appended{}, fmt.Errorf("append: %w", err)
	}
	select {
	case got := <-req.done:
		return got.a, got.err
	case <-ctx.Done():
		return adapter.Appended{}, fmt.Errorf("append: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
	}
}

func (c *committer) enqueue(ctx context.Context, r *request) error {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return adapter.ErrClosed
		}
		if len(c.pending) < c.limit {
			c.pending = append(c.pending, r)
			c.mu.Unlock()
			signal(c.wake)
			return nil
		}
		if c.space == nil {
			c.space = make(chan struct{})
		}
		space := c.space
		c.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return fmt.Errorf("wait for the store: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
		}
	}
}

// sync waits until a commit that began after the call has ended.
func (c *committer) sync(ctx context.Context) error {
	ch := make(chan error, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return adapter.ErrClosed
	}
	c.syncs = append(c.syncs, ch)
	c.mu.Unlock()
	signal(c.wake)
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the store: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
	}
}

// touch tells that something waits that may wait for the flush interval.
func (c *committer) touch() { signal(c.dirty) }

// askSweep makes the next commit trim by age.
func (c *committer) askSweep() {
	c.mu.Lock()
	c.sweep = true
	c.mu.Unlock()
	signal(c.wake)
}

// askMark makes a commit that writes a sign of life, even if nothing else. A
// store that was full shows thereby whether it has room again.
func (c *committer) askMark() {
	c.mu.Lock()
	c.mark = true
	c.mu.Unlock()
	signal(c.wake)
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// close refuses further appends, commits what waits, and returns when the
// goroutine has ended.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	signal(c.wake)
	<-c.done
}

func (c *committer) run() {
	defer close(c.done)
	var flush <-chan time.Time
	for {
		due := false
		select {
		case <-c.wake:
		case <-c.dirty:
			if flush == nil {
				flush = time.After(c.a.o.FlushInterval)
			}
			continue
		case <-flush:
			flush, due = nil, true
		}
		for {
			c.mu.Lock()
			n := min(len(c.pending), c.a.o.MaxBatch)
			take := c.pending[:n:n]
			c.pending = c.pending[n:]
			if len(c.pending) == 0 {
				c.pending = nil
			}
			syncs, sweep, mark, closed := c.syncs, c.sweep, c.mark, c.closed
			c.syncs, c.sweep, c.mark = nil, false, false
			if c.space != nil {
				close(c.space)
				c.space = nil
			}
			c.mu.Unlock()
			if n == 0 && len(syncs) == 0 && !sweep && !mark && !due {
				if closed {
					return
				}
				break
			}
			due = false
			err := c.commit(take, sweep, mark)
			for _, ch := range syncs {
				ch <- err
			}
		}
	}
}

// commit writes one batch and answers it.
func (c *committer) commit(reqs []*request, sweep, mark bool) error {
	a := c.a
	nowMilli := max(c.lastTime, a.nowMilli())
	c.lastTime = nowMilli
	c.keys.turn(nowMilli)
	b := &build{keys: make(map[keyHash]answered), fresh: make(map[roomKey]*roomLog), answers: make([]answer, len(reqs))}
	b.at, b.keysFrom, b.heads = nowMilli, c.keys.oldest(), make(map[*roomLog]*head)
	b.pos = a.stream.beginCommit(nowMilli)
	for i, r := range reqs {
		b.answers[i] = c.stage(b, r)
	}
	c.warnFull(b.refused)
	if sweep {
		c.stageSweep(b)
	}
	b.sessions = a.sessions.takeDirty()
	b.fields = a.tables.takeDirty()
	b.loose = a.loose.take()

	began := time.Now()
	var err error
	if !b.empty() || mark {
		if err = c.broken; err == nil {
			err = a.store.commit(&b.batch)
		}
		if a.o.Hooks.Commit != nil {
			a.o.Hooks.Commit(len(b.appends), time.Since(began), err)
		}
		c.judge(err)
	}
	if err != nil {
		a.stream.endCommit(b.pos, nil, nil)
		a.sessions.giveBack(b.sessions)
		a.tables.giveBack(b.fields)
		a.loose.failed(b.loose)
		if !errors.Is(err, adapter.ErrFull) {
			err = fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
		}
		for i, r := range reqs {
			if got := b.answers[i]; got.err != nil {
				r.done <- got
			} else {
				r.done <- answer{err: fmt.Errorf("append: %w", err)}
			}
		}
		return err
	}
	for h, k := range b.keys {
		c.keys.put(h, k)
	}
	c.keyCount.Store(int64(c.keys.len()))
	a.loose.written(b.loose, nowMilli)
	a.stream.endCommit(b.pos, b.events, func() { a.stream.applyLocked(&b.batch, b.fresh) })
	for i, r := range reqs {
		r.done <- b.answers[i]
	}
	return nil
}

// judge keeps the adapter's status. A full store may be tried again: nothing
// of the failed batch can be seen. After any other failure nobody knows what
// the disk holds, so nothing is written until the store is opened anew.
func (c *committer) judge(err error) {
	switch {
	case err == nil:
		c.a.health.set("")
	case errors.Is(err, adapter.ErrFull):
		c.warnFull(err)
		c.a.health.set("room log is full: " + err.Error())
	default:
		if c.broken == nil {
			c.broken = err
			c.a.o.Logger.Error("room log cannot be written any more; restart when the disk is in order", "error", err)
		}
		c.a.health.set("room log cannot be written: " + err.Error())
	}
}

// warnFull tells the operator why messages are refused, once a minute while
// they are.
func (c *committer) warnFull(err error) {
	const every = 60_000 // milliseconds
	if err == nil || c.toldFull != 0 && c.lastTime-c.toldFull < every {
		return
	}
	c.toldFull = c.lastTime
	c.a.o.Logger.Warn("messages are refused: the store is full", "error", err)
}
