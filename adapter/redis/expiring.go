package redis

import (
	"context"
	"time"

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

// record asks something about an expiring record. The answer is nil where there is
// none.
func (a *Adapter) record(ctx context.Context, command, key string, args ...any) (any, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	l := a.laneOf("", key)
	v, err := l.ask(ctx, append([]any{command, l.base + "x:v:" + key}, args...)...)
	return v, a.outcome("expiring record", err)
}

// Put implements adapter.Expiring.
func (a *Adapter) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if len(value) > a.o.MaxEntry {
		return adapter.ErrFull
	}
	_, err := a.record(ctx, "SET", key, value, "PX", max(1, ttl.Milliseconds()))
	return err
}

// Fetch implements adapter.Expiring.
func (a *Adapter) Fetch(ctx context.Context, key string) ([]byte, bool, error) {
	v, err := a.record(ctx, "GET", key)
	text, ok := v.(string)
	if err != nil || !ok {
		return nil, false, err
	}
	return []byte(text), true, nil
}

// Forget implements adapter.Expiring.
func (a *Adapter) Forget(ctx context.Context, key string) error {
	_, err := a.record(ctx, "DEL", key)
	return err
}
