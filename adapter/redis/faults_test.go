package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

// writer appends messages 0, 1, … with retries until it is stopped.
type writer struct {
	a     *Adapter
	stop  chan struct{}
	wg    sync.WaitGroup
	acked int
}

func startWriter(t testing.TB, a *Adapter, room string) *writer {
	w := &writer{a: a, stop: make(chan struct{})}
	w.wg.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			default:
			}
			_, err := a.Append(context.Background(), entry(room, strconv.Itoa(w.acked)))
			switch {
			case err == nil:
				w.acked++
				time.Sleep(time.Millisecond)
			case !errors.Is(err, adapter.ErrUnavailable):
				t.Errorf("append: %v", err)
				return
			}
		}
	})
	return w
}

func (w *writer) end() int {
	close(w.stop)
	w.wg.Wait()
	return w.acked
}

// TestClientKill ends subscribers' connections while messages flow.
func TestClientKill(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 2, Options{})
	m, n := newMember(t, f.nodes[0], "a"), newMember(t, f.nodes[1], "a")
	w := startWriter(t, f.nodes[0], "a")
	c := s.client(t)
	for range 10 {
		if err := c.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
			t.Error(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	total := w.end()
	m.wantTexts(total)
	n.wantTexts(total)
}

// TestRestart kills Redis and brings it back from its file: with
// appendfsync always nothing is lost, and nobody is told of a loss.
func TestRestart(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 2, Options{Beat: 500 * time.Millisecond})
	m, n := newMember(t, f.nodes[0], "a"), newMember(t, f.nodes[1], "a")
	if _, err := f.nodes[0].Enter(t.Context(), "/", "a", m.id, adapter.Person{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	w := startWriter(t, f.nodes[0], "a")
	for range 2 {
		time.Sleep(100 * time.Millisecond)
		s.kill()
		time.Sleep(100 * time.Millisecond)
		if err := s.start(); err != nil {
			t.Fatal(err)
		}
		for _, a := range f.nodes {
			ready(t, a)
		}
	}
	total := w.end()
	m.wantTexts(total)
	n.wantTexts(total)
	if total == 0 || len(m.gaps()) > 0 || len(n.gaps()) > 0 {
		t.Errorf("%d messages, gaps %v %v", total, m.gaps(), n.gaps())
	}
	if _, total, err := f.nodes[1].People(t.Context(), "/", "a", "", 5); err != nil || total != 1 {
		t.Errorf("%d people, %v", total, err)
	}
}

// TestFlush loses everything: members are told what, presence and sessions are
// written again, and a new epoch begins.
func TestFlush(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 2, Options{Beat: 300 * time.Millisecond, Lease: 2 * time.Second})
	a := f.nodes[0]
	m, n := newMember(t, a, "a"), newMember(t, f.nodes[1], "a")
	if _, err := a.Enter(t.Context(), "/", "a", m.id, adapter.Person{User: "ann", Name: "Ann"}); err != nil {
		t.Fatal(err)
	}
	var first adapter.Appended
	for i := range 5 {
		first = m.append("a", strconv.Itoa(i))
	}
	n.wantTexts(5)
	if err := s.client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*member{m, n} {
		until(t, "told of the loss", func() bool { return len(x.gaps()) > 0 })
		if g := x.gaps()[0]; g.Epoch != first.Epoch || g.From != 1 || g.To != 5 || len(x.gaps()) != 1 {
			t.Errorf("told %+v", x.gaps())
		}
	}
	next := m.append("a", "5")
	if next.Seq != 1 || next.Epoch == first.Epoch {
		t.Errorf("after the loss: %+v", next)
	}
	m.wantTexts(6)
	n.wantTexts(6)
	// One that was away is told the same range, and that there may be more.
	seen := uint64(5)
	slice, err := a.Read(t.Context(), "/", "a", adapter.LogRead{After: &seen, Epoch: first.Epoch, Limit: 10})
	if err != nil || slice.Gap == nil || slice.Gap.From != 1 || slice.Gap.To != 6 || len(slice.Entries) != 1 || slice.Entries[0].Seq != 1 {
		t.Errorf("read by one that was away: %+v, %v", slice, err)
	}
	until(t, "presence is back", func() bool {
		people, _, err := f.nodes[1].People(t.Context(), "/", "a", "", 5)
		return err == nil && len(people) == 1 && people[0].Name == "Ann"
	})
	until(t, "the socket's id is known again", func() bool {
		err := f.nodes[1].Emit(t.Context(), adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: []string{m.id}}, Event: adapter.Event{Name: "x", Data: []byte(`["x"]`)}})
		time.Sleep(20 * time.Millisecond)
		return err == nil && len(m.texts()) > 6
	})
}

// TestAway starts nodes before Redis, and takes Redis away under them.
func TestAway(t *testing.T) {
	s := ownServer(t)
	s.kill()
	a := open(t, Options{URL: "redis://" + s.addr, Timeout: 300 * time.Millisecond, Beat: 200 * time.Millisecond})
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	a.Open("/", discard{})
	refused := func() {
		t.Helper()
		begun := time.Now()
		_, err := a.Append(t.Context(), entry("a", "0"))
		if !errors.Is(err, adapter.ErrUnavailable) || time.Since(begun) > 20*time.Second {
			t.Errorf("append without Redis: %v after %v", err, time.Since(begun))
		}
		if st := a.Status(); st.Ready || st.Reason == "" {
			t.Errorf("status %+v", st)
		}
	}
	refused()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	ready(t, a)
	a.CloseNamespace("/")
	m := newMember(t, a, "a")
	m.append("a", "0")
	m.wantTexts(1)
	s.kill()
	until(t, "degraded", func() bool { return !a.Status().Ready })
	refused()
	// Ephemeral events go on among this node's own.
	until(t, "a local event", func() bool {
		_ = a.Emit(t.Context(), adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: []string{"a"}}, Event: adapter.Event{Name: "x", Data: []byte(`["x"]`)}})
		return len(m.texts()) > 1
	})
	if m.isFenced() {
		t.Error("the connection was closed")
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	ready(t, a)
	if again := m.append("a", "0"); !again.Duplicate || again.Seq != 1 {
		t.Errorf("the retry made a second message: %+v", again)
	}
}

// TestReaped lets a node sleep for longer than its lease: what it had is taken
// away, and it closes its connections and begins a new life.
func TestReaped(t *testing.T) {
	f := newFleet(t, shared.get(t).addr, 2, Options{Beat: 100 * time.Millisecond, Lease: 600 * time.Millisecond, Timeout: time.Second})
	a, b := f.nodes[0], f.nodes[1]
	m, n := newMember(t, a, "a"), newMember(t, b, "a")
	if _, err := a.Enter(t.Context(), "/", "a", m.id, adapter.Person{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	o, err := a.Create(t.Context(), adapter.Session{PID: "pid", SID: "sid", Namespace: "/"})
	if err != nil {
		t.Fatal(err)
	}
	life := a.incarnation()
	f.proxies[0].cut.Store(true)
	f.proxies[0].drop()
	until(t, "the node is reaped", func() bool {
		_, total, err := b.People(t.Context(), "/", "a", "", 1)
		return err == nil && total == 0
	})
	if nodes, err := b.Nodes(t.Context()); err != nil || len(nodes) != 1 {
		t.Errorf("nodes %v, %v", nodes, err)
	}
	if m.isFenced() {
		t.Error("expiry alone has fenced")
	}
	f.proxies[0].cut.Store(false)
	until(t, "fenced", m.isFenced)
	ready(t, a)
	until(t, "a new life", func() bool {
		nodes, err := b.Nodes(t.Context())
		return err == nil && len(nodes) == 2 && a.incarnation() != life
	})
	if err := a.Save(t.Context(), o, nil); err != nil && !errors.Is(err, adapter.ErrFenced) {
		t.Error(err)
	}
	// What the layer above does when a connection was fenced ends no session:
	// its client comes back for it.
	a.End(o)
	time.Sleep(300 * time.Millisecond)
	if _, _, err := b.Claim(t.Context(), "/", "pid"); err != nil {
		t.Errorf("the session of the reaped node: %v", err)
	}
	fresh := &member{t: t, a: a, id: "fresh"}
	if err := a.Add(t.Context(), "/", fresh, nil); err != nil {
		t.Error(err)
	}
	a.Remove("/", fresh)
	n.append("a", "0")
	n.wantTexts(1)
}

// TestAudit takes an entry away from the link: only the head tells.
func TestAudit(t *testing.T) {
	s := shared.get(t)
	f := newFleet(t, s.addr, 1, Options{Audit: 200 * time.Millisecond})
	a := f.nodes[0]
	m := newMember(t, a, "a")
	m.append("a", "0")
	m.wantTexts(1)
	l := a.lanes[0]
	l.mu.Lock()
	l.rooms["/,a"].seq = 0 // as if the link had never brought it
	l.mu.Unlock()
	before := l.repaired.Load()
	until(t, "the audit to notice", func() bool { return l.repaired.Load() > before })
}

// TestLinger looks at who is subscribed to what.
func TestLinger(t *testing.T) {
	s := shared.get(t)
	f := newFleet(t, s.addr, 2, Options{Linger: 200 * time.Millisecond})
	m := newMember(t, f.nodes[0], "a")
	c := s.client(t)
	channel := f.nodes[0].base(0) + "c:/,a"
	subscribers := func() int64 {
		got, err := c.PubSubNumSub(t.Context(), channel).Result()
		if err != nil {
			t.Fatal(err)
		}
		return got[channel]
	}
	if n := subscribers(); n != 1 {
		t.Errorf("%d nodes are subscribed, one has a member", n)
	}
	if err := m.a.Leave(t.Context(), "/", m, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if n := subscribers(); n != 1 {
		t.Error("no linger")
	}
	until(t, "the linger to end", func() bool { return subscribers() == 0 })
	m.join("a")
	m.append("a", "0")
	m.wantTexts(1)
}

// TestBufferLimit fills a subscriber's output buffer until Redis cuts it off.
func TestBufferLimit(t *testing.T) {
	s := ownServer(t, "--client-output-buffer-limit", "pubsub 64kb 0 0")
	f := newFleet(t, s.addr, 2, Options{})
	m := newMember(t, f.nodes[1], "a")
	f.proxies[1].delay.Store(int64(30 * time.Millisecond))
	pad := strings.Repeat("x", 8<<10)
	const total = 300
	for i := range total {
		e := entry("a", strconv.Itoa(i))
		e.User = pad
		if _, err := f.nodes[0].Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	f.proxies[1].delay.Store(0)
	m.wantTexts(total)
	info, err := s.client(t).Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(info, "client_output_buffer_limit_disconnections:0\r") {
		t.Log("the limit was not hit; the kernel's buffers were large enough")
	}
}

// TestScriptFlush takes the scripts away under way.
func TestScriptFlush(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 1, Options{})
	m := newMember(t, f.nodes[0], "a")
	w := startWriter(t, f.nodes[0], "a")
	c := s.client(t)
	for range 5 {
		time.Sleep(20 * time.Millisecond)
		if err := c.ScriptFlush(t.Context()).Err(); err != nil {
			t.Error(err)
		}
		m.join("b")
		if err := m.a.Leave(t.Context(), "/", m, []string{"b"}); err != nil {
			t.Error(err)
		}
	}
	m.wantTexts(w.end())
}

// TestRefusals are the answers by which Redis does not do what it is told.
func TestRefusals(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 1, Options{Timeout: 400 * time.Millisecond, Beat: 100 * time.Millisecond, Lease: 30 * time.Second})
	m := newMember(t, f.nodes[0], "a")
	m.append("a", "0")
	c := s.client(t)
	for i, r := range []struct {
		name, value, back string
		want              error
	}{
		{"maxmemory", "1", "0", adapter.ErrFull},
		{"min-replicas-to-write", "1", "0", adapter.ErrUnavailable},
	} {
		if err := c.ConfigSet(t.Context(), r.name, r.value).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.a.Append(t.Context(), entry("a", strconv.Itoa(i+1))); !errors.Is(err, r.want) {
			t.Errorf("%s: %v", r.name, err)
		}
		until(t, "not ready", func() bool { return !m.a.Status().Ready })
		if err := c.ConfigSet(t.Context(), r.name, r.back).Err(); err != nil {
			t.Fatal(err)
		}
		ready(t, m.a)
		if got := m.append("a", strconv.Itoa(i+1)); got.Seq != uint64(i+2) {
			t.Errorf("%s: %+v", r.name, got)
		}
	}
	m.wantTexts(3)
	// A primary that has become a replica, and a primary again.
	other := ownServer(t)
	host, port, _ := strings.Cut(other.addr, ":")
	if err := c.ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.a.Append(t.Context(), entry("a", "3")); !errors.Is(err, adapter.ErrUnavailable) {
		t.Errorf("on a replica: %v", err)
	}
	until(t, "not ready", func() bool { return !m.a.Status().Ready })
}
