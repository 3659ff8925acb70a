package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func TestArgs(t *testing.T) {
	for data, want := range map[string][]string{
		`[]`: {}, `[ ]`: {}, `["a"]`: {`"a"`}, ` [1]`: nil, `[ "a" , [1,[2]] ,{"b":"]"}, null,-1.5 ]`: {`"a"`, `[1,[2]]`, `{"b":"]"}`, `null`, `-1.5`},
		`["\\","\"",",",[]]`: {`"\\"`, `"\""`, `","`, `[]`},
		``:                   nil, `[`: nil, `]`: nil, `{}`: nil, `["a"`: nil, `["a`: nil, `["a\`: nil, `["a",`: nil, `["a",]`: nil, `[,]`: nil, `[1]x`: nil, `[1 2]`: nil, `["a"1]`: nil, `[[1]`: nil, `[}`: nil,
	} {
		args, err := Args([]byte(data))
		if want == nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %q, %v", data, args, err)
			}
			continue
		}
		var got []string
		for _, a := range args {
			got = append(got, string(a))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", data, got, err)
		}
	}
	// A caller that appends to an element does not reach the next one.
	data := []byte(`["a","b"]`)
	args, _ := Args(data)
	_ = append(args[0], "xxxx"...)
	if string(data) != `["a","b"]` {
		t.Errorf("overwritten: %s", data)
	}
	for range Elements([]byte(`["a","b"]`)) {
		break
	}
}

func FuzzArgs(f *testing.F) {
	f.Add([]byte(`["a", [1,{"x":"]"}], "\\\"", null]`))
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		args, err := Args(b)
		var want []json.RawMessage
		if len(b) == 0 || b[0] != '[' || b[len(b)-1] != ']' || json.Unmarshal(b, &want) != nil {
			return
		}
		if err != nil || len(args) != len(want) {
			t.Fatalf("%q: %q, %v", b, args, err)
		}
		for i := range args {
			if !bytes.Equal(args[i], want[i]) {
				t.Fatalf("%q: %q", b, args)
			}
		}
	})
}
