package chat

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestName(t *testing.T) {
	l := Limits{}.withDefaults()
	for _, c := range []struct{ what, in, want string }{
		{"plain", "Ann", "Ann"},
		{"trimmed", "  Ann\u00a0", "Ann"},
		{"inner space", "Ann Lee", "Ann Lee"},
		{"Korean", "김철수", "김철수"},
		{"Korean from jamo", "\u1100\u1161", "가"},
		{"composed", "e\u0301", "é"},
		{"Arabic", "محمد", "محمد"},
		{"Persian with ZWNJ", "می\u200cخواهم", "می\u200cخواهم"},
		{"family emoji", "👨‍👩‍👧‍👦", "👨‍👩‍👧‍👦"},
		{"flag", "🇰🇷", "🇰🇷"},
		{"flag of tags", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"},
		{"32 emoji of one character each", strings.Repeat("🇰🇷", 16), strings.Repeat("🇰🇷", 16)},
		{"HTML is only text", "<b>&", "<b>&"},
		{"quotes", `"'\`, `"'\`},
		{"at the limit", strings.Repeat("가", 32), strings.Repeat("가", 32)},
	} {
		got, err := l.Name(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: Name(%q) = %q, %v; want %q", c.what, c.in, got, err, c.want)
		}
	}
	for _, c := range []struct{ what, in string }{
		{"empty", ""},
		{"blank", " \u3000 "},
		{"too many characters", strings.Repeat("a", 33)},
		{"too many bytes", strings.Repeat("👨‍👩‍👧‍👦", 6)},
		{"far too long", strings.Repeat("a", 1<<20)},
		{"invalid UTF-8", "a\xff"},
		{"surrogate in UTF-8", "\xed\xa0\x80"},
		{"newline", "a\nb"},
		{"NUL", "a\x00b"},
		{"C1 control", "a\u0085b"},
		{"escape", "\x1b[31mred"},
		{"line separator", "a\u2028b"},
		{"right-to-left override", "a\u202eb"},
		{"isolate", "a\u2066b"},
		{"zero width space", "a\u200bb"},
		{"byte order mark", "\ufeffa"},
		{"noncharacter", "a\uffffb"},
		{"only a joiner", "\u200d"},
		{"only a mark", "\u0301"},
		{"Hangul filler", "\u3164"},
		{"Zalgo", "a" + strings.Repeat("\u0335", 20)},
		{"no-break space inside", "a\u00a0b"},
	} {
		_, err := l.Name(c.in)
		var invalid *Invalid
		if !errors.As(err, &invalid) || invalid.Field != FieldName {
			t.Errorf("%s: Name(%.40q): %v, want an *Invalid of the name", c.what, c.in, err)
		}
	}
}

func TestText(t *testing.T) {
	l := Limits{}.withDefaults()
	for _, c := range []struct{ what, in, want string }{
		{"plain", "hi", "hi"},
		{"lines and tabs", "a\n\tb", "a\n\tb"},
		{"CRLF", "a\r\nb\rc", "a\nb\nc"},
		{"spaces stay", "  code ", "  code "},
		{"direction marks stay", "\u202bשלום\u202c", "\u202bשלום\u202c"},
		{"composed", "cafe\u0301", "café"},
		{"surrogate pair", "😀", "😀"},
		{"at the limit", strings.Repeat("x", 4000), strings.Repeat("x", 4000)},
		{"4,000 emoji of 4 bytes", strings.Repeat("😀", 4000), strings.Repeat("😀", 4000)},
	} {
		got, err := l.Text(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: Text(%.40q) = %.40q, %v", c.what, c.in, got, err)
		}
	}
	for _, in := range []string{"", " \n\t ", "a\x00", "\x7f", "a\u009fb", "\xc3", strings.Repeat("x", 4001), strings.Repeat("👍🏽", 2100)} {
		_, err := l.Text(in)
		var invalid *Invalid
		if !errors.As(err, &invalid) || invalid.Field != FieldText {
			t.Errorf("Text(%.40q): %v, want an *Invalid of the text", in, err)
		}
	}
}

func TestID(t *testing.T) {
	l := Limits{}.withDefaults()
	for _, in := range []string{"", "a", "x-Y_0", strings.Repeat("i", 128), "아이디"} {
		if err := l.ID(in); err != nil {
			t.Errorf("ID(%q): %v", in, err)
		}
	}
	for _, in := range []string{strings.Repeat("i", 129), "a\x00", "\xff"} {
		if err := l.ID(in); err == nil {
			t.Errorf("ID(%q) passed", in)
		}
	}
}

func TestCharacters(t *testing.T) {
	for in, want := range map[string]int{
		"": 0, "abc": 3, "가나다": 3, "e\u0301": 1, "é": 1,
		"👍🏽": 1, "👨‍👩‍👧‍👦": 1, "🇰🇷": 1, "🇰🇷🇯🇵": 2, "🏴󠁧󠁢󠁳󠁣󠁴󠁿": 1, "❤️": 1,
		"1️⃣": 1, "🇰🇷a🇯🇵": 3, "\u0301": 1, "नमस्ते": 4,
	} {
		if got := Characters(in); got != want {
			t.Errorf("Characters(%q) = %d, want %d", in, got, want)
		}
	}
}

// What a check lets through is normal, within the limits, and passes again
// unchanged: otherwise two people could not mean the same room.
func TestNormalisationIsStable(t *testing.T) {
	l := Limits{}.withDefaults()
	for name, check := range map[string]func(string) (string, error){"name": l.Name, "room": l.Room, "text": l.Text} {
		rapid.Check(t, func(t *rapid.T) {
			in := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("a é\u0301\u1100\u1161\u11a8👍🏽\u200d🇰🇷\n\r ")), 0, 40, -1)).Draw(t, name)
			got, err := check(in)
			if err != nil {
				return
			}
			if !utf8.ValidString(got) || !norm.NFC.IsNormalString(got) {
				t.Fatalf("%q is not normal", got)
			}
			if again, err := check(got); err != nil || again != got {
				t.Fatalf("%q again: %q, %v", got, again, err)
			}
		})
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"a", "\u1100\u1161", "👨‍👩‍👧", "\xff", "a\r\nb", "\u202e"} {
		f.Add(s)
	}
	l := Limits{}.withDefaults()
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := l.Text(s); err == nil && (len(got) > l.TextBytes || Characters(got) > l.TextCharacters) {
			t.Fatalf("%d bytes, %d characters", len(got), Characters(got))
		}
		if got, err := l.Room(s); err == nil && (got == "" || len(got) > l.RoomBytes) {
			t.Fatalf("room %q", got)
		}
	})
}
