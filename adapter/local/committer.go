package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
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

// build is a commit in the making.
type build struct {
	batch
	keys    map[keyHash]answered
	fresh   map[roomKey]*roomLog
	events  []*roomindex.Event
	answers []answer // parallel to the requests
	refused error    // an append that a bound forbade, if any
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

// applyLocked makes a committed batch visible.
func (s *stream) applyLocked(b *batch, fresh map[roomKey]*roomLog) {
	for _, l := range fresh {
		s.addLogLocked(l)
	}
	for l, h := range b.heads {
		l.head = *h
	}
	for _, l := range b.dropped {
		s.dropLogLocked(l)
	}
}

// stage gives a request its place in the batch, or its answer. The answer of a
// staged append, and of a duplicate of one, is only given after the commit.
func (c *committer) stage(b *build, r *request) answer {
	a := c.a
	if err := a.sessions.check(r.a.Owner); err != nil {
		return answer{err: fmt.Errorf("append: %w", err)}
	}
	keyed := r.a.Key != ""
	if keyed {
		first, known := c.keys.find(r.key)
		if !known {
			first, known = b.keys[r.key]
		}
		if known && first.digest != r.a.Digest {
			return answer{err: fmt.Errorf("append: %w", adapter.ErrConflict)}
		}
		if known {
			return answer{a: first.appended(true)}
		}
		if c.keys.full(len(b.keys)) {
			b.refused = fmt.Errorf("append: %d keys are remembered: %w", c.keys.max, adapter.ErrFull)
			return answer{err: b.refused}
		}
	}
	l, err := c.logFor(b, roomKey{r.a.Namespace, r.a.Room})
	if err != nil {
		b.refused = fmt.Errorf("append: %w", err)
		return answer{err: b.refused}
	}
	h := b.heads[l]
	b.pos++
	h.last++
	h.lastPos, h.lastAt = b.pos, b.at
	if h.firstAt == 0 || h.first == h.last {
		h.firstAt = b.at
	}
	d := &adapter.Delivery{
		Namespace: l.namespace, Event: r.a.Event, Class: adapter.Logged,
		Room: l.room, Epoch: l.epoch, Seq: h.last, Time: time.UnixMilli(b.at).UTC(),
		Sender: r.a.Sender, User: r.a.User, ID: r.a.ID,
		Position: adapter.Position{b.pos}, Pos: b.pos,
	}
	b.appends = append(b.appends, appendedEntry{log: l, entry: entry{d: d, keyed: keyed, key: r.key, digest: r.a.Digest}})
	// The sequencer writes the Position of its own copy.
	ev := &roomindex.Event{
		Delivery: *d, Target: adapter.Target{Namespace: l.namespace, Rooms: []string{l.room}},
	}
	ev.Delivery.Trace = r.a.Trace
	b.events = append(b.events, ev)
	if held := h.last - h.first + 1; held > uint64(a.o.LogMax) {
		c.stageTrim(b, l, h)
	}
	first := answered{log: l, seq: d.Seq, pos: d.Pos, at: b.at, digest: r.a.Digest}
	if keyed {
		b.keys[r.key] = first
	}
	return answer{a: first.appended(false)}
}

func (k answered) appended(duplicate bool) adapter.Appended {
	return adapter.Appended{
		Epoch: k.log.epoch, Seq: k.seq, Pos: k.pos,
		Time: time.UnixMilli(k.at).UTC(), Duplicate: duplicate,
	}
}

// logFor finds a room's log, or begins one, and stages its head.
func (c *committer) logFor(b *build, k roomKey) (*roomLog, error) {
	l := b.fresh[k]
	if l == nil {
		v := c.a.stream.view(k)
		if l = v.log; l != nil && b.heads[l] == nil {
			b.heads[l] = &v.head
		}
	}
	if l != nil {
		return l, nil
	}
	if c.a.stream.countLogs()+len(b.fresh) >= c.a.o.MaxLogRooms {
		return nil, fmt.Errorf("%d rooms have a log: %w", c.a.o.MaxLogRooms, adapter.ErrFull)
	}
	c.nextRoom++
	l = &roomLog{roomKey: k, id: c.nextRoom, epoch: rand.Text()[:12]}
	b.fresh[k] = l
	// A room whose earlier log was forgotten starts a new life; what was
	// trimmed of that one cannot be proven complete.
	b.heads[l] = &head{first: 1, trimmed: c.a.stream.forgottenPos()}
	return l, nil
}

// stageTrim takes entries above the bound out, a step at a time so that a busy
// room does not pay for it with each append.
func (c *committer) stageTrim(b *build, l *roomLog, h *head) {
	step := uint64(min(64, max(1, c.a.o.LogMax/10)))
	held := h.last - h.first + 1
	if over := held - uint64(c.a.o.LogMax); over < step && c.a.o.LogMax >= 10 {
		return
	}
	below := h.last - uint64(c.a.o.LogMax) + 1
	c.addTrim(b, l, h, below)
}

func (c *committer) addTrim(b *build, l *roomLog, h *head, below uint64) {
	if c.a.o.Hooks.Trimmed != nil {
		c.a.o.Hooks.Trimmed(int(below - h.first))
	}
	h.first = below
	for i := range b.trims {
		if b.trims[i].log == l {
			b.trims[i].below = below
			return
		}
	}
	b.trims = append(b.trims, trim{log: l, below: below})
}

// maxSweep bounds the entries that one commit trims for their age.
const maxSweep = 10_000

// stageSweep trims by age, and ends logs that are empty.
func (c *committer) stageSweep(b *build) {
	a := c.a
	old, left := b.at-a.o.LogAge.Milliseconds(), maxSweep
	for _, v := range a.stream.agedLogs(old) {
		h := b.heads[v.log]
		if h == nil {
			h = &v.head
		}
		below := h.first
		err := a.store.scan(v.log, v.first, v.last, false, func(d *adapter.Delivery) bool {
			if d.Time.UnixMilli() >= old || left == 0 {
				h.firstAt = d.Time.UnixMilli()
				return false
			}
			left--
			below = d.Seq + 1
			return true
		})
		if err != nil {
			a.o.Logger.Error("room log cannot be swept", "room", v.log.room, "error", err)
			continue
		}
		b.heads[v.log] = h
		if below > h.first {
			c.addTrim(b, v.log, h, below)
		}
		// Its keys must be forgotten before the log is: they name its epoch.
		if h.first > h.last && h.lastAt < min(old, b.keysFrom) {
			b.dropped = append(b.dropped, v.log)
		}
	}
	if left == 0 {
		c.askSweep() // there is more
	}
}

func (s *stream) countLogs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.logs)
}

func (s *stream) forgottenPos() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forgotten
}

// agedLogs returns the rooms that may hold entries from before a time.
func (s *stream) agedLogs(old int64) []view {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []view
	for _, l := range s.logs {
		if l.head.firstAt < old {
			out = append(out, view{log: l, head: l.head})
		}
	}
	return out
}
