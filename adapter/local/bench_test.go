package local_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

// counting is a receiver that does nothing but count.
type counting struct{ n int }

func (c *counting) Deliver(_ *adapter.Delivery, to []adapter.Socket) { c.n += len(to) }
func (*counting) Gap(adapter.Gap, []adapter.Socket)                  {}
func (*counting) Presence(adapter.PresenceChange, []adapter.Socket)  {}
func (*counting) ServerEvent(adapter.Event, func([]byte))            {}

// BenchmarkAppend is the log's group commit: appenders that each wait for the
// answer before the next message, over 20 rooms, 200 bytes a message. On disk
// every answer means a sync. It reports appends a second and the latency's
// median and 99th percentile.
func BenchmarkAppend(b *testing.B) {
	for _, store := range []string{"memory", "disk"} {
		for _, appenders := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/appenders=%d", store, appenders), func(b *testing.B) {
				o := local.Options{}
				if store == "disk" {
					o.Dir = b.TempDir()
				}
				a := open(b, o)
				a.Open("/", &counting{})
				data := []byte(`["message","` + string(slices.Repeat([]byte("x"), 180)) + `"]`)
				var mu sync.Mutex
				var took []time.Duration
				work := make(chan int)
				var wg sync.WaitGroup
				for range appenders {
					wg.Go(func() {
						var mine []time.Duration
						for i := range work {
							began := time.Now()
							_, err := a.Append(context.Background(), adapter.Append{
								Namespace: "/", Room: fmt.Sprint("room", i%20), Event: adapter.Event{Name: "message", Data: data},
								Sender: "sender", User: "user", ID: fmt.Sprint(i), Key: fmt.Sprint("user/", i),
							})
							if err != nil {
								b.Error(err)
							}
							mine = append(mine, time.Since(began))
						}
						mu.Lock()
						took = append(took, mine...)
						mu.Unlock()
					})
				}
				b.ResetTimer()
				began := time.Now()
				for i := range b.N {
					work <- i
				}
				close(work)
				wg.Wait()
				b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "appends/s")
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}

// BenchmarkEmit1000 is an emit to a room of 1,000 sockets, from the call to
// the Receiver.
func BenchmarkEmit1000(b *testing.B) {
	for _, class := range []adapter.Class{adapter.Ephemeral, adapter.Recoverable} {
		b.Run([]string{"ephemeral", "recoverable"}[class], func(b *testing.B) {
			a := open(b, local.Options{Queue: 64})
			a.Open("/", &counting{})
			for i := range 1000 {
				join(b, a, sock(fmt.Sprint("s", i)), "room")
			}
			e := adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: []string{"room"}}, Class: class, Event: adapter.Event{Name: "e", Data: []byte(`["e"]`)}}
			b.ReportAllocs()
			for b.Loop() {
				if err := a.Emit(context.Background(), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func join(t testing.TB, a *local.Adapter, s adapter.Socket, rooms ...string) {
	t.Helper()
	ctx := context.Background()
	if err := a.Add(ctx, "/", s, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Join(ctx, "/", s, rooms, false, nil); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkJoin is a join with a read of the room's newest 50 messages, and
// the leave.
func BenchmarkJoin(b *testing.B) {
	for _, store := range []string{"memory", "disk"} {
		b.Run(store, func(b *testing.B) {
			o := local.Options{}
			if store == "disk" {
				o.Dir = b.TempDir()
			}
			a := open(b, o)
			a.Open("/", &counting{})
			ctx := context.Background()
			for i := range 100 {
				if _, err := a.Append(ctx, message("room", fmt.Sprint(i))); err != nil {
					b.Fatal(err)
				}
			}
			s := sock("s")
			join(b, a, s)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Join(ctx, "/", s, []string{"room"}, true, &adapter.LogRead{Limit: 50}); err != nil {
					b.Fatal(err)
				}
				if err := a.Leave(ctx, "/", s, []string{"room"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestEmitAllocates: an emit costs one piece of memory, however many get it.
func TestEmitAllocates(t *testing.T) {
	a := open(t, local.Options{})
	a.Open("/", &counting{})
	for i := range 1000 {
		join(t, a, sock(fmt.Sprint("s", i)), "room")
	}
	e := adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: []string{"room"}}, Event: adapter.Event{Name: "e", Data: []byte(`["e"]`)}}
	n := testing.AllocsPerRun(200, func() {
		if err := a.Emit(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	})
	if n > 3 { // the queue may grow now and then
		t.Errorf("%v allocations for an emit to 1,000 sockets", n)
	}
}
