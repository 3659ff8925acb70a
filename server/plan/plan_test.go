package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func drawLoad(t *rapid.T) *Load {
	wide := func(name string, least, most float64) float64 {
		return math.Exp(rapid.Float64Range(math.Log(least), math.Log(most)).Draw(t, name))
	}
	return &Load{
		Users: wide("users", 1, 1e8), Rooms: wide("rooms", 1, 1e8), Joined: rapid.Float64Range(0, 20).Draw(t, "joined"),
		Rate: wide("rate", 0.01, 1e6), Text: wide("text", 1, 65536), Typing: rapid.Float64Range(0, 3).Draw(t, "typing"),
		Requests: rapid.Float64Range(0, 3).Draw(t, "requests"), Connects: rapid.Float64Range(0, 10).Draw(t, "connects"),
		Keep: wide("keep", 1, 1e8), Last: wide("last", 1, 1e6),
	}
}

// TestMonotonic: who wants more, never needs less.
func TestMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		less := drawLoad(t)
		more := *less
		by := rapid.Float64Range(1, 10).Draw(t, "by")
		what := rapid.SampledFrom([]string{"users", "joined", "rate", "text", "typing", "requests", "connects", "keep", "last"}).Draw(t, "what")
		*map[string]*float64{
			"users": &more.Users, "joined": &more.Joined, "rate": &more.Rate, "text": &more.Text, "typing": &more.Typing,
			"requests": &more.Requests, "connects": &more.Connects, "keep": &more.Keep, "last": &more.Last,
		}[what] *= by
		m := &Machine{VCPUs: 2, GiB: 8, Sessions: 250_000, Busy: 0.6, Spare: 1, Least: 2}
		a, b := Size(less, m), Size(&more, m)
		for name, v := range map[string][2]float64{
			"nodes": {a.Nodes, b.Nodes}, "by cpu": {a.ByCPU, b.ByCPU}, "by memory": {a.ByMem, b.ByMem}, "by connections": {a.ByConns, b.ByConns},
			"node cores": {a.NodeCPU, b.NodeCPU}, "Redis primaries": {a.Shards, b.Shards}, "Redis memory": {a.RedisUsed, b.RedisUsed},
			"deliveries": {a.Deliveries, b.Deliveries}, "out": {a.Network.Out, b.Network.Out}, "in": {a.Network.In, b.Network.In},
			"to Redis": {a.Network.Redis, b.Network.Redis},
		} {
			if v[1] < v[0]*(1-1e-9) {
				t.Errorf("%g times the %s: %s goes from %g to %g", by, what, name, v[0], v[1])
			}
		}
		if busy := b.NodeCPU / (b.Nodes * m.VCPUs); busy > m.Busy*1.001 {
			t.Errorf("nodes are busy to %g", busy)
		}
		if b.RedisCPU > 0.6 && b.Shards < 1e9 { // where the search ends: more than there will ever be
			t.Errorf("a primary is busy to %g", b.RedisCPU)
		}
	})
}

// TestBounds: each bound is named when it is the one.
func TestBounds(t *testing.T) {
	m := Machine{VCPUs: 2, GiB: 8, Sessions: 250_000, Busy: 0.6, Least: 1}
	small := m
	small.GiB = 0.5
	for _, tt := range []struct {
		want string
		load Load
		on   Machine
	}{
		{"least", Load{Users: 10, Rooms: 1, Joined: 1, Rate: 1, Text: 100, Last: 10}, m},
		{"cpu", Load{Users: 10_000, Rooms: 1000, Joined: 1, Rate: 20_000, Text: 100, Last: 10}, m},
		{"connections", Load{Users: 1e6, Rooms: 1e5, Joined: 1, Rate: 1, Text: 100, Last: 10}, m},
		{"memory", Load{Users: 1e6, Rooms: 1e5, Joined: 1, Rate: 1, Text: 100, Last: 10}, small},
	} {
		if n := Size(&tt.load, &tt.on); n.Bound != tt.want {
			t.Errorf("bound by %s with %g nodes, want %s", n.Bound, n.Nodes, tt.want)
		}
	}
}

// TestTurn: on both sides of the point that is named it is as it is said.
func TestTurn(t *testing.T) {
	p, err := ReadPrices(bytes.NewReader(ours))
	if err != nil {
		t.Fatal(err)
	}
	l := &Load{Users: 10_000, Rooms: 1000, Joined: 1, Rate: 100, Text: 128, Connects: 1, Keep: 3600, Last: 1000}
	turn := p.Turn(l, 0.6, maxSessions)
	if turn < 600 || turn > 5000 {
		t.Errorf("Cloud Run is cheaper up to %g users", turn)
	}
	at := p.places(0.6, maxSessions)
	for n, want := range map[float64]bool{turn: true, 1.02 * turn: false, 10 * turn: false} {
		run, _ := p.bill(l.scaled(n), &at[0])
		vms, _ := p.bill(l.scaled(n), &at[2])
		if got := run.Total <= vms.Total; got != want {
			t.Errorf("%g users: Cloud Run %g, VMs %g", n, run.Total, vms.Total)
		}
	}
}

func TestCommand(t *testing.T) {
	var text, js bytes.Buffer
	args := []string{"--users", "250_000", "--rooms=25000", "--rate", "2000"}
	if err := Command(args, &text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"250,000 users in 25,000 rooms (10 members each)", "Cloud Run", "Redis primaries", "costs no more than VMs up to"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if err := Command(append(args, "--json"), &js); err != nil {
		t.Fatal(err)
	}
	var p Plan
	if err := json.Unmarshal(js.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Load.Users != 250_000 || len(p.Bills) != 3 || p.Bills[2].Total <= 0 || p.Needs["VMs"].Nodes < 2 || p.Needs["Cloud Run"].Nodes < 417 {
		t.Errorf("%+v", p)
	}
}

func TestWrongFlags(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "prices.yaml")
	if err := os.WriteFile(bad, []byte("date: 2026-11-25\nhours: 730\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "less.yaml")
	if err := os.WriteFile(missing, bytes.Replace(ours, []byte("egress_gib: 0.12"), nil, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--users", "0"}, {"--users", "NaN"}, {"--rate", "-1"}, {"--rate", "many"}, {"--rooms"}, {"--unknown", "1"}, {"more"}, {"--keep", "-1s"},
		{"--rooms", "1", "--joined", "2"}, {"--prices", "nowhere.yaml"}, {"--prices", bad}, {"--prices", missing}, {"--text", "1e9"}, {"--busy", "0"},
	} {
		var out bytes.Buffer
		err := Command(args, &out)
		var wrong *FlagError
		if !errors.As(err, &wrong) || strings.Contains(err.Error(), "\n") || out.Len() > 0 {
			t.Errorf("%q: %v; wrote %q", args, err, &out)
		}
	}
}

// FuzzPrices: no file of prices makes a panic, or a price that is none.
func FuzzPrices(f *testing.F) {
	f.Add(ours)
	f.Add([]byte("vm: {hour: .inf}"))
	f.Add([]byte("date: [1]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ReadPrices(bytes.NewReader(text))
		if err != nil {
			return
		}
		if b, _ := p.bill(&Load{Users: 1000, Rooms: 100, Joined: 1, Rate: 10, Text: 128, Last: 100}, &p.places(0.6, maxSessions)[2]); !(b.Total > 0) || math.IsInf(b.Total, 0) {
			t.Errorf("%+v", b)
		}
	})
}
