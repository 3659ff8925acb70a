package packet

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendString(t *testing.T) {
	for s, want := range map[string]string{
		"": `""`, "a": `"a"`, "한😀": `"한😀"`, "\"\\/": `"\"\\/"`, "\b\f\n\r\t\x00\x1f\x7f": "\"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\"", "<&>\u2028": "\"<&>\u2028\"", "a\xffb": "\"a\uFFFDb\"",
	} {
		if got := AppendString([]byte("x"), s); string(got) != "x"+want {
			t.Errorf("%q: %s", s, got)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\x00한\u2028\xff")
	f.Fuzz(func(t *testing.T, s string) {
		out := AppendString(nil, s)
		if err := Check(out, 1, 0); err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(out, &back); err != nil || back != strings.ToValidUTF8(s, "\uFFFD") {
			t.Fatalf("%q: %q, %v", s, back, err)
		}
		if got := string(appendUnquoted(nil, out[1:len(out)-1])); got != back {
			t.Fatalf("%q unquoted %q", s, got)
		}
	})
}

// FuzzUnquote compares with encoding/json.
func FuzzUnquote(f *testing.F) {
	for _, s := range []string{`\ud83d\ude00`, `\ud83dx`, `\ude00\ud83d`, `\ud83d\ud83d\ude00`, `\n\/\\`, `\q`, `\u12`, `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := string(appendUnquoted(nil, []byte(s)))
		var want string
		if utf8.ValidString(s) && json.Unmarshal([]byte(`"`+s+`"`), &want) == nil && got != want {
			t.Fatalf("%q: %q, want %q", s, got, want)
		}
	})
}
