package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "../../.."

// TestDocumentsAreOfTheRecord: nobody edits a figure by hand.
func TestDocumentsAreOfTheRecord(t *testing.T) {
	r, err := readRecord(filepath.Join(root, recordPath))
	if err != nil {
		t.Fatal(err)
	}
	files, err := r.documents(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 3 {
		t.Fatalf("only %d documents", len(files))
	}
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is not what %s gives: go run ./server/e2e/bench -rewrite .", path, recordPath)
		}
	}
	drawn, err := filepath.Glob(filepath.Join(root, plotsPath, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range drawn {
		if _, ok := files[plotsPath+"/"+filepath.Base(path)]; !ok {
			t.Errorf("%s is of no record", path)
		}
	}
}

func recorded(ours, node, bare []float64) *record {
	return &record{Date: "2026-01-02", Figures: figures{
		"saturated cpu": {"antchat": ours, "node": node, "bare": bare},
		"saturated p99": {"antchat": {1}, "node": {1}}, // not guarded
	}}
}

func TestCheck(t *testing.T) {
	last := recorded([]float64{2, 1, 3}, []float64{10}, []float64{8})
	for _, c := range []struct {
		name string
		now  *record
		fell []string
	}{
		{"same", last, nil},
		{"a machine half as fast", recorded([]float64{4}, []float64{20}, []float64{16}), nil},
		{"within", recorded([]float64{2.4}, []float64{10}, []float64{8}), nil},
		{"better", recorded([]float64{1}, []float64{10}, []float64{8}), nil},
		{"worse", recorded([]float64{2.6}, []float64{10}, []float64{8}), []string{"saturated cpu to node", "saturated cpu to bare"}},
		{"worse than one", recorded([]float64{2}, []float64{7}, []float64{8}), []string{"saturated cpu to node"}},
		{"one peer only", recorded([]float64{2}, []float64{10}, nil), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			err := check(&out, last, c.now, 0.25)
			if (err != nil) != (len(c.fell) > 0) {
				t.Fatalf("%v\n%s", err, out.String())
			}
			for _, f := range c.fell {
				if !strings.Contains(err.Error(), f) {
					t.Errorf("%q is not in %q", f, err)
				}
			}
			if got := strings.Count(out.String(), "FELL"); got != len(c.fell) {
				t.Errorf("%d fell:\n%s", got, out.String())
			}
		})
	}
	if err := check(&bytes.Buffer{}, last, recorded(nil, nil, nil), 0.25); err == nil {
		t.Error("nothing to compare, and all is well")
	}
}

func TestMerge(t *testing.T) {
	before := recorded([]float64{2}, []float64{10}, []float64{8})
	before.Figures["slow p99"] = map[string][]float64{"antchat": {5, 6}, "node": {9}}
	before.Figures["slow old"] = map[string][]float64{"antchat": {1}}
	before.Figures["plain cpu"] = map[string][]float64{"antchat": {30}}
	before.Figures["logged cpu"] = map[string][]float64{"antchat": {60}}
	before.Failures = []string{"antchat slow, run 1 of 3: x", "node slow, run 1 of 3: x"}
	before.Figures.derive()
	now := &record{
		Figures:  figures{"slow p99": {"antchat": {7}}, "logged cpu": {"antchat": {36}}, "times cpu": {"antchat": {99}}},
		Failures: []string{"antchat logged, run 1 of 1: y"},
		Parts:    map[string]part{"slow": {Commit: "b", Peers: []string{"antchat"}}, "logged": {Commit: "b", Peers: []string{"antchat"}}},
	}
	before.merge(now)
	for key, want := range map[string]map[string][]float64{
		"slow p99": {"antchat": {7}, "node": {9}}, "slow old": nil, "plain cpu": {"antchat": {30}}, "logged cpu": {"antchat": {36}}, "times cpu": {"antchat": {1.2}},
		"saturated cpu": {"antchat": {2}, "node": {10}, "bare": {8}},
	} {
		if !reflect.DeepEqual(before.Figures[key], want) {
			t.Errorf("%s: %v, want %v", key, before.Figures[key], want)
		}
	}
	if got := strings.Join(before.Failures, "; "); got != "node slow, run 1 of 3: x; antchat logged, run 1 of 1: y" {
		t.Errorf("failures: %s", got)
	}
	page := before.page()
	if !before.Parts["slow"].Merged || !strings.Contains(page, "| slow | antchat | b |") {
		t.Errorf("the page does not say what was measured anew:\n%s", page)
	}
}

func TestRound(t *testing.T) {
	for v, want := range map[float64]float64{0: 0, 1.23456: 1.235, 123456.7: 123457, -0.000123456: -0.0001235, 9999.6: 10000} {
		if got := round(v); got != want {
			t.Errorf("round(%v) = %v, want %v", v, got, want)
		}
	}
}
