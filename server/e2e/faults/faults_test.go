package main

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFaults is the short form: the faults that matter most, one after the
// other in one world of each form.
func TestFaults(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	bin, err := buildServer(t.Context(), t.TempDir(), raceEnabled)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		form, faults string
	}{
		{"single", "node-kill+node-term/client-switch"},
		{"always", "node-kill/client-switch/subscriber-kill+redis-kill"},
		{"always", "node-rollout"},
		{"everysec", "flush+redis-kill"},
	} {
		t.Run(tt.form+" "+strings.ReplaceAll(tt.faults, "/", " beside "), func(t *testing.T) {
			s := settings{bin: bin, here: here, nodes: 1, size: short, seed: rand.Uint64N(1e9), out: t.Output()}
			s.form = forms[slices.IndexFunc(forms, func(f form) bool { return f.name == tt.form })]
			if s.form.fleet {
				s.nodes = 3
			}
			mix, err := parseMix(tt.faults, faultsFor(s.form))
			if err != nil {
				t.Fatal(err)
			}
			f, err := run(t.Context(), s, *mix)
			if f == nil {
				t.Fatal(err)
			}
			var line strings.Builder
			ok := f.kept(s.mayLose(*mix))
			writeLine(&line, f, ok)
			t.Logf("seed %d: %s", s.seed, &line)
			if !ok {
				t.Error("a promise was broken")
			}
		})
	}
}

// TestMixes: the same seed, the same mix.
func TestMixes(t *testing.T) {
	names := func(seed uint64) (all string) {
		o := &options{mixes: 3, parts: 5, fleet: 3, forms: "single,always,everysec", settings: settings{seed: seed}}
		plan, err := o.plan()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range plan {
			all += s.form.name + " " + s.fault.name + "\n"
		}
		return all
	}
	if first, again := names(7), names(7); first != again {
		t.Error("the same seed gives another plan")
	}
	if names(7) == names(8) {
		t.Error("another seed gives the same plan")
	}
}

// TestRelay: what each kind of bad network does to a connection.
func TestRelay(t *testing.T) {
	echo := newEcho(t)
	r, err := newRelay(func() (string, error) { return echo.addr(), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	random := rand.New(rand.NewPCG(1, 1))

	c := dialEcho(t, r.addr())
	c.mustEcho("passes")
	if n := r.stall(); n != 1 {
		t.Fatalf("stalled %d connections", n)
	}
	c.send("held")
	c.silent()
	r.mend()
	c.expect("held")

	halve(r.some(random, 1))
	c.send("swallowed")
	c.silent()
	r.mend()
	c.silent()

	d := dialEcho(t, r.addr())
	d.mustEcho("a new connection passes")
	pairs := r.some(random, 1)
	pairs[len(pairs)-1].bury()
	d.ended()
	if n := echo.open(); n != 2 {
		t.Errorf("the far side has %d connections, expected both to be believed in", n)
	}

	e := dialEcho(t, r.addr())
	e.mustEcho("another")
	if r.slow(100) == 0 {
		t.Error("slowed nothing")
	}
	began := time.Now()
	e.send(strings.Repeat("x", 60))
	e.expect(strings.Repeat("x", 60))
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("60 bytes at 100 a second took %v", took)
	}
	r.mend()
	r.cut()
	e.ended()
	dialEcho(t, r.addr()).ended()
	r.mend()
	dialEcho(t, r.addr()).mustEcho("mended")
}
