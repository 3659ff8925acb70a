package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	o, err := parseOptions([]string{"-runs", "1", "-only", "idle,paced", "-record", "/some/where"})
	if err != nil || !slices.Equal(o.only, []string{"idle", "paced"}) || !slices.Equal(o.peers, peerNames()) {
		t.Errorf("%+v, %v", o, err)
	}
	if got := strings.Join(o.arguments(), " "); got != "-runs 1 -measure 6s -idle 10000 -storm 15000 -only idle,paced -peers "+strings.Join(peerNames(), ",")+" -record ." {
		t.Errorf("recorded as %q", got)
	}
	for _, bad := range [][]string{
		{"-only", "idel"}, {"-only", ","}, {"-only", "joins"}, {"-growth", ".", "-only", "idle"}, {"-peers", "program"}, {"-runs", "0"}, {"-measure", "10ms"}, {"-idle", "1"},
		{"-tolerance", "-1"}, {"more"}, {"-nothing"}, {"-merge"}, {"-storm", "1"},
	} {
		if _, err := parseOptions(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

func TestTakesPart(t *testing.T) {
	for _, name := range order {
		if _, ok := measurements[name]; !ok {
			t.Errorf("%s is in the order and not measured", name)
		}
	}
	var fleets, bare int
	for _, p := range peers {
		for _, m := range measurements {
			if m.nodes > 1 && p.takesPart(m) {
				fleets++
			}
			if p.name == "bare" && p.takesPart(m) {
				bare++
			}
		}
	}
	if fleets != 10 || bare != 5 {
		t.Errorf("%d turns of fleets, %d of bare writes", fleets, bare)
	}
}

// TestEstimate: who runs all of it may wait for it.
func TestEstimate(t *testing.T) {
	o, err := parseOptions(nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := o.estimate().Minutes(); all < 20 || all > 42 {
		t.Errorf("%.1f minutes", all)
	}
}
