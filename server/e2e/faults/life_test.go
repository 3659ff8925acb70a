package main

import (
	"testing"
	"time"
)

func TestPeak(t *testing.T) {
	second := func(moments ...float64) (all []time.Duration) {
		for _, m := range moments {
			all = append(all, time.Duration(m*float64(time.Second)))
		}
		return all
	}
	for _, tt := range []struct {
		moments []time.Duration
		want    int
	}{
		{nil, 0},
		{second(3), 1},
		{second(1, 2, 3), 1},
		{second(2.9, 0, 2.1, 3, 1, 2.5, 9), 4},
		{second(1, 1, 1, 1.999, 2), 4},
	} {
		if got := peak(tt.moments, time.Second); got != tt.want {
			t.Errorf("peak of %v: %d, want %d", tt.moments, got, tt.want)
		}
	}
}
