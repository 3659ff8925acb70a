package packet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

func TestMsgpackVectors(t *testing.T) {
	vs, _ := vectors(t, "msgpack.json")
	for _, v := range vs {
		want := v.packet()
		got, err := DecodeMsgpack(v.Wire, Limits{})
		if err != nil || !same(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", v.Name, got, err, want)
			continue
		}
		if out, err := AppendMsgpack([]byte("x"), got); err != nil || !bytes.Equal(out[1:], v.Again) {
			t.Errorf("%s: encoded %x, %v; want %x", v.Name, out, err, v.Again)
		}
		wire := bytes.Clone(v.Wire)
		got, _ = DecodeMsgpack(wire, Limits{})
		clear(wire)
		if !same(got, want) {
			t.Errorf("%s: changed with its input", v.Name)
		}
	}
}

// event is the msgpack of an event with the value v, in hex, as argument.
func event(v string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll("83 a474797065 02 a36e7370 a12f a464617461 92 a161"+v, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestMsgpackValues(t *testing.T) {
	for _, c := range []struct{ in, want, out string }{
		{"c0", "null", ""}, {"c2", "false", ""}, {"c3", "true", ""}, {"d40000", "null", "c0"},
		{"00", "0", ""}, {"7f", "127", ""}, {"cc80", "128", ""}, {"ccff", "255", ""}, {"cd0100", "256", ""}, {"ce00010000", "65536", ""}, {"cf0000000100000000", "4294967296", ""},
		{"cfffffffffffffffff", "18446744073709551615", ""}, {"ff", "-1", ""}, {"e0", "-32", ""}, {"d0df", "-33", ""}, {"d1ff7f", "-129", ""}, {"d2ffff7fff", "-32769", ""}, {"d3ffffffff7fffffff", "-2147483649", ""},
		{"d38000000000000000", "-9223372036854775808", ""}, {"d37fffffffffffffff", "9223372036854775807", "cf7fffffffffffffff"}, {"d000", "0", "00"}, {"d30000000000000001", "1", "01"},
		{"cb3ff8000000000000", "1.5", ""}, {"ca3fc00000", "1.5", "cb3ff8000000000000"}, {"ca3dcccccd", "0.10000000149011612", "cb3fb99999a0000000"}, {"cb3ff0000000000000", "1", "01"},
		{"cb8000000000000000", "-0", ""}, {"cb7ff8000000000000", "null", "c0"}, {"cb7ff0000000000000", "null", "c0"}, {"cafff00000", "null", "c0"}, {"ca7f800000", "null", "c0"}, {"cb444b1ae4d6e2ef50", "1e+21", ""}, {"cb0000000000000001", "5e-324", ""},
		{"a0", `""`, ""}, {"a3e29c93", `"✓"`, ""}, {"a40a225c01", `"\n\"\\\u0001"`, ""}, {"d903616263", `"abc"`, "a3616263"}, {"da0003616263", `"abc"`, "a3616263"}, {"db00000003616263", `"abc"`, "a3616263"},
		{"90", "[]", ""}, {"dc0000", "[]", "90"}, {"dd0000000101", "[1]", "9101"}, {"80", "{}", ""}, {"de0001a16101", `{"a":1}`, "81a16101"}, {"df00000001a16101", `{"a":1}`, "81a16101"},
		{"82a161d40000a16201", `{"b":1}`, "81a16201"}, {"82a161d40000a162d40000", `{}`, "80"}, {"82a161d40000a16202", `{"b":2}`, "81a16202"}, {"82a16101a161d40000", `{"a":1}`, "81a16101"},
		// Dates: Date of notepack.io 2, timestamps of the specification.
		{"d7000000018bcfe5687b", `"2023-11-14T22:13:20.123Z"`, "b8323032332d31312d31345432323a31333a32302e3132335a"}, {"d6ff6553f100", `"2023-11-14T22:13:20.000Z"`, "b8323032332d31312d31345432323a31333a32302e3030305a"},
		{"d7ff1d5353006553f100", `"2023-11-14T22:13:20.123Z"`, "b8323032332d31312d31345432323a31333a32302e3132335a"}, {"c70cff0000000000000000ffffffffff", "", ""}, {"c70cff00000000ffffffffffffffff", `"1969-12-31T23:59:59.000Z"`, "b8313936392d31322d33315432333a35393a35392e3030305a"},
		{"d7007fffffffffffffff", "null", "c0"}, {"d7008000000000000000", "null", "c0"}, {"c70cff000000007fffffffffffffff", "null", "c0"}, {"c70cff3b9aca000000000000000000", "", ""},
		// Refused: cut, unknown, not UTF-8, keys that are no strings, counts that lie.
		{"c1", "", ""}, {"a1", "", ""}, {"a1ff", "", ""}, {"a3eda080", "", ""}, {"cb00", "", ""}, {"91", "", ""}, {"ddffffffff", "", ""}, {"dfffffffff", "", ""}, {"810101", "", ""}, {"81c001", "", ""}, {"81c4016101", "", ""}, {"81a161", "", ""},
		{"d40001", "", ""}, {"d40100", "", ""}, {"d5000000", "", ""}, {"d600" + "00000000", "", ""}, {"d8" + strings.Repeat("00", 17), "", ""}, {"c7", "", ""}, {"c705", "", ""}, {"c7050000", "", ""}, {"c9ffffffff00", "", ""}, {"c800", "", ""}, {"c70105ff", "", ""}, {"dbffffffff61", "", ""}, {"c6ffffffff61", "", ""},
		{"d6ff00", "", ""}, {"c703ff000000", "", ""}, {"", "", ""},
	} {
		p, err := DecodeMsgpack(event(c.in), Limits{})
		if c.want == "" {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %+v, %v", c.in, p, err)
			}
			continue
		}
		if err != nil || string(p.Data) != `["a",`+c.want+`]` {
			t.Errorf("%s: %+v, %v; want %s", c.in, p, err, c.want)
			continue
		}
		if c.out == "" {
			c.out = c.in
		}
		want := "83a47479706502a4646174619" + "2a161" + c.out + "a36e7370a12f"
		if out, err := AppendMsgpack(nil, p); err != nil || hex.EncodeToString(out) != want {
			t.Errorf("%s: encoded %x, %v; want %s", c.in, out, err, want)
		}
	}
}

func TestMsgpackBinary(t *testing.T) {
	for in, want := range map[string]string{"c403010203": "010203", "c50003010203": "010203", "c600000003010203": "010203", "c70300010203": "010203", "c8000300010203": "010203", "c90000000300010203": "010203", "c400": "", "c70000": ""} {
		p, err := DecodeMsgpack(event(in), Limits{})
		if err != nil || string(p.Data) != `["a",{"_placeholder":true,"num":0}]` || len(p.Attachments) != 1 || hex.EncodeToString(p.Attachments[0]) != want {
			t.Errorf("%s: %+v, %v", in, p, err)
		}
	}
	// Maps that look like placeholders.
	const alike = "82ac5f706c616365686f6c646572c3a36e756d00"
	if p, err := DecodeMsgpack(event(alike), Limits{}); err != nil || len(p.Attachments) != 0 {
		t.Errorf("a lookalike alone: %+v, %v", p, err)
	} else if again, err := AppendMsgpack(nil, p); err != nil || !bytes.Contains(again, event(alike)[len(event("")):]) {
		t.Errorf("a lookalike alone: %x, %v", again, err)
	}
	for _, v := range []string{"92" + alike + "c40101", "92c40101" + alike, "81ac5f706c616365686f6c646572c40101"} {
		if p, err := DecodeMsgpack(event(v), Limits{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", v, p, err)
		}
	}
	if p, err := DecodeMsgpack(event("9b"+strings.Repeat("c400", 11)), Limits{}); !errors.Is(err, ErrLimit) {
		t.Errorf("eleven attachments: %+v, %v", p, err)
	}
}

// obj writes a msgpack map of the given keys and raw values.
func obj(kv ...any) []byte {
	b := msgp.AppendMapHeader(nil, uint32(len(kv)/2))
	for i := 0; i < len(kv); i += 2 {
		b = msgp.AppendString(b, kv[i].(string))
		switch v := kv[i+1].(type) {
		case int:
			b = msgp.AppendInt(b, v)
		case string:
			b = msgp.AppendString(b, v)
		case []byte:
			b = append(b, v...)
		}
	}
	return b
}

func TestMsgpackPackets(t *testing.T) {
	list := []byte{0x91, 0xa1, 'a'}
	undefined := []byte{0xd4, 0, 0}
	for _, c := range []struct {
		name string
		in   []byte
		want *Packet
	}{
		{"connect", obj("type", 0, "nsp", "/"), &Packet{Type: Connect, Namespace: "/"}},
		{"connect, no auth", obj("type", 0, "data", undefined, "nsp", "/"), &Packet{Type: Connect, Namespace: "/"}},
		{"any order, other keys", obj("nsp", "/a", "options", obj("compress", []byte{0xc3}), "data", list, "id", 5, "type", 2), &Packet{Type: Event, Namespace: "/a", ID: 5, HasID: true, Data: []byte(`["a"]`)}},
		{"id undefined", obj("type", 2, "nsp", "/", "data", list, "id", undefined), &Packet{Type: Event, Namespace: "/", Data: []byte(`["a"]`)}},
		{"largest id", obj("type", 3, "nsp", "/", "data", list, "id", MaxID), &Packet{Type: Ack, Namespace: "/", ID: MaxID, HasID: true, Data: []byte(`["a"]`)}},
		{"error", obj("type", 4, "nsp", "/", "data", "no"), &Packet{Type: ConnectError, Namespace: "/", Data: []byte(`"no"`)}},
		{"id too large", obj("type", 3, "nsp", "/", "data", list, "id", MaxID+1), nil},
		{"negative id", obj("type", 2, "nsp", "/", "data", list, "id", -1), nil},
		{"id of a connect", obj("type", 0, "nsp", "/", "id", 1), nil},
		{"ack without id", obj("type", 3, "nsp", "/", "data", list), nil},
		{"id null", obj("type", 2, "nsp", "/", "data", list, "id", []byte{0xc0}), nil},
		{"type 5", obj("type", 5, "nsp", "/", "data", list), nil},
		{"negative type", obj("type", -1, "nsp", "/", "data", list), nil},
		{"type string", obj("type", "2", "nsp", "/", "data", list), nil},
		{"no type", obj("nsp", "/", "data", list), nil},
		{"no namespace", obj("type", 2, "data", list), nil},
		{"bad namespace", obj("type", 0, "nsp", "a"), nil},
		{"empty namespace", obj("type", 0, "nsp", ""), nil},
		{"comma in namespace", obj("type", 0, "nsp", "/a,b"), nil},
		{"long namespace", obj("type", 0, "nsp", "/"+strings.Repeat("a", 256)), nil},
		{"event without data", obj("type", 2, "nsp", "/"), nil},
		{"event with undefined", obj("type", 2, "nsp", "/", "data", undefined), nil},
		{"event with a map", obj("type", 2, "nsp", "/", "data", obj("a", 1)), nil},
		{"event without a name", obj("type", 2, "nsp", "/", "data", []byte{0x90}), nil},
		{"reserved", obj("type", 2, "nsp", "/", "data", append([]byte{0x91}, msgp.AppendString(nil, "disconnect")...)), nil},
		{"name is binary", obj("type", 2, "nsp", "/", "data", []byte{0x91, 0xc4, 1, 1}), nil},
		{"name is undefined", obj("type", 2, "nsp", "/", "data", append([]byte{0x91}, undefined...)), nil},
		{"connect with an array", obj("type", 0, "nsp", "/", "data", list), nil},
		{"connect with binary", obj("type", 0, "nsp", "/", "data", obj("a", []byte{0xc4, 1, 1})), nil},
		{"connect with null", obj("type", 0, "nsp", "/", "data", []byte{0xc0}), nil},
		{"disconnect with data", obj("type", 1, "nsp", "/", "data", list), nil},
		{"error with a number", obj("type", 4, "nsp", "/", "data", 1), nil},
		{"type twice", obj("type", 2, "nsp", "/", "data", list, "type", 2), nil},
		{"namespace twice", obj("type", 2, "nsp", "/", "data", list, "nsp", "/"), nil},
		{"data twice", obj("type", 2, "nsp", "/", "data", list, "data", list), nil},
		{"id twice", obj("type", 2, "nsp", "/", "data", list, "id", 1, "id", 1), nil},
		{"bytes behind", append(obj("type", 0, "nsp", "/"), 0), nil},
		{"bad other key", obj("type", 0, "nsp", "/", "x", []byte{0xc1}), nil},
		{"not a map", list, nil},
		{"empty", nil, nil},
		{"cut", obj("type", 0, "nsp", "/")[:5], nil},
		{"many keys", bytes.Join([][]byte{{0xdf, 0xff, 0xff, 0xff, 0xff}}, nil), nil},
	} {
		got, err := DecodeMsgpack(c.in, Limits{})
		if c.want == nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
				t.Errorf("%s: %+v, %v", c.name, got, err)
			}
		} else if err != nil || !same(got, c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// What a packet is as JSON is bounded, not only what arrived.
func TestMsgpackGrowth(t *testing.T) {
	l := Limits{MaxBytes: 100_000}
	for _, fill := range []string{"c0", "a101", "d6ff00000001", "ca00800000"} {
		n := 90_000 / (len(fill) / 2)
		body := fmt.Sprintf("dd%08x%s", n, strings.Repeat(fill, n))
		if _, err := DecodeMsgpack(event(body), l); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", fill, err)
		}
	}
}

func TestMsgpackLimits(t *testing.T) {
	nest := func(n int) []byte { return event(strings.Repeat("91", n) + "c0") }
	l := Limits{MaxDepth: 5, MaxArgs: 3, MaxBytes: 100}
	if _, err := DecodeMsgpack(nest(4), l); err != nil {
		t.Error(err)
	}
	if _, err := DecodeMsgpack(nest(5), l); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if _, err := DecodeMsgpack(event(strings.Repeat("81a161", 5)+"c0"), l); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if _, err := DecodeMsgpack(obj("type", 2, "nsp", "/", "data", []byte{0x94, 1, 1, 1, 1}), l); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if _, err := DecodeMsgpack(obj("type", 2, "nsp", "/", "data", []byte{0x91, 0xa1, 'a'}, "x", strings.Repeat("x", 100)), l); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if _, err := DecodeMsgpack(obj("type", 2, "nsp", "/", "x", bytes.Repeat([]byte{0x91}, 100_000)), Limits{}); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}

// Containers and strings of each header size keep their bytes.
func TestMsgpackSizes(t *testing.T) {
	for _, n := range []int{0, 15, 16, 31, 32, 255, 256, 65535, 65536} {
		data := msgp.AppendArrayHeader(nil, 4)
		data = msgp.AppendString(data, "a")
		data = msgp.AppendArrayHeader(data, uint32(n))
		for range n {
			data = append(data, 1)
		}
		data = msgp.AppendString(data, strings.Repeat("\n", n))
		data = msgp.AppendBytes(data, make([]byte, n))
		in := obj("type", 2, "data", data, "nsp", "/")
		p, err := DecodeMsgpack(in, Limits{})
		if err != nil {
			t.Fatal(n, err)
		}
		if out, err := AppendMsgpack(nil, p); err != nil || !bytes.Equal(out, in) {
			t.Errorf("%d: %v, %d bytes, want %d", n, err, len(out), len(in))
		}
	}
	var b strings.Builder
	for i := range 70_000 {
		fmt.Fprintf(&b, `,"%d":1`, i)
	}
	p := &Packet{Type: Event, Data: []byte(`["a",{` + b.String()[1:] + `}]`)}
	out, err := AppendMsgpack(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeMsgpack(out, Limits{}); err != nil || !bytes.Equal(back.Data, p.Data) {
		t.Errorf("a map of 70,000: %v", err)
	}
}

func TestAppendMsgpackRefused(t *testing.T) {
	for _, data := range []string{`[`, `["a"`, `["a",]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{1:1}`, `nul`, `"a`, `-`, `1.`, `[1]x`, ``, `["a",{"_placeholder":true,"num":1}]`, strings.Repeat("[", 20_000), "\"\xff\"", `--1`, `{`, `{"a"`, `{"a":1`} {
		p := &Packet{Type: Event, Data: []byte(data), Attachments: [][]byte{{1}}}
		if out, err := AppendMsgpack([]byte("x"), p); !errors.Is(err, ErrMalformed) || string(out) != "x" {
			t.Errorf("%q: %q, %v", data, out, err)
		}
	}
}

func TestAppendMsgpackNumbers(t *testing.T) {
	for data, want := range map[string]float64{`1.5`: 1.5, `1e2`: 100, `18446744073709551616`: 18446744073709551616, `-9223372036854775809`: -9223372036854775809, `-0`: math.Copysign(0, -1), `1e999`: math.Inf(1), `0.` + strings.Repeat("1", 400): 0.1111111111111111} {
		out, err := AppendMsgpack(nil, &Packet{Type: ConnectError, Data: []byte(data)})
		if err != nil {
			t.Error(data, err)
			continue
		}
		i := bytes.IndexByte(out, 0xcb)
		got, _, err := msgp.ReadFloat64Bytes(out[i:])
		if err != nil || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s: %v, %v", data, got, err)
		}
	}
}

func FuzzDecodeMsgpack(f *testing.F) {
	vs, _ := vectors(f, "msgpack.json")
	for _, v := range vs {
		f.Add(v.Wire)
	}
	f.Add(event("d40000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodeMsgpack(b, Limits{})
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
				t.Fatalf("%x: unwrapped %v", b, err)
			}
			return
		}
		if p.Data != nil && !json.Valid(p.Data) {
			t.Fatalf("%x: bad JSON %q", b, p.Data)
		}
		if p.Data != nil {
			if err := Check(p.Data, 64, len(p.Attachments)); err != nil {
				t.Fatalf("%x: %q: %v", b, p.Data, err)
			}
		}
		if len(p.Data) > 6*len(b)+10*64 {
			t.Fatalf("%x: %d bytes became %d", b, len(b), len(p.Data))
		}
		// The ordinary parser says the same.
		text, err := feed(NewDecoder(5, Limits{}), AppendText(nil, p), p.Attachments)
		if err != nil || !same(p, text) {
			t.Fatalf("%x: %+v; as text %+v, %v", b, p, text, err)
		}
		out, err := AppendMsgpack(nil, p)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		again, err := DecodeMsgpack(out, Limits{})
		if err != nil || !same(p, again) {
			t.Fatalf("%x: %+v; again %+v, %v", b, p, again, err)
		}
	})
}

// FuzzAppendMsgpack holds that it takes exactly the JSON that Check takes.
func FuzzAppendMsgpack(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s), false)
	}
	f.Add([]byte(`[{"_placeholder":true,"num":0}]`), true)
	f.Fuzz(func(t *testing.T, b []byte, attach bool) {
		p := &Packet{Type: Event, Data: b}
		n := 0
		if attach {
			p.Attachments, n = [][]byte{{1, 2}}, 1
		}
		if b == nil {
			return
		}
		want := Check(b, 1000, n)
		out, err := AppendMsgpack(nil, p)
		if want == nil && err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if err == nil && Check(b, 1000, 0) != nil {
			t.Fatalf("%q: %x", b, out)
		}
		if err == nil {
			if _, err := msgp.Skip(out); err != nil {
				t.Fatalf("%q: %x: %v", b, out, err)
			}
		}
	})
}
