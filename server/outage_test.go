package main

import (
	"testing"
	"time"
)

func TestOutage(t *testing.T) {
	var o outage
	start := time.Now()
	for i, look := range []struct {
		at          float64 // seconds
		ready, want bool
	}{
		{0, true, false},
		{1, false, false}, {2.5, false, false}, {3.9, false, false}, {4, false, true}, {6, false, true},
		{6.1, true, false}, // back
		{6.2, false, false}, {9.1, false, false}, {9.3, false, true},
		{20, false, false}, // who knows what was between
		{22, false, false}, {23, false, true},
	} {
		if got := o.lasts(look.ready, start.Add(time.Duration(look.at*float64(time.Second)))); got != look.want {
			t.Errorf("look %d, at %v s: %v", i, look.at, got)
		}
	}
}
