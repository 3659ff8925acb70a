package adapter_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/antchat/antchat/adapter"
)

func TestOffset(t *testing.T) {
	p := adapter.Position{1, 1 << 63, 0, 255}
	for lanes := 1; lanes <= adapter.MaxLanes; lanes++ {
		text := p.Offset(lanes)
		got, err := adapter.ParseOffset(text, lanes)
		for i := range lanes {
			if err != nil || got[i] != p[i] {
				t.Errorf("%d lanes: %q is %v, %v", lanes, text, got, err)
			}
		}
		if b, err := json.Marshal(text); err != nil || string(b) != `"`+text+`"` {
			t.Errorf("%q does not stand in JSON as it is: %s", text, b)
		}
		if _, err := adapter.ParseOffset(text, lanes%adapter.MaxLanes+1); !errors.Is(err, adapter.ErrOffset) {
			t.Errorf("%q was taken for another number of lanes", text)
		}
	}
	for _, bad := range []string{"", "1.", "2.AAAAAAAAAAE", "1.AAAAAAAAAAE=", "1.AAAAAAAAAA!", "1.AAAAAAAAAAF", "1.AAAAAAAAAA\n", "AAAAAAAAAAE"} {
		if p, err := adapter.ParseOffset(bad, 1); !errors.Is(err, adapter.ErrOffset) {
			t.Errorf("%q is %v, %v", bad, p, err)
		}
	}
}

func TestPositionMax(t *testing.T) {
	if got := (adapter.Position{1, 5}).Max(adapter.Position{3, 2, 4}); got != (adapter.Position{3, 5, 4}) {
		t.Error(got)
	}
}

// FuzzParseOffset: an offset comes from a client. What is taken is exactly
// what Offset would write.
func FuzzParseOffset(f *testing.F) {
	f.Add("1.AAAAAAAAAAE", 1)
	f.Add(adapter.Position{1, 2, 3, 4}.Offset(4), 4)
	f.Add("1.AAAAAAAAAAF", 1)
	f.Add("", 2)
	f.Fuzz(func(t *testing.T, s string, lanes int) {
		lanes = 1 + (lanes&0x7fffffff)%adapter.MaxLanes
		if p, err := adapter.ParseOffset(s, lanes); err == nil && p.Offset(lanes) != s {
			t.Errorf("%q parses as %v, whose offset is %q", s, p, p.Offset(lanes))
		}
	})
}
