package overload

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSteps: what is shed after which readings.
func TestSteps(t *testing.T) {
	limits := [Steps]Limit{
		Connections: {Memory: 0.5, Delay: 100 * time.Millisecond},
		Ephemeral:   {Memory: 0.7},
		Reads:       {Delay: time.Second},
		Writes:      {}, // never
	}
	// shed says what is to be shed: c, e, r, w.
	type at struct {
		r     Reading
		times int
		shed  string
	}
	calm := Reading{Memory: 0.1, Delay: time.Millisecond}
	for _, tt := range []struct {
		name     string
		readings []at
	}{
		{"calm", []at{{calm, 10, ""}}},
		{"one accident begins nothing", []at{{Reading{Memory: 1, Delay: time.Hour}, 1, ""}, {calm, 1, ""}, {Reading{Memory: 1, Delay: time.Hour}, 1, ""}}},
		{"memory", []at{{Reading{Memory: 0.5, Delay: 0}, 1, ""}, {Reading{Memory: 0.5, Delay: 0}, 1, "c"}, {Reading{Memory: 0.71, Delay: 0}, 2, "ce"}}},
		{"delay", []at{{Reading{Memory: 0, Delay: 100 * time.Millisecond}, 2, "c"}, {Reading{Memory: 0, Delay: time.Second}, 2, "cr"}}},
		{"all that has a limit", []at{{Reading{Memory: 1, Delay: time.Hour}, 10, "cer"}}},
		{"either of the two", []at{{Reading{Memory: 0.6, Delay: 0}, 1, ""}, {Reading{Memory: 0, Delay: 200 * time.Millisecond}, 1, "c"}}},
		{"ends after a while", []at{{Reading{Memory: 0.6, Delay: 0}, 2, "c"}, {calm, 3, "c"}, {calm, 1, ""}}},
		{"not while it is close", []at{{Reading{Memory: 0.6, Delay: 0}, 2, "c"}, {Reading{Memory: 0.46, Delay: 0}, 100, "c"}, {Reading{Memory: 0.44, Delay: 0}, 4, ""}}},
		{"the while begins again", []at{{Reading{Memory: 0.6, Delay: 0}, 2, "c"}, {calm, 3, "c"}, {Reading{Memory: 0.46, Delay: 0}, 1, "c"}, {calm, 3, "c"}, {calm, 1, ""}}},
		{"one after the other", []at{{Reading{Memory: 0.8, Delay: 0}, 2, "ce"}, {Reading{Memory: 0.6, Delay: 0}, 4, "c"}, {calm, 4, ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var now atomic.Value
				now.Store(calm)
				changes := ""
				m := New(Options{
					Limits: limits, Every: time.Second, Read: func() Reading { return now.Load().(Reading) },
					Hooks: Hooks{Changed: func(s Step, sheds bool, _ Reading) {
						if sheds {
							changes += "+"
						} else {
							changes += "-"
						}
						changes += s.String()[:1]
					}},
				})
				defer m.Close()
				shed := func() (all string) {
					for s := range Step(Steps) {
						if m.Sheds(s) {
							all += s.String()[:1]
						}
					}
					return all
				}
				before := ""
				expected := 0
				for i, a := range tt.readings {
					now.Store(a.r)
					time.Sleep(time.Duration(a.times) * time.Second)
					synctest.Wait()
					if got := shed(); got != a.shed {
						t.Fatalf("after %d of %d: sheds %q, want %q", i, len(tt.readings), got, a.shed)
					}
					for _, s := range "cerw" {
						if slices.Contains([]rune(before), s) != slices.Contains([]rune(a.shed), s) {
							expected++
						}
					}
					before = a.shed
				}
				synctest.Wait()
				if len(changes) != 2*expected {
					t.Errorf("told %q, there were %d changes", changes, expected)
				}
			})
		})
	}
}

func TestQuantile(t *testing.T) {
	h := &metrics.Float64Histogram{Buckets: []float64{math.Inf(-1), 0, 0.001, 0.01, 0.1, math.Inf(1)}, Counts: []uint64{0, 100, 50, 40, 10}}
	for _, tt := range []struct {
		before []uint64
		share  float64
		want   time.Duration
	}{
		{[]uint64{0, 0, 0, 0, 0}, 0.9, 10 * time.Millisecond},   // the 181st of 200
		{[]uint64{0, 0, 0, 0, 0}, 0.95, 100 * time.Millisecond}, // the 191st
		{[]uint64{0, 0, 0, 0, 0}, 0.5, time.Millisecond},        // the 101st
		{[]uint64{0, 0, 0, 0, 0}, 0.1, 0},
		{[]uint64{0, 100, 50, 40, 0}, 0.9, 100 * time.Millisecond}, // only the last ten are new
		{[]uint64{0, 100, 50, 40, 5}, 0.9, 0},                      // too few
		{[]uint64{0, 100, 50, 40, 10}, 0.9, 0},
	} {
		if got := quantile(h, tt.before, tt.share, 8); got != tt.want {
			t.Errorf("%v of what was counted since %v: %v, want %v", tt.share, tt.before, got, tt.want)
		}
	}
}

// TestGauge reads this process: what is held counts, what is garbage does not.
func TestGauge(t *testing.T) {
	old := debug.SetMemoryLimit(512 << 20)
	defer debug.SetMemoryLimit(old)
	g := newGauge(time.Hour) // so that nothing is late
	runtime.GC()
	before := g.read()
	if before.Memory <= 0 || before.Memory > 0.5 || before.Delay < 0 {
		t.Errorf("at first %+v", before)
	}
	held := [][]byte{make([]byte, 128<<20)}
	runtime.GC()
	with := g.read()
	if grown := with.Memory - before.Memory; grown < 0.2 || grown > 0.3 {
		t.Errorf("128 of 512 MiB: from %v to %v", before.Memory, with.Memory)
	}
	held[0] = nil
	runtime.GC()
	if after := g.read(); after.Memory > before.Memory+0.05 {
		t.Errorf("after it was let go: %v", after.Memory)
	}
	runtime.KeepAlive(held)

	debug.SetMemoryLimit(math.MaxInt64)
	if r := g.read(); r.Memory != 0 {
		t.Errorf("without a limit: %v", r.Memory)
	}

	// More goroutines want to run than can.
	stop := make(chan struct{})
	var spun atomic.Int64
	for range 64 * runtime.GOMAXPROCS(0) {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					spun.Add(1)
					runtime.Gosched()
					for i := 0; i < 1_000_000; i++ {
						_ = i
					}
				}
			}
		}()
	}
	time.Sleep(300 * time.Millisecond)
	r := g.read()
	close(stop)
	if r.Delay < time.Millisecond {
		t.Errorf("with 64 for each processor the delay is %v", r.Delay)
	}
	late := newGauge(time.Millisecond)
	time.Sleep(50 * time.Millisecond)
	if r := late.read(); r.Delay < 40*time.Millisecond {
		t.Errorf("a reading that comes 49 ms late: %v", r.Delay)
	}
}

// TestFitMemory: what was set by hand stays.
func TestFitMemory(t *testing.T) {
	old := debug.SetMemoryLimit(1 << 30)
	defer debug.SetMemoryLimit(old)
	if limit, fitted, err := FitMemory(); limit != 1<<30 || fitted || err != nil {
		t.Errorf("%d, %v, %v", limit, fitted, err)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	limit, fitted, err := FitMemory()
	if err != nil || fitted != (limit > 0) || fitted && debug.SetMemoryLimit(-1) != limit {
		t.Errorf("%d, %v, %v", limit, fitted, err)
	}
	t.Logf("the container's limit gives %d bytes", limit)
}

// TestStore: who waits for the store keeps new connections away, and nothing else.
func TestStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store atomic.Int64
		limits := [Steps]Limit{}
		for i := range limits {
			limits[i].Delay = time.Second
		}
		m := New(Options{
			Limits: limits,
			Read:   func() Reading { return Reading{} },
			Store:  func() time.Duration { return time.Duration(store.Load()) },
		})
		defer m.Close()
		want := func(sheds bool) {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if m.Sheds(Connections) != sheds || m.Sheds(Ephemeral) || m.Sheds(Reads) || m.Sheds(Writes) {
				t.Errorf("store %v: connections %v", time.Duration(store.Load()), m.Sheds(Connections))
			}
		}
		want(false)
		store.Store(int64(time.Second))
		want(true)
		store.Store(0)
		want(false)
	})
}
