package chatapi

import (
	"fmt"
	"sync"
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

func TestFairConnects(t *testing.T) {
	f := newChat(t, Options{Fairness: Fairness{Connects: Buckets{User: Bucket{0.001, 2}, Address: Bucket{0.001, 6}}}}, local.Options{})
	got := ""
	for i := range 9 {
		h := hello{auth: withSession(secret)}
		if i > 3 {
			h = hello{}
		}
		c := f.open(h)
		c.await("an answer", func() bool { return c.accepted || c.refused != "" })
		if c.accepted {
			got += "a"
		} else {
			got += "r"
		}
	}
	if got != "aarraarrr" {
		t.Error(got)
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

// Buckets that are full again are forgotten.
func TestBucketsAreSwept(t *testing.T) {
	all, now := newBuckets(), time.Now()
	for i := range 100_000 {
		now = now.Add(10 * time.Millisecond)
		one, wait := all.find(bucketKey{KindRead, ScopeSocket, fmt.Sprint(i)}, Bucket{1, 5}, now).take(now)
		if wait != 0 || !one.OK() {
			t.Fatal(wait)
		}
	}
	if n := all.size(); n > 16*2*minSweep {
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
