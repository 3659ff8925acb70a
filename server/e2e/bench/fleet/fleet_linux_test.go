package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFleet: a small one, with its record.
func TestFleet(t *testing.T) {
	t.Chdir("../../../..")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := command(t.Context(), strings.Fields("-clients 60 -nodes 3 -processes 2 -rate 100 -warm-up 1s -duration 2s -record "+dir)); err != nil {
		t.Fatal(err)
	}
	r := readRecord(t, filepath.Join(dir, "docs"))
	if l := r.Load; r.mostReady() < 50 || l.Counts.Connects < 60 || l.Counts.Deliveries == 0 || l.Verdicts.Lost != 0 || len(l.Servers) != 4 ||
		r.Redis.Keys == 0 || r.Redis.PeakMemory == 0 || r.Full.Used == 0 {
		t.Errorf("%+v", r)
	}
	if svg, err := os.ReadFile(filepath.Join(dir, "docs", "fleet.svg")); err != nil || !strings.Contains(string(svg), "<svg") {
		t.Errorf("plot: %v", err)
	}
}

// TestPageIsTheRecords: docs/fleet.md is what was measured.
func TestPageIsTheRecords(t *testing.T) { readRecord(t, "../../../../docs") }

// readRecord reads a record, and sees that its page is of it.
func readRecord(t *testing.T, docs string) *record {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, "fleet.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := &record{}
	if err := json.Unmarshal(text, r); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, "fleet.md"))
	if err != nil || string(page) != r.page() {
		t.Errorf("fleet.md is not of fleet.json (%v): make fleet writes both", err)
	}
	return r
}

func TestRefuses(t *testing.T) {
	for _, args := range []string{"-nodes 0", "-nodes 65", "-processes 0", "-clients 3 -processes 4", "x"} {
		if err := command(t.Context(), strings.Fields(args)); err == nil {
			t.Error(args)
		}
	}
}
