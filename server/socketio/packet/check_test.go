package packet

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// jsonDepth is how deep valid JSON is.
func jsonDepth(b []byte) (deepest int) {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

var jsonSeeds = []string{
	`null`, `true`, `false`, `nul`, `truex`, `0`, `-0`, `01`, `-`, `1.`, `1.5`, `.5`, `1e`, `1e+`, `1E-5`, `1e5x`, `--1`, `+1`, `""`, `"`, `"a`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\uD834\udd1e"`,
	"\"\x1f\"", "\"\x7f\"", "\"12345678\x01\"", `"12345678"`, `"1234567\"8"`, `"한글 12345678"`, "\"\xff\"", "\"12345678\xff\"", "\"\xe2\x82\"", `[]`, `[ ]`, `[1,]`, `[,1]`, `[1 2]`, `[`, `]`, `[}`, `{}`, `{ }`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`,
	`{"a":1 "b":2}`, `{"a":1,"a":2}`, ` {"a" : [ 1 , {"b" : null } ] } `, "\t\r\n1\v", "\u00a01", `1 1`, ``, ` `, `"\u0000"`, `["a",{"_placeholder":true,"num":0}]`, strings.Repeat("[", 70) + strings.Repeat("]", 70), strings.Repeat(`{"a":`, 5) + "1" + strings.Repeat("}", 5),
}

func checkAgainstJSON(t *testing.T, b []byte) {
	t.Helper()
	const depth = 8
	want := json.Valid(b) && utf8.Valid(b) && jsonDepth(b) <= depth
	if err := Check(b, depth, 0); (err == nil) != want {
		t.Fatalf("%q: %v; want valid %v", b, err, want)
	} else if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
		t.Fatalf("%q: unwrapped %v", b, err)
	}
}

func TestCheck(t *testing.T) {
	for _, s := range jsonSeeds {
		checkAgainstJSON(t, []byte(s))
	}
	// Every byte at every place of a word, in a string and around one.
	for c := range 256 {
		for at := range 20 {
			b := []byte(`"` + strings.Repeat("x", 20) + `"`)
			b[at+1] = byte(c)
			checkAgainstJSON(t, b)
			b = []byte(strings.Repeat(" ", at) + string([]byte{byte(c)}) + `"xx"`)
			checkAgainstJSON(t, b)
		}
	}
}

func TestCheckDepth(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if err := Check(nested(64), 64, 0); err != nil {
		t.Error(err)
	}
	if err := Check(nested(65), 64, 0); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if err := Check([]byte(`1`), 0, 0); err != nil {
		t.Error(err)
	}
}

func TestCheckPlaceholders(t *testing.T) {
	var b strings.Builder
	b.WriteString(`["x"`)
	for i := range 200 {
		b.WriteString(`,{"_placeholder":true,"num":` + strconv.Itoa(199-i) + `}`)
	}
	if err := Check([]byte(b.String()+"]"), 8, 200); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, 63, 64, 130, 199} {
		s := b.String() + `,{"_placeholder":true,"num":` + strconv.Itoa(n) + `}]`
		if err := Check([]byte(s), 8, 201); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d twice: %v", n, err)
		}
	}
	// Values that only look alike are data.
	if err := Check([]byte(`["_placeholder",{"x":"_placeholder","num":0},{"_placeholder":true,"num":0},{"_placeholdeR":true}]`), 8, 1); err != nil {
		t.Error(err)
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	b := []byte(`["new message",{"user":"안나","text":"line\n","at":[1,2.5e3,null]},{"_placeholder":true,"num":0}]`)
	if n := testing.AllocsPerRun(100, func() {
		if Check(b, 64, 1) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkAgainstJSON(t, b) })
}

// FuzzPlaceholders compares with counting in decoded JSON.
func FuzzPlaceholders(f *testing.F) {
	f.Add([]byte(`["a",{"_placeholder":true,"num":0},{"num":1, "_placeholder" :true}]`), 2)
	f.Add([]byte(`{"\u005fplaceholder":true,"num":0}`), 1)
	f.Add([]byte(`{"_placeholder":true,"num":0,"num":1}`), 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 1 || n > 100 || Check(b, 32, n) != nil {
			return
		}
		seen := make(map[int]bool)
		var walk func(v any)
		walk = func(v any) {
			switch v := v.(type) {
			case []any:
				for _, e := range v {
					walk(e)
				}
			case map[string]any:
				if flag, ok := v["_placeholder"]; ok {
					num, isNum := v["num"].(float64)
					if flag != true || !isNum || len(v) != 2 || num < 0 || int(num) >= n || seen[int(num)] {
						t.Fatalf("%q accepted", b)
					}
					seen[int(num)] = true
				}
				for _, e := range v {
					walk(e)
				}
			}
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		walk(v)
		// Duplicate keys hide values from encoding/json and never add any.
		if len(seen) > n {
			t.Fatalf("%q: %d placeholders", b, len(seen))
		}
	})
}
