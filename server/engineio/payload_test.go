package engineio

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// payloadVector is one case of testdata/payload: bytes in JSON are base64.
type payloadVector struct {
	Name    string
	Packets []struct {
		Type   byte
		Binary json.RawMessage // true, with Data
		Data   []byte
		Text   string
	}
	B64, Octets   bool
	Wire, Payload []byte
	Text, Body    string
}

// packets converts the vector's packets.
func (v payloadVector) packets() []Packet {
	var ps []Packet
	for _, p := range v.Packets {
		if len(p.Binary) > 0 {
			ps = append(ps, Packet{Type: p.Type, Binary: true, Data: p.Data})
		} else {
			ps = append(ps, Packet{Type: p.Type, Data: []byte(p.Text)})
		}
	}
	return ps
}

// payloadVectors reads vectors captured from the published packages.
func payloadVectors(t testing.TB, file string) []payloadVector {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "payload", file))
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Vectors []payloadVector }
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Vectors) == 0 {
		t.Fatalf("no vectors in %s", file)
	}
	return f.Vectors
}

func samePackets(a, b []Packet) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Type != b[i].Type || a[i].Binary != b[i].Binary || !bytes.Equal(a[i].Data, b[i].Data) {
			return false
		}
	}
	return true
}

func TestPayload4Vectors(t *testing.T) {
	for _, v := range payloadVectors(t, "revision4.json") {
		t.Run(v.Name, func(t *testing.T) {
			ps := v.packets()
			if got := AppendPayload4([]byte("x"), ps); string(got) != "x"+string(v.Wire) {
				t.Errorf("encoded %q, want %q", got, v.Wire)
			}
			got, err := DecodePayload4(v.Wire, len(ps))
			if err != nil || !samePackets(got, ps) {
				t.Errorf("decoded %v, %v; want %v", got, err, ps)
			}
			if _, err := DecodePayload4(v.Wire, len(ps)-1); len(ps) > 1 && !errors.Is(err, ErrPayloadPackets) {
				t.Errorf("one packet too many: %v", err)
			}
		})
	}
}

func TestPayload4Refused(t *testing.T) {
	for name, b := range map[string]string{
		"empty":              "",
		"empty packet":       "4a\x1e\x1e4b",
		"empty last packet":  "4a\x1e",
		"empty first packet": "\x1e4a",
		"unknown type":       "7",
		"not a digit":        "x",
		"bad base64":         "b!!!!",
		"cut base64":         "bAAAAA",
		"data after padding": "bAA==AAAA",
		"invalid UTF-8":      "4\xff",
		"surrogate":          "4\xed\xa0\x80",
	} {
		if ps, err := DecodePayload4([]byte(b), 0); !errors.Is(err, ErrPayload) {
			t.Errorf("%s: %v, %v", name, ps, err)
		}
	}
	// Padding left out is accepted, and so are line ends.
	for _, s := range []string{"bAQ", "bAQ==\n", "bA\nQ=\r\n=", "bAQ\n"} {
		if ps, err := DecodePayload4([]byte(s), 0); err != nil || !bytes.Equal(ps[0].Data, []byte{1}) {
			t.Errorf("%q: %v, %v", s, ps, err)
		}
	}
}

func TestPayload3Vectors(t *testing.T) {
	for _, v := range payloadVectors(t, "revision3.json") {
		t.Run(v.Name, func(t *testing.T) {
			ps := v.packets()
			got, octets := AppendPayload3([]byte("x"), ps, v.B64)
			// The package writes characters as they are; ours decodes to the
			// same JSON and is compared in TestPayload3Escapes.
			if !bytes.Contains(got, []byte(`\u`)) && string(got) != "x"+string(v.Wire) {
				t.Errorf("encoded %q, want %q", got, v.Wire)
			}
			if octets != v.Octets {
				t.Errorf("octets %v", octets)
			}
			back, err := DecodePayload3(v.Wire, v.Octets, max(1, len(ps)), nil)
			if err != nil || !samePackets(back, ps) {
				t.Errorf("decoded %v, %v; want %v", back, err, ps)
			}
			if _, err := DecodePayload3(v.Wire, v.Octets, len(ps)-1, nil); len(ps) > 1 && !errors.Is(err, ErrPayloadPackets) {
				t.Errorf("one packet too many: %v", err)
			}
		})
	}
}

// The bytes of the published protocol text and of captures from Node.
func TestPayload3Bytes(t *testing.T) {
	text := func(s ...string) (ps []Packet) {
		for _, s := range s {
			ps = append(ps, Packet{Type: TypeMessage, Data: []byte(s)})
		}
		return ps
	}
	bin := func(b ...byte) Packet { return Packet{Type: TypeMessage, Binary: true, Data: b} }
	for _, c := range []struct {
		name string
		ps   []Packet
		b64  bool
		want string
	}{
		{"text", text("hello", "€"), false, "6:4hello2:4€"},
		{"astral", text("😀"), false, "3:4😀"},
		{"octets", append(text("€"), bin(1, 2, 3, 4)), false, "\x00\x04\xff\x34\xe2\x82\xac\x01\x05\xff\x04\x01\x02\x03\x04"},
		{"octets astral", append(text("😀"), bin(1)), false, "\x00\x05\xff\x34\xf0\x9f\x98\x80\x01\x02\xff\x04\x01"},
		{"octets long", append(text(strings.Repeat("x", 123)), bin()), false, "\x00\x01\x02\x04\xff4" + strings.Repeat("x", 123) + "\x01\x01\xff\x04"},
		{"b64", append(text("€"), bin(1, 2, 3, 4)), true, "2:4€10:b4AQIDBA=="},
		{"empty", nil, false, "0:"},
		{"pong", []Packet{{Type: TypePong}}, false, "1:3"},
	} {
		got, octets := AppendPayload3(nil, c.ps, c.b64)
		if string(got) != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		back, err := DecodePayload3(got, octets, 0, new(UTF8Twice))
		if err != nil || !samePackets(back, c.ps) {
			t.Errorf("%s: decoded %v, %v", c.name, back, err)
		}
	}
}

func TestPayload3Escapes(t *testing.T) {
	for _, v := range payloadVectors(t, "escaped.json") {
		got, _ := AppendPayload3(nil, []Packet{{Type: TypeMessage, Data: []byte(v.Text)}}, false)
		if !bytes.Equal(got, v.Wire) {
			t.Errorf("%s: %q, want %q", v.Name, got, v.Wire)
		}
	}
	// Not Socket.IO packets, or with characters where JSON has none.
	for _, s := range []string{
		"hello€", "€", "2€", `2"€"`, `2["€"`, `2["€]`, `2[€]`, `["€"]`, `7["€"]`, `5["€"]`, `5-["€"]`,
		`5x-["€"]`, `2/€`, `2/€,`, `2/€,1`, `4"€`, `2["a"]€["b"]`, `2["\é"]é]`, "2[\"\xff\"]",
	} {
		got, _ := AppendPayload3(nil, []Packet{{Type: TypeMessage, Data: []byte(s)}}, false)
		want := strconv.Itoa(1+utf16Len([]byte(s))) + ":4" + s
		if string(got) != want {
			t.Errorf("%q became %q", s, got)
		}
	}
	// A namespace stays as it is, with the strings behind it escaped.
	got, _ := AppendPayload3(nil, []Packet{{Type: TypeMessage, Data: []byte(`2/채팅,7["é"]`)}}, false)
	if want := `17:42/채팅,7["\u00e9"]`; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
	// Packets other than messages carry no JSON strings of Socket.IO.
	got, _ = AppendPayload3(nil, []Packet{{Type: TypePing, Data: []byte(`2["é"]`)}}, false)
	if want := `7:22["é"]`; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPayload3Refused(t *testing.T) {
	for name, b := range map[string]string{
		"empty": "", "no length": ":4", "no colon": "1", "not a length": "x", "negative": "-1:4", "exponent": "1e0:4",
		"too long": "5:4abc", "too short": "2:4€x", "nothing": "1:", "unknown type": "1:7", "huge": "99999999999:4",
		"overflow": "18446744073709551617:4", "cut astral": "2:4😀", "bad base64": "4:b4A!", "no type": "1:b", "bad b type": "4:b9AA",
		"invalid UTF-8": "2:4\xff", "surrogate": "2:4\xed\xa0\x80", "trailing": "1:4x", "space": "1 :4",
	} {
		if ps, err := DecodePayload3([]byte(b), false, 0, new(UTF8Twice)); !errors.Is(err, ErrPayload) {
			t.Errorf("%s: %v, %v", name, ps, err)
		}
	}
	for name, b := range map[string]string{
		"empty": "", "kind": "\x02\x01\xff4", "no length": "\x00\xff4", "no end": "\x00\x01", "end of digits": "\x00\x01\x0a4",
		"too long": "\x00\x05\xff4a", "nothing": "\x00\x01\xff", "zero": "\x00\x00\xff", "type": "\x01\x01\xff\x07", "text type": "\x00\x01\xff7",
		"huge": "\x00\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff4", "invalid UTF-8": "\x00\x02\xff4\xff", "trailing": "\x00\x01\xff4\x00",
		"text": "1:4", "bad base64": "\x00\x03\xffb4A",
	} {
		if ps, err := DecodePayload3([]byte(b), true, 0, new(UTF8Twice)); !errors.Is(err, ErrPayload) {
			t.Errorf("octets, %s: %v, %v", name, ps, err)
		}
	}
	if ps, err := DecodePayload3([]byte("0:"), false, 1, nil); err != nil || len(ps) != 0 {
		t.Errorf("the empty payload: %v, %v", ps, err)
	}
}

// What Socket.IO 1.x sends, captured from its parser.
func TestUTF8TwiceVectors(t *testing.T) {
	for _, v := range payloadVectors(t, "revision3_twice.json") {
		if want := v.packets(); v.Name != "mojibake" {
			var dec UTF8Twice
			got, err := DecodePayload3(v.Wire, v.Octets, 0, &dec)
			if err != nil || !samePackets(got, want) {
				t.Errorf("%s: %v, %v; want %v", v.Name, got, err, want)
			}
			if dec.once {
				t.Errorf("%s: taken for a 2.x client", v.Name)
			}
		}
	}
}

func TestUTF8TwiceState(t *testing.T) {
	decode := func(dec *UTF8Twice, s string) string {
		t.Helper()
		b := []byte(strconv.Itoa(1+utf16Len([]byte(s))) + ":4" + s)
		ps, err := DecodePayload3(b, false, 0, dec)
		if err != nil || len(ps) != 1 {
			t.Fatalf("%q: %v, %v", s, ps, err)
		}
		return string(ps[0].Data)
	}
	twice := func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			b.WriteRune(rune(c))
		}
		return b.String()
	}
	var old UTF8Twice
	for _, s := range []string{"é", "안녕 😀", "plain"} {
		if got := decode(&old, twice(s)); got != s {
			t.Errorf("1.x: %q, want %q", got, s)
		}
	}
	// 1.x lets lone surrogates through.
	if got := decode(&old, twice("a\xed\xa0\x80b")); got != "a\uFFFDb" || old.once {
		t.Errorf("lone surrogate: %q", got)
	}
	// A 2.x client shows itself by a unit above 0xFF, or by one that is no UTF-8.
	for _, first := range []string{"안", "é", "😀"} {
		var dec UTF8Twice
		for _, s := range []string{"plain", first, twice("é")} {
			if got := decode(&dec, s); got != s {
				t.Errorf("2.x after %q: %q, want %q", first, got, s)
			}
		}
	}
}

func TestPayloadAppendDoesNotAllocate(t *testing.T) {
	ps := []Packet{{Type: TypeMessage, Data: []byte(`2["new message",{"a":1}]`)}, {Type: TypePing}, {Type: TypeMessage, Binary: true, Data: make([]byte, 100)}}
	korean := []Packet{{Type: TypeMessage, Data: []byte(`2["안녕"]`)}}
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		AppendPayload4(dst, ps)
		AppendPayload3(dst, ps, true)
		AppendPayload3(dst, ps, false)
		AppendPayload3(dst, korean, false)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecodePayload4(f *testing.F) {
	for _, v := range payloadVectors(f, "revision4.json") {
		f.Add(v.Wire)
	}
	f.Add([]byte("4a\x1e\x1eb=="))
	f.Fuzz(func(t *testing.T, b []byte) {
		ps, err := DecodePayload4(b, 100)
		if err != nil {
			return
		}
		again, err := DecodePayload4(AppendPayload4(nil, ps), 100)
		if err != nil || !samePackets(ps, again) {
			t.Fatalf("%q: %v, then %v, %v", b, ps, again, err)
		}
	})
}

func FuzzDecodePayload3(f *testing.F) {
	for _, file := range []string{"revision3.json", "revision3_twice.json", "escaped.json"} {
		for _, v := range payloadVectors(f, file) {
			f.Add(v.Wire, v.Octets)
		}
	}
	f.Add([]byte("99999999999999999999:4"), false)
	f.Fuzz(func(t *testing.T, b []byte, octets bool) {
		ps, err := DecodePayload3(b, octets, 100, new(UTF8Twice))
		if err != nil {
			return
		}
		for _, p := range ps {
			if p.Type > TypeNoop || !p.Binary && !utf8.Valid(p.Data) {
				t.Fatalf("%q: %v", b, p)
			}
		}
		for _, b64 := range []bool{false, true} {
			wire, octets := AppendPayload3(nil, ps, b64)
			again, err := DecodePayload3(wire, octets, 100, nil)
			if err != nil || len(again) != len(ps) {
				t.Fatalf("%q: %v, then %v, %v", b, ps, again, err)
			}
			// Escapes change spelling, not meaning.
			if !bytes.Contains(wire, []byte(`\u`)) && !samePackets(ps, again) {
				t.Fatalf("%q: %v, then %v", b, ps, again)
			}
		}
	})
}

// FuzzEscape holds that escaping changes nothing that JSON means.
func FuzzEscape(f *testing.F) {
	f.Add(`["é\\","\"😀"]`)
	f.Add(`{"한":"\\\\\""}`)
	f.Fuzz(func(t *testing.T, s string) {
		var want, got any
		valid := utf8.ValidString(s) && json.Unmarshal([]byte(s), &want) == nil
		out := appendEscaped(nil, []byte("2"+s))
		if !valid {
			return
		}
		if err := json.Unmarshal(out[1:], &got); err != nil {
			t.Fatalf("%q became %q: %v", s, out, err)
		}
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if !bytes.Equal(a, b) {
			t.Fatalf("%q became %q", s, out)
		}
		if strings.TrimSpace(s) == s && s != "" && (s[0] == '[' || s[0] == '{') && !isASCII(out) {
			t.Fatalf("%q became %q, not all ASCII", s, out)
		}
	})
}

func BenchmarkAppendPayload4(b *testing.B) {
	ps := make([]Packet, 16)
	for i := range ps {
		ps[i] = Packet{Type: TypeMessage, Data: []byte(`2["new message",{"username":"ann","message":"hello there","room":"lobby"}]`)}
	}
	dst := AppendPayload4(nil, ps)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendPayload4(dst[:0], ps)
	}
}

func BenchmarkDecodePayload4(b *testing.B) {
	ps := make([]Packet, 16)
	for i := range ps {
		ps[i] = Packet{Type: TypeMessage, Data: []byte(`2["new message",{"username":"ann","message":"hello there","room":"lobby"}]`)}
	}
	wire := AppendPayload4(nil, ps)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodePayload4(wire, 100); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPayload3Korean(b *testing.B) {
	ps := []Packet{{Type: TypeMessage, Data: []byte(`2["new message",{"username":"안나","message":"안녕하세요 여러분","room":"lobby"}]`)}}
	dst, _ := AppendPayload3(nil, ps, false)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = AppendPayload3(dst[:0], ps, false)
	}
}

func BenchmarkDecodePayload3(b *testing.B) {
	wire, _ := AppendPayload3(nil, []Packet{{Type: TypeMessage, Data: []byte(`2["new message",{"username":"ann","message":"hello there","room":"lobby"}]`)}}, false)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodePayload3(wire, false, 100, new(UTF8Twice)); err != nil {
			b.Fatal(err)
		}
	}
}
