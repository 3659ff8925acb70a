package redis

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/adaptertest"
)

// fleet is some nodes on one Redis, each behind its own proxy.
type fleet struct {
	nodes   []*Adapter
	options []Options
	proxies []*proxy
}

func settings(s adaptertest.Settings) Options {
	o := Options{Window: s.Window, Grace: s.Grace, DedupeWindow: s.DedupeWindow, LogMax: s.LogMax, RecoverablePerRoom: s.RecoverableMax}
	if os.Getenv("ANTCHAT_TEST_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return o
}

func ready(t testing.TB, a *Adapter) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for !a.Status().Ready {
		if time.Now().After(end) {
			t.Fatalf("not ready: %s", a.Status().Reason)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func open(t testing.TB, o Options) *Adapter {
	t.Helper()
	a, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (f *fleet) Node(i int) adapter.Adapter { return f.nodes[i] }

func (f *fleet) Restart(t testing.TB, i int) {
	t.Helper()
	if err := f.nodes[i].Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	f.nodes[i] = open(t, f.options[i])
	ready(t, f.nodes[i])
}

func (f *fleet) Kill(t testing.TB, i int) {
	t.Helper()
	f.nodes[i].die()
	f.nodes[i] = open(t, f.options[i])
	ready(t, f.nodes[i])
}

func (f *fleet) Delay(_ testing.TB, i int, by time.Duration) {
	if i < len(f.proxies) {
		f.proxies[i].delay.Store(int64(by))
	}
}

// CutLink ends the subscriber's connection only.
func (f *fleet) CutLink(_ testing.TB, i int) {
	for _, l := range f.nodes[i].lanes {
		l.mu.Lock()
		if l.ps != nil {
			_ = l.ps.Close()
		}
		l.mu.Unlock()
	}
}

// DuplicateReplies lets each append reach Redis twice: its first answer is
// lost.
func (f *fleet) DuplicateReplies(_ testing.TB, i int, on bool) {
	for _, l := range f.nodes[i].lanes {
		l.pipe.twice.Store(on)
	}
}

// newFleet makes nodes on the Redis at addr, each behind a proxy, or on what
// o.URL names.
func newFleet(t testing.TB, addr string, n int, o Options) *fleet {
	t.Helper()
	f := &fleet{}
	o.Prefix = prefix()
	for range n {
		if addr != "" {
			p := newProxy(t, addr)
			o.URL = "redis://" + p.addr()
			f.proxies = append(f.proxies, p)
		}
		f.options = append(f.options, o)
		f.nodes = append(f.nodes, open(t, o))
	}
	t.Cleanup(func() {
		for _, a := range f.nodes {
			if err := a.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	for _, a := range f.nodes {
		ready(t, a)
	}
	return f
}

func TestSuite(t *testing.T) {
	adaptertest.Run(t, adaptertest.Factory{
		MaxNodes: 3,
		New: func(t testing.TB, n int, s adaptertest.Settings) adaptertest.Fleet {
			return newFleet(t, shared.get(t).addr, n, settings(s))
		},
	})
}

// losingFleet is a fleet on a server of its own, which can be put back to what
// it was.
type losingFleet struct {
	*fleet
	server *server
	copied string
}

// spaced keeps losses as far apart as the script counts on (MARGIN).
func spaced() { time.Sleep(25 * time.Millisecond) }

func (f *losingFleet) Save(t testing.TB) {
	t.Helper()
	f.copied = t.TempDir()
	if err := os.CopyFS(f.copied, os.DirFS(f.server.dir)); err != nil {
		t.Fatal(err)
	}
}

func (f *losingFleet) Rewind(t testing.TB) {
	t.Helper()
	f.server.kill()
	spaced()
	if err := os.RemoveAll(f.server.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(f.server.dir, os.DirFS(f.copied)); err != nil {
		t.Fatal(err)
	}
	if err := f.server.start(); err != nil {
		t.Fatal(err)
	}
}

func (f *losingFleet) Wipe(t testing.TB) {
	t.Helper()
	spaced()
	if err := f.server.client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestLosses runs the suite's part on losses alone: the rest needs no server
// that forgets.
func TestLosses(t *testing.T) {
	adaptertest.RunLosses(t, adaptertest.Factory{
		MaxNodes: 3,
		New: func(t testing.TB, n int, s adaptertest.Settings) adaptertest.Fleet {
			o := settings(s)
			o.Beat, o.Lease = 200*time.Millisecond, 30*time.Second
			own := ownServer(t)
			return &losingFleet{fleet: newFleet(t, own.addr, n, o), server: own}
		},
	})
}
