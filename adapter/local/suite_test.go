package local_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/adaptertest"
	"github.com/antchat/antchat/adapter/local"
)

// fleet is a fleet of one.
type fleet struct {
	a *local.Adapter
	o local.Options
}

func (f *fleet) Node(int) adapter.Adapter { return f.a }

// durable is a fleet whose node can be started again.
type durable struct{ fleet }

func (f *durable) Restart(t testing.TB, _ int) {
	t.Helper()
	if err := f.a.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	a, err := local.Open(f.o)
	if err != nil {
		t.Fatal(err)
	}
	f.a = a
}

func options(s adaptertest.Settings) local.Options {
	return local.Options{
		Window: s.Window, Grace: s.Grace, DedupeWindow: s.DedupeWindow, LogMax: s.LogMax,
		RecoverablePerRoom: s.RecoverableMax,
	}
}

// disturbed is an adapter between which and its callers things go wrong.
type disturbed struct {
	*local.Adapter
	delay *atomic.Int64
	twice *atomic.Bool
}

func (d disturbed) Append(ctx context.Context, a adapter.Append) (adapter.Appended, error) {
	time.Sleep(time.Duration(d.delay.Load()))
	got, err := d.Adapter.Append(ctx, a)
	if d.twice.Load() {
		// The answer was lost, so the same is sent again.
		got, err = d.Adapter.Append(ctx, a)
	}
	time.Sleep(time.Duration(d.delay.Load()))
	return got, err
}

func (d disturbed) Join(ctx context.Context, namespace string, s adapter.Socket, rooms []string, hold bool, read *adapter.LogRead) (*adapter.Cut, error) {
	time.Sleep(time.Duration(d.delay.Load()))
	defer time.Sleep(time.Duration(d.delay.Load()))
	return d.Adapter.Join(ctx, namespace, s, rooms, hold, read)
}

// troubled is a fleet of one that can be disturbed. It has no link that could
// be cut.
type troubled struct {
	fleet
	delay atomic.Int64
	twice atomic.Bool
}

func (f *troubled) Node(int) adapter.Adapter { return disturbed{f.a, &f.delay, &f.twice} }

func (f *troubled) Delay(_ testing.TB, _ int, by time.Duration)   { f.delay.Store(int64(by)) }
func (f *troubled) CutLink(testing.TB, int)                       {}
func (f *troubled) DuplicateReplies(_ testing.TB, _ int, on bool) { f.twice.Store(on) }

func TestSuiteMemory(t *testing.T) {
	adaptertest.Run(t, adaptertest.Factory{
		MaxNodes: 1, CountsRecoverable: true,
		New: func(t testing.TB, _ int, s adaptertest.Settings) adaptertest.Fleet {
			o := options(s)
			return &troubled{fleet: fleet{a: open(t, o), o: o}}
		},
	})
}

func TestSuiteDisk(t *testing.T) {
	adaptertest.Run(t, adaptertest.Factory{
		MaxNodes: 1, CountsRecoverable: true,
		New: func(t testing.TB, _ int, s adaptertest.Settings) adaptertest.Fleet {
			o := options(s)
			o.Dir = t.TempDir()
			f := &durable{fleet{o: o}}
			var err error
			if f.a, err = local.Open(o); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.a.Close(context.Background()) })
			return f
		},
	})
}
