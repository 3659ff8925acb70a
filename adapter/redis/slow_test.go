package redis

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

// TestQueueBytes: what waits for a Redis that is away is bounded in bytes, not
// only in number, and all of it goes out in order when Redis is back.
func TestQueueBytes(t *testing.T) {
	s := ownServer(t)
	const limit, size, number = 1 << 20, 100 << 10, 64
	f := newFleet(t, s.addr, 1, Options{QueueBytes: limit, Timeout: 30 * time.Second})
	a, p := f.nodes[0], f.proxies[0]
	m := newMember(t, a, "a")
	p.cut.Store(true)
	p.drop()
	until(t, "the pipe is down", func() bool { return a.lanes[0].pipe.down.Load() != 0 })
	var wg sync.WaitGroup
	text := strings.Repeat("x", size)
	for i := range number {
		wg.Go(func() {
			e := entry("a", strconv.Itoa(i))
			e.Event.Data = []byte(`["m","` + text + `"]`)
			if _, err := a.Append(context.Background(), e); err != nil {
				t.Error(err)
			}
		})
	}
	held := func() (bytes, waiting int) {
		q := a.lanes[0].pipe
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, o := range q.queue {
			bytes += sizeOf(o.cmd)
		}
		return bytes, len(q.queue)
	}
	most := 0
	for range 50 {
		bytes, _ := held()
		most = max(most, bytes)
		time.Sleep(5 * time.Millisecond)
	}
	if most < limit/2 || most > limit+size+4096 {
		t.Errorf("%d bytes were waiting, %d are allowed and one more", most, limit)
	}
	p.cut.Store(false)
	wg.Wait()
	until(t, "all messages", func() bool { return len(m.texts()) == number })
	if bytes, n := held(); bytes > 4096 {
		t.Errorf("%d bytes of %d still wait", bytes, n)
	}
}

// TestDistantRedis: with 200 ms to Redis and back everything works, only later:
// no link is lost, and no node taken for dead or unready.
func TestDistantRedis(t *testing.T) {
	s := ownServer(t)
	var mu sync.Mutex
	var lost []string
	f := newFleet(t, s.addr, 2, Options{Hooks: Hooks{LinkLost: func(_ int, reason string) {
		mu.Lock()
		defer mu.Unlock()
		lost = append(lost, reason)
	}}})
	for _, p := range f.proxies {
		p.delay.Store(int64(100 * time.Millisecond))
	}
	m, n := newMember(t, f.nodes[0], "a"), newMember(t, f.nodes[1], "a")
	if _, err := f.nodes[1].Enter(t.Context(), "/", "a", n.id, adapter.Person{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	w := startWriter(t, f.nodes[0], "a")
	end := time.Now().Add(5 * time.Second)
	for time.Now().Before(end) {
		for i, a := range f.nodes {
			if s := a.Status(); !s.Ready {
				t.Fatalf("node %d: %s", i, s.Reason)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	total := w.end()
	m.wantTexts(total)
	n.wantTexts(total)
	mu.Lock()
	defer mu.Unlock()
	if total < 5 || len(lost) > 0 {
		t.Errorf("%d messages in 5 s, links lost: %q", total, lost)
	}
	if all, missing, err := f.nodes[0].FetchSockets(t.Context(), adapter.Target{Namespace: "/"}); err != nil || len(all) != 2 || len(missing) > 0 {
		t.Errorf("%d sockets, %q missing, %v", len(all), missing, err)
	}
}

// TestCallsTogether: many at once share the round trips of a distant Redis, where
// each on a connection of its own would wait for one: 600 calls by 2 connections
// would take a minute.
func TestCallsTogether(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 1, Options{Connections: 2, Timeout: 20 * time.Second})
	a := f.nodes[0]
	f.proxies[0].delay.Store(int64(100 * time.Millisecond))
	var wg sync.WaitGroup
	for i := range 600 {
		wg.Go(func() {
			if _, err := a.Head(t.Context(), "/", strconv.Itoa(i)); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	c := a.lanes[0].calls
	until(t, "nobody sends", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.leaders == 0 && len(c.waiting) == 0
	})

	if _, err := a.Head(t.Context(), "/", "a"); err != nil {
		t.Error(err)
	}
}

// TestCallsWithdrawn: nothing waits behind callers that have given up.
func TestCallsWithdrawn(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 1, Options{Timeout: 20 * time.Second})
	a := f.nodes[0]
	f.proxies[0].delay.Store(int64(time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if _, err := a.Head(ctx, "/", strconv.Itoa(i)); err == nil {
				t.Error("an answer in less than it takes")
			}
		})
	}
	wg.Wait()
	c := a.lanes[0].calls
	c.mu.Lock()
	waiting := len(c.waiting)
	c.mu.Unlock()
	// The node's own calls wait on.
	if waiting > 10 {
		t.Errorf("%d calls wait for nobody", waiting)
	}
	f.proxies[0].delay.Store(0)
	if _, err := a.Head(t.Context(), "/", "a"); err != nil {
		t.Error(err)
	}
}
