package chatapi

import (
	"context"
	"fmt"
	"time"

	"github.com/antchat/antchat/server/socketio"
)

// maxSlow bounds how long one refused request keeps its socket up, so that heartbeats
// are heard whatever the rate of refusals is.
const maxSlow = time.Second

// slow keeps a socket up whose requests are refused faster than Fairness.Refusals:
// nothing more is read from it once its inbox is full.
func (a *API) slow(ctx context.Context, s *socketio.Socket) {
	limit := a.options.Fairness.Refusals
	if limit.Rate <= 0 {
		return
	}
	now := time.Now()
	b := a.buckets.find(bucketKey{kindRefusal, ScopeSocket, s.ID()}, limit, now)
	wait := min(maxSlow, b.limiter.ReserveN(now, requestCost).DelayFrom(now))
	if wait <= 0 {
		return
	}
	if h := a.options.Hooks.Slowed; h != nil {
		h()
	}
	a.pause(ctx, wait)
}

// pause returns after a while, or when the socket or the node ends.
func (a *API) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-a.stop.Done():
	}
}

// maxWaiting is how many CONNECTs may wait on a node: each holds a goroutine.
const maxWaiting = 4096

// takeConnect takes a CONNECT from the bucket of a user or an address, perhaps after a
// while: they get their places in the order in which they came.
func (a *API) takeConnect(ctx context.Context, scope Scope, id string) error {
	limit := a.options.Fairness.of(KindConnect)[scope]
	if limit.Rate <= 0 || id == "" {
		return nil
	}
	now := time.Now()
	b := a.buckets.find(bucketKey{KindConnect, scope, id}, limit, now)
	turn := b.limiter.ReserveN(now, requestCost)
	wait := turn.DelayFrom(now)
	if wait == 0 && scope == ScopeUser && a.options.Fairness.Shared {
		ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
		defer cancel()
		wait = a.lease(ctx, b, KindConnect, id, limit, now) // until the fleet counts anew
	}
	if wait == 0 {
		return nil
	}
	if h := a.options.Hooks.Limited; h != nil {
		h(KindConnect, scope)
	}
	defer a.waiting.Add(-1)
	if a.waiting.Add(1) <= maxWaiting && wait <= a.options.Fairness.ConnectWait {
		a.pause(ctx, wait)
		return nil
	}
	turn.CancelAt(now)
	if h := a.options.Hooks.ConnectRefused; h != nil {
		h(CodeRateLimited)
	}
	return fmt.Errorf("%w: %w", socketio.ErrComeBack, &tooFast{wait})
}
