package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// Calls that are made at the same time share round trips: when maxLeaders
// batches are under way already, what else is asked waits for one of them to end and
// goes with the next, up to maxCalls together. A storm of connects then costs Redis
// and the node a fraction of the reads and writes, and nobody waits for a free
// connection.
const (
	maxLeaders = 8
	maxCalls   = 32
)

// calls are a lane's calls on the general connections.
type calls struct {
	l *lane

	mu      sync.Mutex
	waiting []*call // guarded by mu
	leaders int     // guarded by mu; goroutines that send
	closed  bool    // guarded by mu
	running sync.WaitGroup
}

// call is one command. What it brought is set before done is closed.
type call struct {
	cmd    []any
	at     time.Time // when asked
	done   chan struct{}
	client *goredis.Client // that it was sent with; nil if it was not
	v      any
	err    error
}

// do sends a command and waits for its answer. When ctx ends first, it is not sent
// any more, or what it did is unknown. The client is that which it was sent with, nil
// if there is no answer.
func (c *calls) do(ctx context.Context, cmd []any) (*goredis.Client, any, error) {
	x := &call{cmd: cmd, at: time.Now(), done: make(chan struct{})}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, nil, adapter.ErrClosed
	}
	c.waiting = append(c.waiting, x)
	if c.leaders < maxLeaders {
		c.leaders++
		c.running.Go(c.lead)
	}
	c.mu.Unlock()
	select {
	case <-x.done:
		return x.client, x.v, x.err
	case <-ctx.Done():
		c.withdraw(x)
		return nil, nil, ctx.Err()
	}
}

// withdraw takes a call back that nobody has sent: while Redis is away no more may
// wait than there are callers, and none may be sent long after.
func (c *calls) withdraw(x *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.waiting, x); i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
	}
}

// lead sends what waits until nothing does.
func (c *calls) lead() {
	for {
		c.mu.Lock()
		n := min(len(c.waiting), maxCalls)
		if n == 0 {
			c.leaders--
			c.mu.Unlock()
			return
		}
		batch := slices.Clone(c.waiting[:n]) // withdraw moves what waits
		if c.waiting = slices.Delete(c.waiting, 0, n); len(c.waiting) == 0 {
			c.waiting = nil
		}
		c.mu.Unlock()
		c.send(batch)
	}
}

// send sends a batch and gives out the answers.
func (c *calls) send(batch []*call) {
	ctx, cancel := context.WithTimeout(c.l.a.ctx, c.l.a.o.Timeout)
	defer cancel()
	client, err := c.l.a.conn.pool(ctx, c.l.n, c.l.a.o.Connections)
	if err != nil {
		for _, x := range batch {
			x.err = err
			close(x.done)
		}
		return
	}
	pl := client.Pipeline()
	answers := make([]*goredis.Cmd, len(batch))
	for i, x := range batch {
		answers[i] = pl.Do(ctx, x.cmd...)
	}
	_, _ = pl.Exec(ctx) // each answer has its error
	for i, x := range batch {
		x.client = client
		x.v, x.err = answers[i].Result()
		close(x.done)
	}
}

// close refuses further calls and waits for those under way, which end with the
// adapter's context.
func (c *calls) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.running.Wait()
}
