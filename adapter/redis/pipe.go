package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// pipe is a lane's log connection: one goroutine that sends what has piled up
// as one batch, in order, and sends again what was not executed, or may be
// executed twice without harm, before anything later. go-redis retries
// nothing here.
type pipe struct {
	l *lane

	mu     sync.Mutex
	queue  []*op
	bytes  int           // of the queue
	space  chan struct{} // closed when there is room; nil while nobody waits
	closed bool
	// numbers counts the kept emits in the order of the queue.
	numbers uint64

	wake chan struct{} // capacity 1
	done chan struct{}
	// down is since when there is no connection, in Unix milliseconds; 0 while
	// there is one.
	down atomic.Int64

	// twice, for tests, treats every answer as lost once.
	twice atomic.Bool

	// Owned by the goroutine.
	client *goredis.Client
	conn   *goredis.Conn
	limit  int // of commands in a batch: see pace
}

// op is one command on its way.
type op struct {
	cmd []any
	// once: never sent again when its outcome is unknown.
	once bool
	// numbered is the index in cmd that takes the number of a kept emit.
	numbered int
	// wait: a number of replicas must have it.
	wait     bool
	deadline time.Time
	size     int       // of cmd, once queued
	at       time.Time // when queued
	again    bool      // for tests: was sent
	// done takes the outcome, on the pipe's goroutine; it must not block.
	done func(v any, err error)
}

// maxBatchBytes ends a batch: what is ahead of a large one must not wait for its
// answer too.
const maxBatchBytes = 1 << 20

// sizeOf is about what a command takes in memory.
func sizeOf(cmd []any) int {
	n := 0
	for _, v := range cmd {
		switch v := v.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
	}
	return n + 32*len(cmd)
}

func newPipe(l *lane) *pipe {
	p := &pipe{l: l, limit: l.a.o.Batch, wake: make(chan struct{}, 1), done: make(chan struct{})}
	p.down.Store(time.Now().UnixMilli())
	return p
}

const (
	// slowBatch is how long a batch may take without the next one being smaller:
	// half of what its connection waits for an answer.
	slowBatch = 2 * time.Second
	// leastBatch is the smallest that slowness makes them.
	leastBatch = 16
)

// pace fits the size of batches to what Redis can do: one that is not answered in time
// is sent again whole, and Redis, which has it already, executes it twice.
func (p *pipe) pace(took time.Duration, err error) {
	if err != nil || took > slowBatch {
		p.limit = max(p.limit/2, min(leastBatch, p.l.a.o.Batch))
	} else {
		p.limit = min(2*p.limit, p.l.a.o.Batch)
	}
}

// push queues an op, waiting while the queue is full.
func (p *pipe) push(ctx context.Context, o *op) error {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return adapter.ErrClosed
		}
		if p.roomLocked() {
			if o.numbered > 0 {
				p.numbers++
				o.cmd[o.numbered] = p.numbers
			}
			p.addLocked(o)
			p.mu.Unlock()
			p.poke()
			return nil
		}
		if p.space == nil {
			p.space = make(chan struct{})
		}
		space := p.space
		p.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return fmt.Errorf("wait for the queue to Redis: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
		}
	}
}

func (p *pipe) roomLocked() bool {
	return len(p.queue) < p.l.a.o.Queue && p.bytes < p.l.a.o.QueueBytes
}

func (p *pipe) addLocked(o *op) {
	o.size, o.at = sizeOf(o.cmd), time.Now()
	p.queue = append(p.queue, o)
	p.bytes += o.size
}

// takeLocked moves the head of the queue into a batch.
func (p *pipe) takeLocked(batch []*op) []*op {
	size, n := 0, 0
	for _, o := range batch {
		size += o.size
	}
	for n < len(p.queue) && len(batch) < p.limit {
		o := p.queue[n]
		if len(batch) > 0 && size+o.size > maxBatchBytes {
			break
		}
		size += o.size
		p.bytes -= o.size
		batch = append(batch, o)
		n++
	}
	clear(p.queue[:n])
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	return batch
}

// pushNow queues an op that must not wait: control messages, of which there
// are few.
func (p *pipe) pushNow(o *op) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		if o.done != nil {
			o.done(nil, adapter.ErrClosed)
		}
		return
	}
	p.addLocked(o)
	p.mu.Unlock()
	p.poke()
}

func (p *pipe) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// do queues an op and waits for its outcome. The outcome of an op that the
// caller no longer waits for is unknown.
func (p *pipe) do(ctx context.Context, o *op) (any, error) {
	type result struct {
		v   any
		err error
	}
	ch := make(chan result, 1)
	o.done = func(v any, err error) { ch <- result{v, err} }
	if o.deadline.IsZero() {
		o.deadline = time.Now().Add(p.l.a.o.Timeout)
	}
	if d, ok := ctx.Deadline(); ok && d.Before(o.deadline) {
		o.deadline = d
	}
	if err := p.push(ctx, o); err != nil {
		return nil, err
	}
	select {
	case r := <-ch:
		return r.v, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for Redis: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
	}
}

// away: there has been no connection for longer than a reconnection takes.
func (p *pipe) away() bool {
	since := p.down.Load()
	return since != 0 && time.Now().UnixMilli()-since > 1000
}

// control queues a message that must not be lost for as long as this node
// knows what it says; what fails in the end is written again with all the
// rest.
func (p *pipe) control(cmd []any) {
	p.pushNow(&op{cmd: cmd, deadline: time.Now().Add(5 * time.Minute), done: func(v any, err error) {
		if err != nil {
			p.l.stale.Store(true)
		} else if r, _ := v.([]any); len(r) > 0 && asText(r[0]) == "dead" {
			p.l.a.reaped(lifeOf(cmd))
		}
	}})
}

func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	if p.space != nil {
		close(p.space)
		p.space = nil
	}
	p.mu.Unlock()
	p.poke()
	<-p.done
}

func (p *pipe) run() {
	defer close(p.done)
	defer p.hangUp()
	var batch []*op // what is to be sent again comes first
	fails := 0
	for {
		p.mu.Lock()
		batch = p.takeLocked(batch)
		if p.space != nil && p.roomLocked() {
			close(p.space)
			p.space = nil
		}
		closed := p.closed
		p.mu.Unlock()
		if len(batch) == 0 {
			if closed {
				return
			}
			<-p.wake
			continue
		}
		part := batch[:min(len(batch), p.limit)]
		began := time.Now()
		again, err := p.send(part)
		p.pace(time.Since(began), err)
		batch = append(again, batch[len(part):]...)
		if err == nil {
			fails = 0
			continue
		}
		// Something stands in the way: pause, and let go of what has waited
		// long enough.
		fails++
		batch = p.expire(batch, closed)
		p.mu.Lock()
		p.queue, p.bytes = p.expire(p.queue, closed), 0
		for _, o := range p.queue {
			p.bytes += o.size
		}
		p.mu.Unlock()
		if fails == 1 && !closed {
			continue // a new connection may be all it takes
		}
		pause := time.Duration(10+rand.IntN(40)) * time.Millisecond << min(fails, 4)
		select {
		case <-time.After(pause):
		case <-p.l.a.ctx.Done():
			time.Sleep(time.Millisecond)
		}
	}
}

func (p *pipe) expire(ops []*op, all bool) []*op {
	kept := ops[:0]
	now := time.Now()
	for _, o := range ops {
		if all || now.After(o.deadline) {
			o.finish(nil, fmt.Errorf("no connection to Redis: %w", adapter.ErrUnavailable))
		} else {
			kept = append(kept, o)
		}
	}
	clear(ops[len(kept):])
	return kept
}

func (o *op) finish(v any, err error) {
	if o.done != nil {
		o.done(v, err)
	}
}

func (p *pipe) hangUp() {
	p.down.CompareAndSwap(0, time.Now().UnixMilli())
	if p.conn != nil {
		_ = p.conn.Close()
		_ = p.client.Close()
		p.conn, p.client = nil, nil
	}
}

func (p *pipe) dial(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	client, err := p.l.a.conn.dedicated(ctx, p.l.n)
	if err != nil {
		return err
	}
	conn := client.Conn()
	pl := conn.Pipeline()
	for _, s := range lua().piped() {
		pl.ScriptLoad(ctx, s.text)
	}
	if _, err = pl.Exec(ctx); err != nil {
		_ = conn.Close()
		_ = client.Close()
		p.l.a.conn.forget(p.l.n, client)
		return err
	}
	p.client, p.conn = client, conn
	p.down.Store(0)
	return nil
}

// send sends a batch and returns what must be sent again, in order, and why.
func (p *pipe) send(batch []*op) ([]*op, error) {
	o := &p.l.a.o
	ctx, cancel := context.WithTimeout(context.Background(), o.AckTimeout+4*time.Second)
	defer cancel()
	if err := p.dial(ctx); err != nil {
		p.l.a.note("connect to Redis", err)
		return batch, err
	}
	start := time.Now()
	pl := p.conn.Pipeline()
	cmds := make([]*goredis.Cmd, len(batch))
	wait := false
	for i, x := range batch {
		cmds[i] = pl.Do(ctx, x.cmd...)
		wait = wait || x.wait
	}
	var acked *goredis.Cmd
	if wait && o.AckReplicas > 0 {
		acked = pl.Do(ctx, "WAIT", o.AckReplicas, o.AckTimeout.Milliseconds())
	}
	_, err := pl.Exec(ctx)
	if h := o.Hooks.Batch; h != nil {
		h(len(batch), time.Since(start), p.l.a.conn.redact(err))
	}
	short := false
	if acked != nil {
		n, err := acked.Int64()
		short = err != nil || n < int64(o.AckReplicas)
	}
	var again []*op
	var why error
	var hangUp, move bool
	for i, x := range batch {
		v, err := cmds[i].Result()
		if p.twice.Load() && !x.again && !x.once {
			x.again = true
			again = append(again, x)
			continue
		}
		switch faultOf(err) {
		case none:
			if x.wait && short {
				x.finish(nil, fmt.Errorf("too few replicas have it: %w", adapter.ErrUnavailable))
			} else {
				x.finish(v, nil)
			}
			continue
		case full, wrong:
			x.finish(nil, err)
			continue
		case elsewhere:
			hangUp, move = true, true
		case noScript:
			hangUp = true // the scripts come with the next connection
		case broken:
			hangUp, move = true, true
			if x.once {
				x.finish(nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err))
				why = err
				continue
			}
		}
		why = err
		again = append(again, x)
	}
	if move {
		p.l.a.conn.forget(p.l.n, p.client)
	}
	if hangUp {
		p.hangUp()
	}
	if why != nil {
		p.l.a.note("write to Redis", why)
	}
	return again, why
}

// eval runs a script on the general connections. With again, a command whose
// outcome is unknown is sent once more; what was not executed always is, until
// the context or the adapter's Timeout ends.
func (l *lane) eval(ctx context.Context, again bool, s *script, args ...any) (any, error) {
	return l.evalBy(ctx, l.calls.do, again, s, args...)
}

// own sends one command on a connection that clients' calls do not use, and so never
// waits behind them.
func (l *lane) own(u use) sender {
	return func(ctx context.Context, cmd []any) (*goredis.Client, any, error) {
		client, err := l.a.conn.client(ctx, l.n, u, len(l.a.lanes))
		if err != nil {
			return nil, nil, err
		}
		v, err := client.Do(ctx, cmd...).Result()
		return client, v, err
	}
}

// sender sends one command; the client is that which it was sent with, nil if it was
// not sent, or nobody waited for the answer.
type sender func(ctx context.Context, cmd []any) (*goredis.Client, any, error)

func (l *lane) evalBy(ctx context.Context, send sender, again bool, s *script, args ...any) (any, error) {
	return l.perform(ctx, send, again, func(whole bool) []any {
		cmd := l.call(s, args...)
		if whole {
			cmd[0], cmd[1] = "EVAL", s.text
		}
		return cmd
	})
}

// ask runs a plain command that may be executed twice, as eval runs a script. The
// answer is nil where Redis has none.
func (l *lane) ask(ctx context.Context, cmd ...any) (any, error) {
	return l.perform(ctx, l.calls.do, true, func(bool) []any { return cmd })
}

// perform sends what build makes until it was executed. whole: Redis does not know
// the script.
func (l *lane) perform(ctx context.Context, send sender, again bool, build func(whole bool) []any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, l.a.o.Timeout)
	defer cancel()
	whole := false
	for try := 0; ; try++ {
		began := time.Now()
		client, v, err := send(ctx, build(whole))
		if client != nil {
			fault := faultOf(err)
			if h := l.a.o.Hooks.Call; h != nil {
				if fault == none || fault == noScript {
					h(time.Since(began), nil)
				} else {
					h(time.Since(began), l.a.conn.redact(err))
				}
			}
			switch fault {
			case none:
				return v, nil
			case noScript:
				whole = true
				continue
			case full, wrong:
				return nil, err
			case elsewhere:
				l.a.conn.forget(l.n, client)
			case broken:
				l.a.conn.forget(l.n, client)
				if !again {
					return nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
				}
				if try > 2 {
					return nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
				}
			}
		}
		if errors.Is(err, adapter.ErrClosed) {
			return nil, err
		}
		pause := time.Duration(5+rand.IntN(20)) * time.Millisecond << min(try, 5)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
		case <-l.a.ctx.Done():
			return nil, adapter.ErrClosed
		}
	}
}
