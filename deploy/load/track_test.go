package main

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/antchat/antchat/deploy/load/result"
)

func TestTrack(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(k *track, v *result.Verdicts)
		want result.Verdicts
	}{
		{"in order", func(k *track, v *result.Verdicts) { k.begin(4); k.got(5, v); k.got(6, v); k.end(6, v) }, result.Verdicts{}},
		{"begins with what comes first", func(k *track, v *result.Verdicts) { k.got(5, v); k.got(6, v); k.end(6, v) }, result.Verdicts{}},
		{"lost", func(k *track, v *result.Verdicts) { k.begin(0); k.got(1, v); k.got(4, v); k.end(4, v) }, result.Verdicts{Lost: 2}},
		{"lost at the end", func(k *track, v *result.Verdicts) { k.begin(0); k.got(1, v); k.end(4, v) }, result.Verdicts{Lost: 3}},
		{"repeated", func(k *track, v *result.Verdicts) { k.begin(0); k.got(1, v); k.got(1, v); k.got(2, v); k.end(2, v) }, result.Verdicts{Repeated: 1}},
		{"reordered", func(k *track, v *result.Verdicts) { k.begin(0); k.got(2, v); k.got(1, v); k.got(3, v); k.end(3, v) }, result.Verdicts{Reordered: 1}},
		{"own ack first", func(k *track, v *result.Verdicts) {
			k.begin(0)
			k.own(3)
			k.got(1, v)
			k.got(2, v)
			k.got(4, v)
			k.end(4, v)
		}, result.Verdicts{}},
		{"own ack last", func(k *track, v *result.Verdicts) { k.begin(0); k.got(1, v); k.got(3, v); k.own(2); k.end(3, v) }, result.Verdicts{}},
		{"own is the head", func(k *track, v *result.Verdicts) { k.begin(0); k.got(1, v); k.own(2); k.own(3); k.end(3, v) }, result.Verdicts{}},
		{"own before the beginning", func(k *track, v *result.Verdicts) { k.own(2); k.begin(3); k.got(4, v); k.end(4, v) }, result.Verdicts{}},
		{"listed after a loss", func(k *track, v *result.Verdicts) {
			k.begin(0)
			k.got(1, v)
			k.own(2)
			k.listed(2, v)
			k.listed(3, v)
			k.got(4, v)
			k.end(4, v)
		}, result.Verdicts{}},
		{"listed fills a hole", func(k *track, v *result.Verdicts) { k.begin(0); k.got(2, v); k.listed(1, v); k.end(2, v) }, result.Verdicts{}},
		{"far too many", func(k *track, v *result.Verdicts) { k.begin(0); k.got(maxMissing+12, v); k.end(maxMissing+12, v) }, result.Verdicts{Lost: maxMissing + 11}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var k track
			var v result.Verdicts
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
		var v, want result.Verdicts
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
