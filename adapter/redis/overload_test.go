package redis

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter/roomindex"
)

// What is slow must not make itself slower: these are about what a fleet does while
// Redis, or a node, is starved.

// counters count what would be more work.
type counters struct {
	lost, fenced atomic.Int64

	mu      sync.Mutex
	reasons []string
}

func (c *counters) hooks() Hooks {
	return Hooks{
		LinkLost: func(_ int, reason string) {
			c.lost.Add(1)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.reasons = append(c.reasons, reason)
		},
		Fenced: func() { c.fenced.Add(1) },
	}
}

func (c *counters) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost.Load() > 0 || c.fenced.Load() > 0 {
		t.Errorf("links were lost: %q; nodes reaped: %d", c.reasons, c.fenced.Load())
	}
}

// pause makes Redis deaf, as a fork or a slow disk does.
func (s *server) pause(t testing.TB, d time.Duration) {
	t.Helper()
	if err := s.client(t).Do(context.Background(), "CLIENT", "PAUSE", d.Milliseconds(), "ALL").Err(); err != nil {
		t.Fatal(err)
	}
}

// TestStall: Redis says nothing for longer than a lease. Its connections are whole, so
// no link is lost, and nobody is reaped for what nobody could do.
func TestStall(t *testing.T) {
	s := ownServer(t)
	var c counters
	f := newFleet(t, s.addr, 3, Options{Beat: 200 * time.Millisecond, Lease: 2 * time.Second, Timeout: 2 * time.Second, Hooks: c.hooks()})
	var all []*member
	for _, a := range f.nodes {
		all = append(all, newMember(t, a, "a"))
	}
	time.Sleep(2500 * time.Millisecond) // all may reap
	w := startWriter(t, f.nodes[0], "a")
	until(t, "a message", func() bool { return len(all[2].texts()) > 0 })
	s.pause(t, 4500*time.Millisecond)
	time.Sleep(time.Second)
	for i, a := range f.nodes {
		until(t, fmt.Sprintf("node %d is not ready", i), func() bool { return !a.Status().Ready })
	}
	for _, a := range f.nodes {
		ready(t, a)
	}
	time.Sleep(time.Second)
	total := w.end()
	for _, m := range all {
		m.wantTexts(total)
	}
	c.check(t)
}

// TestBusySequencer: a node that cannot keep up with what its link brings is behind,
// and nothing else: its link is not lost, and it is not reaped.
func TestBusySequencer(t *testing.T) {
	s := shared.get(t)
	var c counters
	f := newFleet(t, s.addr, 2, Options{Beat: 100 * time.Millisecond, Lease: 2 * time.Second, Queue: 4, Hooks: c.hooks()})
	m := newMember(t, f.nodes[0], "a")
	newMember(t, f.nodes[1])
	release := make(chan struct{})
	f.nodes[0].seq.Push(roomindex.Func(func(*roomindex.Sequencer) { <-release }))
	const total = 50
	for i := range total {
		if _, err := f.nodes[1].Append(t.Context(), entry("a", strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(4 * time.Second)
	close(release)
	m.wantTexts(total)
	c.check(t)
}

// TestDeadLink: a link on which nothing comes while Redis answers is given up.
func TestDeadLink(t *testing.T) {
	f := newFleet(t, shared.get(t).addr, 1, Options{Beat: 200 * time.Millisecond})
	a, l := f.nodes[0], f.nodes[0].lanes[0]
	m := newMember(t, a, "a")
	f.proxies[0].mute.Store(true)
	before := l.repaired.Load()
	m.append("a", "0")
	until(t, "a new link", func() bool { return l.repaired.Load() > before })
	m.wantTexts(1)
}

// TestBeatsPassCalls: thousands of calls wait, and the lease is kept.
func TestBeatsPassCalls(t *testing.T) {
	s := ownServer(t)
	var c counters
	f := newFleet(t, s.addr, 2, Options{Beat: 200 * time.Millisecond, Lease: time.Second, Timeout: 10 * time.Second, Connections: 1, Hooks: c.hooks()})
	a := f.nodes[0]
	newMember(t, a, "a")
	// A round trip takes half a second, a call that waits for its turn much longer.
	f.proxies[0].delay.Store(int64(100 * time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 4000 {
		wg.Go(func() { _, _ = a.Head(ctx, "/", strconv.Itoa(i)) })
	}
	for ctx.Err() == nil {
		if st := a.Status(); !st.Ready {
			t.Errorf("not ready: %s", st.Reason)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	c.check(t)
}

// TestOneReaper: two nodes find a dead one with much to reap. One of them does it, and
// neither misses a beat; what is left when it dies is taken on by the other.
func TestOneReaper(t *testing.T) {
	s := ownServer(t)
	var c counters
	f := newFleet(t, s.addr, 3, Options{Beat: 100 * time.Millisecond, Lease: 800 * time.Millisecond, Hooks: c.hooks()})
	dead := f.nodes[2]
	r := s.client(t)
	base := dead.base(0)
	pipe := r.Pipeline()
	const sessions = 20 * reapChunk
	for i := range sessions {
		pid := strconv.Itoa(i)
		pipe.HSet(t.Context(), base+"o:"+pid, "ns", "/", "sid", pid, "token", 1, "node", dead.incarnation())
		pipe.SAdd(t.Context(), base+"on:"+dead.incarnation(), pid)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range f.proxies[:2] {
		p.delay.Store(int64(20 * time.Millisecond)) // a chunk takes a while
	}
	dead.die()
	left := func() int64 { return r.SCard(t.Context(), base+"on:"+dead.incarnation()).Val() }
	until(t, "somebody reaps", func() bool { return left() < sessions })
	who := r.Get(t.Context(), base+"gr").Val()
	for left() > sessions/2 {
		if now := r.Get(t.Context(), base+"gr").Val(); now != who {
			t.Fatalf("%q reaped, and now %q", who, now)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for i, a := range f.nodes[:2] {
		if a.incarnation() == who {
			a.die()
			f.nodes[i] = open(t, f.options[i])
		}
	}
	f.nodes[2] = open(t, f.options[2])
	until(t, "the other one goes on", func() bool { return left() == 0 })
	until(t, "the end", func() bool { return r.Exists(t.Context(), base+"gr", base+"g").Val() == 0 })
	if n := c.fenced.Load(); n > 0 {
		t.Errorf("%d living nodes were reaped", n)
	}
	if g := r.HGet(t.Context(), base+"o:7", "gone").Val(); g == "" {
		t.Error("a session of the dead node is not gone")
	}
}
