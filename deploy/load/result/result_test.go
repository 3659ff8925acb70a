package result

import "testing"

func TestBad(t *testing.T) {
	for _, tt := range []struct {
		run  Run
		want string
	}{
		{Run{}, ""},
		{Run{Counts: Counts{Drops: 3, Reconnects: 3, Unproven: 1}}, ""},
		{Run{Verdicts: Verdicts{Reordered: 2}}, "0 lost, 0 repeated, 2 reordered"},
		{Run{Counts: Counts{Unexpected: 1, Away: 2}}, "1 closed unexpectedly; 2 away at the end"},
	} {
		if got := tt.run.Bad(); got != tt.want {
			t.Errorf("%+v: %q", tt.run, got)
		}
	}
}
