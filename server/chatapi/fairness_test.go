package chatapi

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter/local"
)

// An empty bucket refuses with the time after which to retry, whoever's it is, and
// takes nothing from the others.
func TestFairness(t *testing.T) {
	var mu sync.Mutex
	limited := map[string]int{}
	f := newChat(t, Options{
		Fairness: Fairness{
			Messages: Buckets{Socket: Bucket{1, 3}, User: Bucket{1, 5}, Address: Bucket{0.01, 7}},
			Joins:    Buckets{User: Bucket{0.001, 2}},
			Typing:   Buckets{Socket: Bucket{0.001, 1}},
			Rooms:    Buckets{User: Bucket{0.001, 1}},
		},
		Hooks: Hooks{Limited: func(k Kind, s Scope) { mu.Lock(); limited[fmt.Sprint(k, " ", s)]++; mu.Unlock() }},
	}, local.Options{})
	say := func(c *client) string {
		r := call[Refusal](c, "new message", "x")
		if r.Error.Code == "" {
			return "sent"
		}
		if r.Error.Code != CodeRateLimited || !r.Error.Retryable || r.Error.RetryAfter < 1 {
			t.Errorf("%+v", r)
		}
		return "refused"
	}
	start := time.Now()
	first, second, other := f.dial(hello{auth: withSession(secret)}), f.dial(hello{auth: withSession(secret)}), f.dial(hello{})
	got := ""
	for _, c := range []*client{first, first, first, first, second, second, second, other, other, other, other} {
		got += say(c)[:1]
	}
	// 3 of the socket's; 2 more of the user's; 2 more of the address's.
	if took := time.Since(start); got != "sssrssrssrr" && took < 800*time.Millisecond {
		t.Errorf("%s in %v", got, took)
	}
	call[JoinedRoom](other, "join room", "new") // its one new room
	if r := other.refusal("join room", "newer"); r.Code != CodeRateLimited || r.RetryAfter < 100_000 {
		t.Errorf("%+v", r)
	}
	if r := call[RoomPeople](other, "who", "newer"); r.NumUsers != 0 {
		t.Errorf("%+v", r)
	}
	if r := other.refusal("leave room", "new"); r.Code != CodeRateLimited {
		t.Errorf("%+v", r)
	}
	call[struct{}](f.dial(hello{}), "history")
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"message socket", "message user", "message address", "room user", "join user"} {
		if limited[want] == 0 {
			t.Errorf("no %s: %v", want, limited)
		}
	}
}

// Who asks on and on gets nothing, who waits as told nine tenths of the rate, and who asks a
// little too often a little less.
func TestRefusalsCost(t *testing.T) {
	const rate, seconds = 10, 60
	asks := func(gap time.Duration, obey, fined bool) (granted int) {
		b, start := newBucket(Bucket{rate, 5}), time.Now()
		for now := start; now.Sub(start) < seconds*time.Second; {
			_, wait := b.take(now, fined)
			if wait == 0 {
				granted++
			}
			if obey {
				now = now.Add(wait)
			} else {
				now = now.Add(gap)
			}
		}
		return granted
	}
	for _, c := range []struct {
		name        string
		gap         time.Duration
		obey, fined bool
		least, most int
	}{
		{"1,000 a second", time.Millisecond, false, true, 5, 6},
		{"100 a second", 10 * time.Millisecond, false, true, 5, 30},
		{"15 a second", time.Second / 15, false, true, 500, 600},
		{"as told", 0, true, true, 540, 606},
		{"1,000 a second from an address", time.Millisecond, false, false, 590, 606},
	} {
		if n := asks(c.gap, c.obey, c.fined); n < c.least || n > c.most {
			t.Errorf("%s: %d granted in %d s, want %d to %d", c.name, n, seconds, c.least, c.most)
		}
	}
	// The debt is a second's worth, so a flood is forgiven soon after its end.
	b, now := newBucket(Bucket{rate, 5}), time.Now()
	for range 100_000 {
		b.take(now, true)
	}
	if _, wait := b.take(now.Add(1200*time.Millisecond), true); wait != 0 {
		t.Errorf("still %v", wait)
	}
	// One that grants one in an hour forgives too.
	b = newBucket(Bucket{1.0 / 3600, 1})
	for range 1000 {
		b.take(now, true)
	}
	if _, wait := b.take(now, true); wait > 3*time.Hour {
		t.Errorf("an hourly one: %v", wait)
	}
}

// Who is refused on and on is read more slowly; nobody else is.
func TestRefusalsAreSlow(t *testing.T) {
	var slowed atomic.Int32
	f := newChat(t, Options{
		Fairness: Fairness{Messages: Buckets{Socket: Bucket{0.001, 1}}, Refusals: Bucket{20, 5}},
		Hooks:    Hooks{Slowed: func() { slowed.Add(1) }},
	}, local.Options{})
	c := f.dial(hello{})
	call[Stored](c, "new message", "x")
	start := time.Now()
	for range 15 {
		if r := c.refusal("new message", "x"); r.Code != CodeRateLimited {
			t.Fatalf("%+v", r)
		}
	}
	// 5 at once, 10 at 20 a second.
	if took := time.Since(start); took < 400*time.Millisecond || slowed.Load() == 0 {
		t.Errorf("15 refusals took %v, %d of them slowed", took, slowed.Load())
	}
	before := slowed.Load()
	call[Stored](f.dial(hello{}), "new message", "x")
	if slowed.Load() != before {
		t.Error("another socket was slowed")
	}
}

// Relayed events have a bucket of their own.
func TestRelaysAreNoMessages(t *testing.T) {
	f := newChat(t, Options{
		RelayEvents: []string{"draw"},
		Fairness:    Fairness{Messages: Buckets{Socket: Bucket{0.001, 1}}, Relays: Buckets{Socket: Bucket{0.001, 2}}},
	}, local.Options{})
	c := f.dial(hello{})
	call[Stored](c, "new message", "x")
	for range 2 {
		c.answer(c.request("draw", "lobby", 1))
	}
	if r := c.refusal("draw", "lobby", 1); r.Code != CodeRateLimited {
		t.Errorf("%+v", r)
	}
}

// A CONNECT for which there is no place soon is answered by a closed connection, from
// which clients come back.
func TestFairConnects(t *testing.T) {
	var refused atomic.Int32
	f := newChat(t, Options{
		Fairness: Fairness{Connects: Buckets{User: Bucket{0.001, 2}, Address: Bucket{0.001, 6}}},
		Hooks: Hooks{ConnectRefused: func(code Code) {
			if code == CodeRateLimited {
				refused.Add(1)
			}
		}},
	}, local.Options{})
	got := ""
	for i := range 9 {
		h := hello{auth: withSession(secret)}
		if i > 3 {
			h = hello{}
		}
		c := f.open(h)
		c.await("an answer", func() bool { return c.accepted || c.refused != "" || c.closed })
		switch {
		case c.accepted:
			got += "a"
		case c.refused != "":
			got += "r"
		default:
			got += "c"
		}
	}
	if got != "aaccaaccc" || refused.Load() != 5 {
		t.Errorf("%s, %d told", got, refused.Load())
	}
}

// One for which there is a place soon waits for it.
func TestConnectsWait(t *testing.T) {
	var waited atomic.Int32
	f := newChat(t, Options{
		Fairness: Fairness{Connects: Buckets{User: Bucket{10, 2}, Address: Bucket{20, 1}}, ConnectWait: patience},
		Hooks:    Hooks{Limited: func(Kind, Scope) { waited.Add(1) }},
	}, local.Options{})
	start := time.Now()
	var all []*client
	for range 8 {
		all = append(all, f.open(hello{auth: withSession(secret)}))
	}
	gone := f.open(hello{auth: withSession(secret)}) // it takes its place in the queue along
	gone.drop()
	for _, c := range all {
		c.await("the accept", func() bool { return c.accepted || c.refused != "" || c.closed })
		if !c.accepted {
			t.Errorf("refused %q, closed %v", c.refused, c.closed)
		}
	}
	if took := time.Since(start); took < 500*time.Millisecond || waited.Load() == 0 {
		t.Errorf("8 connected in %v, %d of them waited", took, waited.Load())
	}
}

// What a user may do holds over several nodes, for few round trips.
func TestSharedBuckets(t *testing.T) {
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := newChatOver(t, a, a, Options{})
	limit := Bucket{Rate: 10, Burst: 100} // 200 in a window
	now := time.Now()
	passed := 0
	for node := range 4 {
		b := newBuckets().find(bucketKey{KindMessage, ScopeUser, "u"}, limit, now)
		for range 200 {
			if wait := f.api.lease(t.Context(), b, KindMessage, "u", limit, now); wait == 0 {
				passed++
			} else if wait > leaseWindow {
				t.Errorf("node %d: %v", node, wait)
			}
		}
	}
	// The fleet's 200, and the free slice of 10 on each node.
	if passed != 240 {
		t.Errorf("%d passed", passed)
	}
}

// spent is a store in which the fleet has used up everything.
type spent struct{ *local.Adapter }

func (spent) Count(context.Context, string, int64, time.Duration) (int64, error) { return 1 << 40, nil }

// What the fleet refuses costs a tenth, as any refusal: when its window is over, the
// node's own bucket has the rest.
func TestSharedRefusalCosts(t *testing.T) {
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	limit := Bucket{Rate: 0.001, Burst: 100}
	f := newChatOver(t, spent{a}, a, Options{Fairness: Fairness{Shared: true, Reads: Buckets{User: limit}}})
	refused := 0
	for range 35 {
		if f.api.take(t.Context(), KindRead, asker{user: "u"}) != nil {
			refused++
		}
	}
	now := time.Now()
	left := f.api.buckets.find(bucketKey{KindRead, ScopeUser, "u"}, limit, now).limiter.TokensAt(now)
	if want := 1000.0 - 5*requestCost - 30; refused != 30 || left < want || left > want+10 {
		t.Errorf("%d refused, %v tenths left of %v", refused, left, want)
	}
}

// Buckets that are full again are forgotten.
func TestBucketsAreSwept(t *testing.T) {
	all, now := newBuckets(), time.Now()
	for i := range 100_000 {
		now = now.Add(10 * time.Millisecond)
		one, wait := all.find(bucketKey{KindRead, ScopeSocket, fmt.Sprint(i)}, Bucket{1, 5}, now).take(now, true)
		if wait != 0 || !one.OK() {
			t.Fatal(wait)
		}
	}
	n := 0
	for i := range all.shards {
		n += len(all.shards[i].all)
	}
	if n > 16*2*minSweep {
		t.Errorf("%d buckets", n)
	}
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "::ffff:192.0.2.1": "::ffff:192.0.2.1", "": "", "x": "x",
	} {
		if got := Network(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
