package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGrowthDocuments: nobody edits a figure by hand, and nothing in a record of a
// quiet machine grows faster than linearly.
func TestGrowthDocuments(t *testing.T) {
	g, err := readGrowth(filepath.Join(root, growthPath))
	if err != nil {
		t.Fatal(err)
	}
	files := g.documents()
	if len(files) != 1+len(diagrams) {
		t.Errorf("%d documents of %d diagrams", len(files), len(diagrams))
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is not what %s gives: go run ./server/e2e/bench -rewrite .", path, growthPath)
		}
	}
	// What was measured beside other work, which the page says, is not judged.
	if faster := g.faster(); len(faster) > 0 && !g.loaded() {
		t.Errorf("grows faster than linearly: %s", strings.Join(faster, "; "))
	}
}

// power is a stage whose values are a power of its sizes.
func power(of float64) map[string][]point {
	g := &growth{Stages: map[string][]point{}}
	for _, size := range []float64{1000, 10, 100, 10_000} {
		g.add("members", size, shape{}, "delivery", 3*math.Pow(size, of))
	}
	return g.Stages
}

func TestFasterIsFound(t *testing.T) {
	for _, tt := range []struct {
		power  float64 // of one of many
		faster bool
	}{{-0.5, false}, {0, false}, {0.05, false}, {0.2, true}, {1, true}} {
		g := &growth{Stages: power(tt.power)}
		f, ok := lay(g.Stages["members"], "delivery", 0)
		if !ok || math.Abs(f.power-tt.power) > 1e-9 || math.Abs(f.factor-3) > 1e-9 {
			t.Errorf("%v: %+v, %v", tt.power, f, ok)
		}
		if got := len(g.faster()) == 1; got != tt.faster || strings.Contains(g.page(), "FASTER") != tt.faster {
			t.Errorf("a power of %v: %v", tt.power, g.faster())
		}
	}
	// A bend at the end is found, when all of it together is still below.
	late := &growth{Stages: power(-0.5)}
	late.Stages["members"] = append(late.Stages["members"], point{Size: 100_000, Values: map[string][]float64{"delivery": {3}}})
	if all, last, _ := diagrams[0].curves[0].powers(late.Stages["members"]); all > 1 || last < mostPower || len(late.faster()) != 1 {
		t.Errorf("%v, %v", all, last)
	}
	for _, points := range [][]point{nil, {{Size: 1, Values: map[string][]float64{"delivery": {1}}}}, {{Size: 1}, {Size: 2}}} {
		if _, ok := lay(points, "delivery", 0); ok {
			t.Errorf("a power through %v", points)
		}
	}
}

func TestMergeStages(t *testing.T) {
	g, now := &growth{Stages: power(0)}, &growth{Stages: power(1), Parts: map[string]part{"members": {Commit: "abc"}}}
	g.Stages["nodes"] = []point{{Size: 1}}
	g.merge(now)
	if f, _ := lay(g.Stages["members"], "delivery", 0); math.Abs(f.power-1) > 1e-9 || len(g.Stages["nodes"]) != 1 || !strings.Contains(g.page(), "*members* at commit abc") {
		t.Errorf("%+v", g)
	}
}

func TestDiagramIsXML(t *testing.T) {
	text := diagrams[0].draw(power(0.3)["members"])
	if strings.Count(text, "<circle") != 4 {
		t.Errorf("not each point is drawn:\n%s", text)
	}
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error(text)
	}
}

func TestRoundValues(t *testing.T) {
	for v, want := range map[float64][2]float64{1: {1, 1}, 1.5: {1, 2}, 7: {5, 10}, 0.03: {0.02, 0.05}, 9999: {5000, 10_000}} {
		if b, a := below(v), above(v); math.Abs(b/want[0]-1) > 1e-9 || math.Abs(a/want[1]-1) > 1e-9 {
			t.Errorf("%v: from %v to %v", v, b, a)
		}
	}
}
