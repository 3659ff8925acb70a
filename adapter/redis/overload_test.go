package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
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
	until(t, "to be behind", func() bool { return a.Behind() > 200*time.Millisecond })
	for ctx.Err() == nil {
		if st := a.Status(); !st.Ready {
			t.Errorf("not ready: %s", st.Reason)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	until(t, "to be level", func() bool { return a.Behind() == 0 })
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
	if who != f.nodes[0].incarnation() && who != f.nodes[1].incarnation() {
		t.Fatalf("%q has the turn", who)
	}
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

// calls is how often Redis has executed a command, also in scripts.
func (s *server) calls(t testing.TB, command string) (n int) {
	t.Helper()
	info, err := s.client(t).Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	if _, rest, ok := strings.Cut(info, "cmdstat_"+command+":calls="); ok {
		_, _ = fmt.Sscanf(rest, "%d", &n)
	}
	return n
}

// TestRepairOfQuietRooms: what a repair costs goes by the rooms in which something has
// happened, and not by all that a node is subscribed to.
func TestRepairOfQuietRooms(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 2, Options{})
	l := f.nodes[0].lanes[0]
	var rooms []string
	for i := range 3 * repairItems {
		rooms = append(rooms, "room-"+strconv.Itoa(i))
	}
	m := newMember(t, f.nodes[0], rooms...)
	// Some have messages already, of which nothing is missed.
	for i := range 20 {
		m.append(rooms[i], strconv.Itoa(i))
	}
	m.wantTexts(20)
	reads, scripts, before := s.calls(t, "xrevrange")+s.calls(t, "xrange"), s.calls(t, "evalsha"), l.repaired.Load()
	f.proxies[0].cut.Store(true)
	f.proxies[0].drop()
	until(t, "the link is lost", func() bool { return !f.nodes[0].Status().Ready })
	for i := range 5 {
		if _, err := f.nodes[1].Append(t.Context(), entry(rooms[300*i], strconv.Itoa(20+i))); err != nil {
			t.Fatal(err)
		}
	}
	e := adapter.Emit{Class: adapter.Recoverable, Target: adapter.Target{Namespace: "/", Rooms: []string{rooms[1]}}, Event: adapter.Event{Name: "x", Data: []byte(`["x"]`)}}
	if err := f.nodes[1].Emit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	f.proxies[0].cut.Store(false)
	until(t, "the repair", func() bool { return l.repaired.Load() > before })
	until(t, "all of it", func() bool { return len(m.texts()) == 26 })
	for i, id := range m.texts()[:25] {
		if id != strconv.Itoa(i) {
			t.Fatalf("event %d is %q", i, id)
		}
	}
	reads = s.calls(t, "xrevrange") + s.calls(t, "xrange") - reads
	scripts = s.calls(t, "evalsha") - scripts
	// Each room's stream of emits is read when there is any at all.
	if most := 3*repairItems + 100; reads > most {
		t.Errorf("%d reads of logs and streams for 6 events in %d rooms", reads, len(rooms))
	}
	if scripts > 100 {
		t.Errorf("%d scripts", scripts)
	}
}

// TestRepairOverrun: more comes during a repair than the buffer holds, again and again.
// The repair gets on all the same, on the same link.
func TestRepairOverrun(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 2, Options{Buffer: 20})
	l := f.nodes[0].lanes[0]
	m := newMember(t, f.nodes[0], "a")
	f.proxies[0].delay.Store(int64(50 * time.Millisecond))
	w := startWriter(t, f.nodes[1], "a")
	until(t, "messages", func() bool { return len(m.texts()) > 20 })
	l.mu.Lock()
	gen := l.gen
	l.mu.Unlock()
	f.CutLink(t, 0)
	until(t, "an overrun", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.overrun
	})
	had := len(m.texts())
	until(t, "messages while it is repaired", func() bool { return len(m.texts()) > had+100 })
	total := w.end()
	m.wantTexts(total)
	ready(t, f.nodes[0])
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gen != gen+1 {
		t.Errorf("%d links for one repair", l.gen-gen)
	}
	if len(m.gaps()) > 0 {
		t.Errorf("gaps %v", m.gaps())
	}
}

// TestRewriteInSteps: what a node writes again after a loss does not stand in the way of
// messages.
func TestRewriteInSteps(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 1, Options{})
	a, l := f.nodes[0], f.nodes[0].lanes[0]
	const sessions = 20 * rewriteStep
	for i := range sessions {
		pid := strconv.Itoa(i)
		a.owned.put(adapter.Session{PID: pid, SID: pid, Namespace: "/"}, 1, time.Time{})
	}
	f.proxies[0].delay.Store(int64(5 * time.Millisecond))
	done := make(chan struct{})
	go func() { defer close(done); l.rewrite() }()
	most := 0
	for end := false; !end; {
		select {
		case <-done:
			end = true
		case <-time.After(time.Millisecond):
		}
		most = max(most, a.Stats().Commands)
	}
	if most > 2*rewriteStep {
		t.Errorf("%d commands were in the pipe", most)
	}
	if n := s.client(t).SCard(t.Context(), a.base(0)+"on:"+a.incarnation()).Val(); n != sessions {
		t.Errorf("%d sessions were written, of %d", n, sessions)
	}
}

// TestLeaveOvertaken: a leave that was given up is still on its way when the client has
// joined again. Who recovers must be in the room.
func TestLeaveOvertaken(t *testing.T) {
	s := shared.get(t)
	f := newFleet(t, s.addr, 1, Options{})
	a := f.nodes[0]
	m := &member{t: t, a: a, id: "leaver"}
	a.Open("/", m)
	o, err := a.Create(t.Context(), adapter.Session{PID: "leaver", SID: m.id, Namespace: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Add(t.Context(), "/", m, &o); err != nil {
		t.Fatal(err)
	}
	m.join("a")
	begun, stuck := make(chan struct{}), make(chan struct{})
	a.lanes[0].pipe.pushNow(&op{cmd: []any{"PING"}, deadline: time.Now().Add(time.Minute), done: func(any, error) {
		close(begun)
		<-stuck
	}})
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := a.Leave(ctx, "/", m, []string{"a"}); err == nil {
		t.Fatal("a stuck pipe has answered")
	}
	m.join("a")
	close(stuck)
	until(t, "the leave is done with", func() bool { return len(a.owned.overtaken(&o, []string{"a"})) == 0 })
	a.lanes[0].passed()
	if n := s.client(t).HExists(t.Context(), a.base(0)+"j:leaver", "r:a").Val(); !n {
		t.Error("the session's record has not got the room")
	}
}

// TestFenceInSteps: the clients of a reaped node come back, so they are not sent away
// all at once.
func TestFenceInSteps(t *testing.T) {
	f := newFleet(t, shared.get(t).addr, 1, Options{Lease: 6 * time.Second})
	a := f.nodes[0]
	all := []*member{newMember(t, a)}
	for i := range 4 * fenceStep {
		m := &member{t: t, a: a, id: "fenced-" + strconv.Itoa(i)}
		if err := a.Add(t.Context(), "/", m, nil); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	fenced := func() (n int) {
		for _, m := range all {
			if m.isFenced() {
				n++
			}
		}
		return n
	}
	a.reaped(a.incarnation())
	until(t, "the first", func() bool { return fenced() > 0 })
	if n := fenced(); n == len(all) {
		t.Errorf("all %d were sent away at once", n)
	}
	until(t, "all", func() bool { return fenced() == len(all) })
	if n := a.seq.Namespace("/").Index.Len(); n > 0 {
		t.Errorf("%d are still known", n)
	}
}

// TestPace: a Redis that is slow gets smaller batches, and larger ones again later; none
// is left out.
func TestPace(t *testing.T) {
	p := newPipe(&lane{a: &Adapter{o: Options{Batch: 100, Queue: 1000, QueueBytes: 1 << 20}}})
	for range 30 {
		p.addLocked(&op{cmd: []any{"PING"}})
	}
	for i, want := range []int{50, 25, 16, 16} {
		p.pace(slowBatch+1, nil)
		if p.limit != want {
			t.Errorf("after %d slow batches: %d", i+1, p.limit)
		}
	}
	batch := p.takeLocked(nil)
	if len(batch) != 16 || len(p.queue) != 14 {
		t.Errorf("took %d, left %d", len(batch), len(p.queue))
	}
	for i, want := range []int{32, 64, 100, 100} {
		p.pace(slowBatch, nil)
		if p.limit != want {
			t.Errorf("after %d fast batches: %d", i+1, p.limit)
		}
	}
	if p.pace(0, adapter.ErrUnavailable); p.limit != 50 {
		t.Errorf("after a failure: %d", p.limit)
	}
	if batch = p.takeLocked(batch); len(batch) != 30 {
		t.Errorf("took %d", len(batch))
	}
}
