package official

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// ErrBusy: too much waits to be published. The message was dropped and counted.
var ErrBusy = errors.New("official: too much waits to be published")

// ErrClosed: the bridge was closed.
var ErrClosed = errors.New("official: closed")

// parcel is one message on its way to Redis.
type parcel struct {
	channel string
	payload []byte
	sharded bool
}

// publisher publishes in the order of the calls, joining what has piled up
// into one round trip.
type publisher struct {
	o       *Options
	client  goredis.UniversalClient
	queue   chan parcel // never closed
	closing atomic.Bool
}

const (
	publishBatch   = 128
	publishTimeout = 5 * time.Second
	publishLast    = 2 * time.Second // for what waits when the bridge closes
)

func newPublisher(o *Options, client goredis.UniversalClient) *publisher {
	return &publisher{o: o, client: client, queue: make(chan parcel, o.Queue)}
}

// push does not block.
func (p *publisher) push(x parcel) error {
	if p.closing.Load() {
		return ErrClosed
	}
	select {
	case p.queue <- x:
		return nil
	default:
		p.o.dropped("publish")
		return ErrBusy
	}
}

// run works until the context ends, and then for what is still waiting.
func (p *publisher) run(ctx context.Context) {
	batch := make([]parcel, 0, publishBatch)
	for {
		select {
		case x := <-p.queue:
			batch = p.publish(ctx, p.fill(append(batch[:0], x)))
		case <-ctx.Done():
			p.closing.Store(true)
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishLast)
			defer cancel()
			for batch = p.fill(batch[:0]); len(batch) > 0 && last.Err() == nil; batch = p.fill(batch[:0]) {
				p.publish(last, batch)
			}
			return
		}
	}
}

// fill takes along what waits.
func (p *publisher) fill(batch []parcel) []parcel {
	for len(batch) < publishBatch {
		select {
		case x := <-p.queue:
			batch = append(batch, x)
		default:
			return batch
		}
	}
	return batch
}

func (p *publisher) publish(ctx context.Context, batch []parcel) []parcel {
	// A publication under way when the bridge closes is finished.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	pipe := p.client.Pipeline()
	commands := make([]*goredis.IntCmd, len(batch))
	for i, x := range batch {
		if x.sharded {
			commands[i] = pipe.SPublish(ctx, x.channel, x.payload)
		} else {
			commands[i] = pipe.Publish(ctx, x.channel, x.payload)
		}
	}
	_, err := pipe.Exec(ctx)
	for _, c := range commands {
		if c.Err() != nil {
			p.o.dropped("publish")
		}
	}
	if err != nil {
		p.o.Logger.Warn("official formats: publish", "messages", len(batch), "error", err)
	}
	clear(batch)
	return batch[:0]
}

// subscribers counts the subscriptions to a channel, over all nodes of a
// Cluster: that many servers have the namespace.
func (p *publisher) subscribers(ctx context.Context, channel string, sharded bool) (int, error) {
	ask := func(ctx context.Context, c goredis.Cmdable) (int64, error) {
		var counts map[string]int64
		var err error
		if sharded {
			counts, err = c.PubSubShardNumSub(ctx, channel).Result()
		} else {
			counts, err = c.PubSubNumSub(ctx, channel).Result()
		}
		return counts[channel], err
	}
	var sum atomic.Int64
	var err error
	if cluster, ok := p.client.(*goredis.ClusterClient); ok {
		err = cluster.ForEachShard(ctx, func(ctx context.Context, c *goredis.Client) error {
			n, err := ask(ctx, c)
			sum.Add(n)
			return err
		})
	} else {
		var n int64
		n, err = ask(ctx, p.client)
		sum.Add(n)
	}
	if err != nil {
		return 0, fmt.Errorf("count servers: %w", err)
	}
	return int(sum.Load()), nil
}
