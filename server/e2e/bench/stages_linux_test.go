package main

import (
	"context"
	"testing"
	"time"
)

// TestStages: every stage of growth, and what ours alone is measured in, small,
// with real nodes and a real Redis.
func TestStages(t *testing.T) {
	repository, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	servers, err := build(t.Context(), repository, dir, []string{"program", "antchat", "load"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	sizes := map[string][]int{"members": {3, 6}, "connections": {20, 40}, "joins": {5, 10}, "messages": {20, 40}, "nodes": {1, 2}}
	g := &grower{growth: &growth{Stages: map[string][]point{}}, root: repository, dir: dir, program: servers["program"], measure: 300 * time.Millisecond, warmUp: 50 * time.Millisecond, pause: 150 * time.Millisecond}
	for _, s := range stages {
		if err := s.run(ctx, g, sizes[s.name]); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	for _, d := range diagrams {
		points := g.Stages[d.stage]
		if len(points) != 2 {
			t.Fatalf("%s: %d points", d.stage, len(points))
		}
		for _, p := range points {
			for _, c := range d.curves {
				// Little memory is not seen.
				if v := p.Values[c.key]; len(v) != 1 || v[0] <= 0 && d.stage != "connections" {
					t.Errorf("%s at %v: %s is %v", d.name, p.Size, c.key, v)
				}
			}
		}
	}
	o := options{measure: time.Second, storm: 60, loadTool: servers["load"][0]}
	figures := newFigures()
	ours := peers[3]
	for _, name := range []string{"logged", "storm"} {
		m := measurements[name]
		if name == "logged" {
			m.run = spread("logged", 3, 4, fanOut{Rate: 60})
		}
		if err := one(ctx, repository, append(servers["program"], dir+"/"+name+"-{node}"), "--redis.url", ours, m, o, figures); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if figures["logged ack p99"]["antchat"][0] <= 0 || figures["storm recovered"]["antchat"][0] != 100 || figures["storm whole"]["antchat"][0] <= 0 {
		t.Errorf("%v", figures)
	}
}
