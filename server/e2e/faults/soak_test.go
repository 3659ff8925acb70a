package main

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSoak is a soak of seconds, with one kind of fault: the load tool finds
// nothing amiss, and everything is sampled.
func TestSoak(t *testing.T) {
	bin, err := buildServer(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "soak.json")
	o := &options{json: file, settings: settings{bin: bin, seed: rand.Uint64N(1e9), out: t.Output()}}
	o.soak = soak{duration: 14 * time.Second, every: 3 * time.Second, clients: 60, rate: 60, tail: 10 * time.Second, faults: []string{"node-kill"}}
	if err := o.soakAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got soakReport
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Samples) == 0 {
		t.Fatal("no samples")
	}
	for _, s := range got.Samples {
		if s.Heap <= 0 || s.Resident <= s.Heap || s.Goroutines <= 0 || s.Files <= 0 || s.Sessions <= 0 || s.Keys <= 0 || s.RedisBytes <= s.RedisData || s.RedisData <= 0 || s.RedisScripts <= 0 {
			t.Errorf("%+v", s)
		}
	}
	if n := len(got.Keys); n < 5 {
		t.Errorf("%d kinds of keys: %+v", n, got.Keys)
	}
	var load struct {
		Counts struct{ Acked, Reconnects int }
	}
	if err := json.Unmarshal(got.Load, &load); err != nil {
		t.Fatal(err)
	}
	if load.Counts.Acked == 0 || load.Counts.Reconnects == 0 {
		t.Errorf("%+v", load.Counts)
	}
}

// TestFit: of many lines with noise, the true slope is nearly always within the
// error, also when the noise wanders.
func TestFit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, tt := range []struct {
		wander float64
		least  int // of 1,000
	}{{0, 930}, {0.6, 900}} {
		within := 0
		for range 1000 {
			var x, y []float64
			e := 0.0
			for i := range 100 {
				e = tt.wander*e + random.NormFloat64()
				x, y = append(x, float64(i)/360), append(y, 50+12*float64(i)/360+e)
			}
			if f := fit(x, y); math.Abs(f.Slope-12) <= f.Error {
				within++
			}
		}
		if within < tt.least {
			t.Errorf("noise that keeps %g of itself: %d of 1,000 within the error", tt.wander, within)
		}
	}
	if f := fit([]float64{1, 2, 3}, []float64{1, 2, 3}); !f.Few || f.grows() {
		t.Errorf("three samples say something: %+v", f)
	}
	line := trend{Mean: 100, Slope: 30, Error: 10}
	if !line.grows() {
		t.Error("growth of 20 to 40 % an hour is none")
	}
	if line.Error = 25; line.grows() {
		t.Error("5 to 55 % an hour is growth for certain")
	}
}

func TestTrends(t *testing.T) {
	var samples []soakSample
	for i := range 50 {
		v := 1000.0
		if i < 10 {
			v = float64(100 * i) // warms up
		}
		samples = append(samples, soakSample{Seconds: float64(10 * i), Goroutines: v, Keys: float64(i)})
	}
	for _, tr := range trendsOf(samples) {
		if grows := tr.grows(); grows != (tr.What == "Redis keys") {
			t.Errorf("%+v", tr)
		}
	}
}

func TestParseMetrics(t *testing.T) {
	got := parseMetrics(strings.Join([]string{
		"# HELP a of", "# TYPE a gauge", "a 3", `b{x="1",y="a b"} 2`, `b{x="2"} 5e2`, "", "broken", "c NaN x",
	}, "\n"))
	if got["a"] != 3 || got["b"] != 502 || len(got) != 2 {
		t.Error(got)
	}
}

func TestSoakOptions(t *testing.T) {
	for _, args := range [][]string{
		{"-soak", "1m"}, {"-soak", "3h"}, {"-soak", "10m", "-every", "1s"}, {"-soak", "10m", "-clients", "1"}, {"-soak", "10m", "-rate", "0"}, {"-soak", "10m", "-rate", "NaN"},
	} {
		var o options
		if err := o.parse(args, t.Output()); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	for _, name := range soakFaults {
		f := find(faultsFor(forms[1]), name)
		if f == nil || f.loses || f.restless || f.clock || f.env != nil {
			t.Errorf("%s is nothing for a soak", name)
		}
	}
}
