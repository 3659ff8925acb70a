package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "fit constants.json to the records first")

// most is how far the model may be from what was measured.
const most = 0.25

// What nobody asks the model about, in cores: of a process, and of each of several
// nodes, whose idling differs from run to run by as much.
const (
	leastCores = 0.002
	leastNode  = 0.0015
)

// comparison is something that was measured, and what the model says of it.
type comparison struct {
	what     string
	measured float64
	model    func() float64
	nodes    float64 // that it is the sum of; 0: one
}

func (c comparison) off() float64 { return c.model()/c.measured - 1 }

// strain is how much of what is allowed the model is away from what was measured.
func (c comparison) strain() float64 {
	by := math.Abs(c.off()) / most
	if c.measured < 1 {
		by = min(by, math.Abs(c.model()-c.measured)/max(leastCores, c.nodes*leastNode))
	}
	return by
}

// readJSON reads a record, and nothing that it does not know if exact.
func readJSON(t *testing.T, path string, exact bool, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if exact {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// growthRecord is what docs/growth.json records (make growth). Left out are points whose load
// the machine did not stand.
func growthRecord(t *testing.T) (all []comparison) {
	var g struct {
		Stages map[string][]struct {
			Size   float64
			Shape  struct{ Users, Rooms, Joined, Rate, Nodes, Copies float64 }
			Values map[string][]float64
		}
	}
	readJSON(t, "../../docs/growth.json", false, &g)
	for _, name := range []string{"members", "connections", "messages", "nodes"} {
		for _, p := range g.Stages[name] {
			v := func(key string) float64 { return median(p.Values[key]) }
			at := p.Shape
			l := &Load{Users: at.Users, Rooms: at.Rooms, Joined: at.Joined, Rate: v("rate"), Text: textMeasured, Last: 1}
			add := func(what, key string, model func() float64) {
				if v(key) > 0 {
					all = append(all, comparison{fmt.Sprintf("%s %g: %s", name, p.Size, what), v(key), model, at.Nodes})
				}
			}
			behind := max(v("p99"), v("ack p99")) > 1000 // ms: it joined writes, which it does not at moderate rates
			if l.Rate >= 0.9*at.Rate && at.Rate > 0 && !behind {
				add("nodes' cores", "node cores", func() float64 { return l.NodeCPU(at.Nodes, at.Copies) })
				add("Redis's cores", "redis cores", func() float64 { return l.RedisCPU(1, at.Nodes, at.Copies) })
				add("bytes to clients a second", "payloads", func() float64 { return l.network(at.Copies).Payloads })
			}
			quiet := *l
			quiet.Rate = 0
			add("nodes' cores when idle", "idle node cores", func() float64 { return quiet.NodeCPU(at.Nodes, at.Copies) })
			add("Redis's cores when idle", "idle redis cores", func() float64 { return quiet.RedisCPU(1, at.Nodes, at.Copies) })
			if rate := v("connect rate"); rate > 0 {
				c := quiet
				c.Connects = 3600 * rate / l.Users
				add("nodes' cores while they connect", "connect node cores", func() float64 { return c.NodeCPU(at.Nodes, at.Copies) })
				if at.Nodes >= 8 { // as fast as few nodes connect, their calls share round trips
					add("Redis's cores while they connect", "connect redis cores", func() float64 { return c.RedisCPU(1, at.Nodes, at.Copies) })
				}
			}
			if name == "connections" && p.Size >= 5000 { // fewer stand on what a heap happens to hold
				add("bytes of a connection", "bytes", func() float64 { return memSession })
				add("bytes of Redis for it", "redis bytes", func() float64 { return (l.RedisUsed(1, 1) - redisNode - redisRoom) / l.Users })
				add("nodes' cores when idle", "node cores", func() float64 { return l.NodeCPU(1, 1) })
			}
		}
	}
	return all
}

// benchmarks are what docs/benchmarks.json records of ours (make bench), as far
// as it is a load that the model knows.
func benchmarks(t *testing.T) (all []comparison) {
	var r struct {
		Idle    float64
		Figures map[string]map[string][]float64
	}
	readJSON(t, "../../docs/benchmarks.json", false, &r)
	v := func(key string) float64 { return median(r.Figures[key]["antchat"]) }
	add := func(key string, measured float64, model func() float64) {
		if v(key) > 0 {
			all = append(all, comparison{what: key, measured: measured, model: model})
		}
	}
	perSecond := func(key, rate string) float64 { return v(key) * v(rate) / 1e6 }
	rooms := &Load{Users: 10_000, Rooms: 1000, Joined: 1, Text: textMeasured, Rate: v("logged rate") / 9, Last: 1}
	add("logged cpu", perSecond("logged cpu", "logged rate"), func() float64 { return rooms.NodeCPU(2, 2) })
	add("logged redis", perSecond("logged redis", "logged rate"), func() float64 { return rooms.RedisCPU(1, 2, 2) })
	// Of broadcasts, whose sender hears its own.
	one := &Load{Users: 1000, Rooms: 1, Joined: 1, Text: textMeasured, Rate: v("fleet-paced rate") / 1000, Last: 1}
	add("fleet-paced cpu", perSecond("fleet-paced cpu", "fleet-paced rate"), func() float64 { return one.NodeCPU(2, 2) })
	idle := &Load{Users: r.Idle, Rooms: 1, Last: 1}
	add("lobby cpu", v("lobby cpu")*r.Idle/10_000/60, func() float64 { return idle.NodeCPU(1, 1) })
	return all
}

// documented are runs that other documents record, of what those two have not:
// one busy core of Redis, a log that is kept.
func documented(t *testing.T) (all []comparison) {
	var runs []struct {
		Name, About   string
		Load          Load
		Nodes, Copies float64
		Measured      map[string]float64
	}
	readJSON(t, "testdata/runs.json", true, &runs)
	for _, r := range runs {
		for what, measured := range r.Measured {
			model := map[string]func() float64{
				"redis_cores": func() float64 { return r.Load.RedisCPU(1, r.Nodes, r.Copies) },
				"redis_used":  func() float64 { return r.Load.RedisUsed(r.Nodes, r.Copies) },
			}[what]
			if model == nil {
				t.Fatalf("%s: the model says nothing of %q", r.Name, what)
			}
			all = append(all, comparison{what: r.Name + ": " + what, measured: measured, model: model})
		}
	}
	return all
}

// TestRecords: the model is within 25 % of what was measured. With -update its
// constants are fitted first.
func TestRecords(t *testing.T) {
	all := slices.Concat(growthRecord(t), benchmarks(t), documented(t))
	if len(all) < 40 {
		t.Fatalf("only %d comparisons", len(all))
	}
	if *update {
		fit(all)
		if err := os.WriteFile("constants.json", write(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range all {
		t.Logf("%-54s measured %10.4g, model %10.4g, %+.0f %%", c.what, c.measured, c.model(), 100*c.off())
		if c.strain() > 1 {
			t.Errorf("%s: %.4g was measured, the model says %.4g: %+.0f %% (go test ./server/plan -run TestRecords -update fits it anew)",
				c.what, c.measured, c.model(), 100*c.off())
		}
	}
}

const page = "../../docs/capacity.md"

// block is what the page shows of the command: its arguments, its output.
var block = regexp.MustCompile("(?s)(<!-- plan ([^>]*) -->\n```\n)(.*?)(```\n)")

// TestPage: docs/capacity.md shows what the command says now. With -update it is
// written so, after the fit above.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	now := block.ReplaceAllStringFunc(string(text), func(old string) string {
		parts := block.FindStringSubmatch(old)
		shown++
		var out bytes.Buffer
		if err := Command(strings.Fields(parts[2]), &out); err != nil {
			t.Errorf("%s: %v", parts[2], err)
		}
		return parts[1] + out.String() + parts[4]
	})
	if shown < 3 {
		t.Errorf("only %d plans are shown", shown)
	}
	if now == string(text) {
		return
	}
	if !*update {
		t.Fatal("docs/capacity.md shows other plans: go test ./server/plan -run TestPage -update")
	}
	if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
}

// misfit is what a fit makes least: what is near its limit counts much more than
// all that is not, and what no record says anything of stays what it was.
func misfit(all []comparison, before map[string]float64) (sum float64) {
	for _, c := range all {
		by := math.Log((c.model() + leastCores/2) / (c.measured + leastCores/2))
		sum += by*by + math.Pow(min(1.1*c.strain(), 1e3), 16)
	}
	for name, v := range constants {
		by := math.Log(*v / before[name])
		sum += 0.03 * by * by
	}
	return sum
}

// fit moves one constant after the other up and down, in smaller and smaller
// steps, as long as that makes the misfit less.
func fit(all []comparison) {
	before := map[string]float64{}
	for name, v := range constants {
		before[name] = *v
	}
	names := sorted()
	best := misfit(all, before)
	for step := 0.5; step > 0.002; step /= 1.5 {
		for moved, round := true, 0; moved && round < 200; round++ {
			moved = false
			for _, name := range names {
				v := constants[name]
				was := *v
				for _, by := range []float64{math.Exp(step), math.Exp(-step)} {
					*v = was * by
					if m := misfit(all, before); m < best {
						best, moved = m, true
						break
					}
					*v = was
				}
			}
		}
	}
	for _, v := range constants {
		*v, _ = strconv.ParseFloat(strconv.FormatFloat(*v, 'g', 3, 64), 64)
	}
}

func sorted() (names []string) {
	for name := range constants {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// write is constants.json.
func write() []byte {
	var b bytes.Buffer
	b.WriteString("{\n")
	for i, name := range sorted() {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "  %q: %s", name, strconv.FormatFloat(*constants[name], 'g', -1, 64))
	}
	b.WriteString("\n}\n")
	return b.Bytes()
}

// TestFit: from wrong constants the right ones are found again, where there is
// enough to tell them from each other.
func TestFit(t *testing.T) {
	right := map[string]float64{}
	for name, v := range constants {
		right[name] = *v
	}
	defer func() {
		for name, v := range right {
			*constants[name] = v
		}
	}()
	var all []comparison
	for _, nodes := range []float64{1, 2, 8} {
		for _, rate := range []float64{0, 10, 300, 5000} {
			for _, members := range []float64{10, 1000} {
				l := &Load{Users: 10_000, Rooms: 10_000 / members, Joined: 1, Rate: rate, Text: textMeasured, Last: 1, Connects: 100}
				all = append(all, comparison{"", l.NodeCPU(nodes, nodes), func() float64 { return l.NodeCPU(nodes, nodes) }, 0},
					comparison{"", l.RedisCPU(1, nodes, nodes), func() float64 { return l.RedisCPU(1, nodes, nodes) }, 0})
			}
		}
	}
	cpuRequest, cpuDelivery, redisAlone, redisIdle = 2*cpuRequest, cpuDelivery/3, 3*redisAlone, 2*redisIdle
	fit(all)
	for _, c := range all {
		if math.Abs(c.off()) > 0.1 {
			t.Errorf("%.3g for %.3g", c.model(), c.measured)
		}
	}
}
