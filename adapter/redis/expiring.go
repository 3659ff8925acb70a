package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// Count implements adapter.Expiring.
func (a *Adapter) Count(ctx context.Context, key string, n int64, window time.Duration) (int64, error) {
	if err := a.usable(ctx); err != nil {
		return 0, err
	}
	v, err := a.laneOf("", key).eval(ctx, false, lua().count, key, n, max(1, window.Milliseconds()))
	if err != nil {
		return 0, a.outcome("count", err)
	}
	got, _ := v.(int64)
	return got, nil
}

// record is the client and name of an expiring record.
func (a *Adapter) record(ctx context.Context, key string) (*goredis.Client, *lane, string, error) {
	if err := a.usable(ctx); err != nil {
		return nil, nil, "", err
	}
	l := a.laneOf("", key)
	client, err := a.conn.pool(ctx, l.n, a.o.Connections)
	return client, l, l.base + "x:v:" + key, a.outcome("expiring record", err)
}

func (a *Adapter) recordOutcome(l *lane, client *goredis.Client, err error) error {
	if f := faultOf(err); f == broken || f == elsewhere {
		a.conn.forget(l.n, client)
	}
	return a.outcome("expiring record", err)
}

// Put implements adapter.Expiring.
func (a *Adapter) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	client, l, name, err := a.record(ctx, key)
	if err != nil {
		return err
	}
	if len(value) > a.o.MaxEntry {
		return adapter.ErrFull
	}
	return a.recordOutcome(l, client, client.Do(ctx, "SET", name, value, "PX", max(1, ttl.Milliseconds())).Err())
}

// Fetch implements adapter.Expiring.
func (a *Adapter) Fetch(ctx context.Context, key string) ([]byte, bool, error) {
	client, l, name, err := a.record(ctx, key)
	if err != nil {
		return nil, false, err
	}
	v, err := client.Get(ctx, name).Bytes()
	if errors.Is(err, goredis.Nil) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, a.recordOutcome(l, client, err)
	}
	return v, true, nil
}

// Forget implements adapter.Expiring.
func (a *Adapter) Forget(ctx context.Context, key string) error {
	client, l, name, err := a.record(ctx, key)
	if err != nil {
		return err
	}
	return a.recordOutcome(l, client, client.Del(ctx, name).Err())
}
