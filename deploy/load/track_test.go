package main

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTrack(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(k *track, v *verdicts)
		want verdicts
	}{
		{"in order", func(k *track, v *verdicts) { k.begin(4); k.got(5, v); k.got(6, v); k.end(6, v) }, verdicts{}},
		{"begins with what comes first", func(k *track, v *verdicts) { k.got(5, v); k.got(6, v); k.end(6, v) }, verdicts{}},
		{"lost", func(k *track, v *verdicts) { k.begin(0); k.got(1, v); k.got(4, v); k.end(4, v) }, verdicts{Lost: 2}},
		{"lost at the end", func(k *track, v *verdicts) { k.begin(0); k.got(1, v); k.end(4, v) }, verdicts{Lost: 3}},
		{"repeated", func(k *track, v *verdicts) { k.begin(0); k.got(1, v); k.got(1, v); k.got(2, v); k.end(2, v) }, verdicts{Repeated: 1}},
		{"reordered", func(k *track, v *verdicts) { k.begin(0); k.got(2, v); k.got(1, v); k.got(3, v); k.end(3, v) }, verdicts{Reordered: 1}},
		{"own ack first", func(k *track, v *verdicts) {
			k.begin(0)
			k.own(3)
			k.got(1, v)
			k.got(2, v)
			k.got(4, v)
			k.end(4, v)
		}, verdicts{}},
		{"own ack last", func(k *track, v *verdicts) { k.begin(0); k.got(1, v); k.got(3, v); k.own(2); k.end(3, v) }, verdicts{}},
		{"own is the head", func(k *track, v *verdicts) { k.begin(0); k.got(1, v); k.own(2); k.own(3); k.end(3, v) }, verdicts{}},
		{"own before the beginning", func(k *track, v *verdicts) { k.own(2); k.begin(3); k.got(4, v); k.end(4, v) }, verdicts{}},
		{"listed after a loss", func(k *track, v *verdicts) {
			k.begin(0)
			k.got(1, v)
			k.own(2)
			k.listed(2, v)
			k.listed(3, v)
			k.got(4, v)
			k.end(4, v)
		}, verdicts{}},
		{"listed fills a hole", func(k *track, v *verdicts) { k.begin(0); k.got(2, v); k.listed(1, v); k.end(2, v) }, verdicts{}},
		{"far too many", func(k *track, v *verdicts) { k.begin(0); k.got(maxMissing+12, v); k.end(maxMissing+12, v) }, verdicts{Lost: maxMissing + 11}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var k track
			var v verdicts
			tt.do(&k, &v)
			if v != tt.want {
				t.Errorf("%+v, want %+v", v, tt.want)
			}
		})
	}
}

// TestTrackCounts: whatever a server loses and repeats, each is counted, and an
// exact stream with own messages anywhere among it is clean.
func TestTrackCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 60).Draw(t, "numbers")
		var k track
		var v, want verdicts
		k.begin(0)
		var acks []uint64
		for i := uint64(1); i <= n; i++ {
			switch rapid.IntRange(0, 5).Draw(t, "fate") {
			case 0:
				want.Lost++
			case 1:
				k.got(i, &v)
				k.got(i, &v)
				want.Repeated++
			case 2:
				acks = append(acks, i) // comes late
			case 3:
				k.own(i)
			default:
				k.got(i, &v)
			}
			if len(acks) > 0 && rapid.Bool().Draw(t, "ack now") {
				k.own(acks[0])
				acks = acks[1:]
			}
		}
		for _, a := range acks {
			k.own(a)
		}
		k.end(n, &v)
		if v != want {
			t.Fatalf("%+v, want %+v", v, want)
		}
	})
}
