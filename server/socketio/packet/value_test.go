package packet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

func TestValue(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"01", "1"}, {"c0", "null"}, {"93a6414243444546" + "80" + "90", `["ABCDEF",{},[]]`},
		{"92c40101c40102", `[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`},
		{"c40101", `{"_placeholder":true,"num":0}`},
		{"", ""}, {"0101", ""}, {"c1", ""}, {"92c4010181ac5f706c616365686f6c646572c3", ""},
	} {
		in, _ := hex.DecodeString(c.in)
		data, attachments, err := DecodeValue(in, Limits{})
		if c.want == "" {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %s, %v", c.in, data, err)
			}
			continue
		}
		if err != nil || string(data) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.in, data, err, c.want)
			continue
		}
		if out, err := AppendValue(nil, data, attachments); err != nil || !bytes.Equal(out, in) {
			t.Errorf("%s: back %x, %v", c.in, out, err)
		}
	}
	if _, _, err := DecodeValue(bytes.Repeat([]byte{0x91}, 100), Limits{MaxDepth: 10}); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if _, _, err := DecodeValue(make([]byte, 100), Limits{MaxBytes: 10}); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	for _, bad := range []string{"", "[", "1 2", `{"_placeholder":true,"num":1}`} {
		if out, err := AppendValue([]byte("x"), []byte(bad), [][]byte{{1}}); !errors.Is(err, ErrMalformed) || string(out) != "x" {
			t.Errorf("%q: %q, %v", bad, out, err)
		}
	}
}

func TestAppendReplaced(t *testing.T) {
	write := func(dst []byte, num int) []byte { return fmt.Appendf(dst, "<%d>", num) }
	for in, want := range map[string]string{
		`["a",{"_placeholder":true,"num":0},{"b":[{ "num" : 1 , "_placeholder" : true }]}]`: `["a",<0>,{"b":[<1>]}]`,
		`["{\"_placeholder\":true,\"num\":0}",{"x":1},{}]`:                                  `["{\"_placeholder\":true,\"num\":0}",{"x":1},{}]`,
		`1`: `1`, `""`: `""`, `"\""`: `"\""`,
	} {
		if got := AppendReplaced(nil, []byte(in), write); string(got) != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func FuzzDecodeValue(f *testing.F) {
	for _, s := range []string{"01", "93a141808190", "92c40101c40102", "c7050000", "d40000", "82a161d40000a16201"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Add([]byte(strings.Repeat("\x91", 70)))
	f.Fuzz(func(t *testing.T, b []byte) {
		data, attachments, err := DecodeValue(b, Limits{})
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
				t.Fatalf("%x: unwrapped %v", b, err)
			}
			return
		}
		if err := Check(data, 64, len(attachments)); err != nil {
			t.Fatalf("%x: %q: %v", b, data, err)
		}
		out, err := AppendValue(nil, data, attachments)
		if err != nil {
			t.Fatalf("%x: %q: %v", b, data, err)
		}
		if _, err := msgp.Skip(out); err != nil {
			t.Fatalf("%x: %x: %v", b, out, err)
		}
		n := 0
		AppendReplaced(nil, data, func(dst []byte, num int) []byte { n++; return append(dst, '0') })
		if len(attachments) > 0 && n != len(attachments) {
			t.Fatalf("%x: %q: %d placeholders replaced, %d attachments", b, data, n, len(attachments))
		}
	})
}
