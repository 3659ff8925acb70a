package official

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// pack is JSON as msgpack.
func pack(t testing.TB, text string, attachments ...[]byte) []byte {
	b, err := packet.AppendValue(nil, []byte(text), attachments)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRefused(t *testing.T) {
	o := defaults()
	d := o.decoder()
	d.maxRooms, d.maxMessage, d.maxDepth = 3, 2000, 10
	deep := strings.Repeat("[", 11) + strings.Repeat("]", 11)
	long := strings.Repeat("x", maxID+1)
	for _, c := range []struct {
		what   string
		decode func([]byte) (*message, error)
		in     []string // JSON; "msgpack " before it turns it to that; "raw " is neither
	}{
		{"broadcast", d.broadcast, []string{
			``, `{}`, `[]`, `["u"]`, `1`, `["u",null,{}]`, `["u",{},{}]`, `["u",{"type":2},{}]`, `["u",{"type":2,"data":[]},{}]`, `["u",{"type":2,"data":{}},{}]`,
			`["u",{"type":3,"data":["a"]},{}]`, `["u",{"type":2,"data":["disconnect"]},{}]`, `["u",{"type":2,"data":[{}]},{}]`, `[1,{"type":2,"data":["a"]},{}]`,
			`["u",{"type":2,"data":["a"]},{"rooms":"r"}]`, `["u",{"type":2,"data":["a"]},{"rooms":[null]}]`, `["u",{"type":2,"data":["a"]},{"rooms":[["r"]]}]`, `["u",{"type":2,"data":["a"]},{"rooms":[1,2,3,4]}]`,
			`["u",{"type":2,"data":["a"]},{"except":["1","2","3","4"]}]`, `["u",{"type":2,"data":["a",` + deep + `]},{}]`, `["` + long + `",{"type":2,"data":["a"]},{}]`,
			`["u",{"type":2,"data":["` + strings.Repeat("x", 2000) + `"]},{}]`, "[\"u\",{\"type\":2,\"data\":[\"\xff\"]},{}]", `raw ` + "\x93", `raw ` + "\xc1", "raw \xdd\xff\xff\xff\xff",
		}},
		{"request", d.request, []string{
			``, `[]`, `{}`, `null`, `{"type":"2"}`, `{"type":10}`, `{"type":-1}`, `{"type":2}`, `{"type":5,"opts":{}}`, `{"type":0}`, `{"type":1}`, `{"type":6}`, `{"type":6,"data":["connect"]}`,
			`{"type":7,"requestId":"q"}`, `{"type":7,"requestId":"q","packet":{"type":1,"data":["a"]}}`, `{"type":7,"packet":{"type":2,"data":["a"]},"opts":{}}`, `{"type":2,"opts":{},"rooms":[1,2,3,4]}`,
			`{"type":2,"opts":{},"rooms":{}}`, `{"type":2,"sid":"s","room":null}`, `{"type":2,"sid":"` + long + `","room":"r"}`, `{"type":5,"requestId":"` + long + `","opts":{}}`, `msgpack [1]`,
		}},
		{"response", d.response, []string{
			``, `[]`, `{}`, `{"type":8,"requestId":"q"}`, `{"type":8,"requestId":"q","clientCount":-1}`, `{"type":8,"requestId":"q","clientCount":1.5}`, `{"requestId":"q","sockets":{}}`, `{"requestId":"q","sockets":[1]}`,
			`{"requestId":"q","sockets":[{}]}`, `{"requestId":"q","sockets":[{"id":"a","rooms":[1,2,3,4]}]}`, `{"requestId":"q","sockets":[{"id":"a","data":` + deep + `}]}`, `{"type":6,"requestId":"q","data":` + deep + `}`,
		}},
		{"sharded", d.sharded, []string{
			``, `[]`, `{}`, `{"type":3,"uid":"u","nsp":"/"}`, `{"type":3,"data":{"packet":{"type":2,"data":["a"]},"opts":{}},"nsp":"/"}`, `{"type":3,"data":{"packet":{"type":2,"data":["a"]}},"uid":"u","nsp":"/"}`,
			`{"type":1,"data":{},"uid":"u"}`, `{"type":13,"data":{},"uid":"u"}`, `{"type":4,"data":{"rooms":["a"]},"uid":"u"}`, `{"type":4,"data":{"opts":{},"rooms":[1,2,3,4]},"uid":"u"}`, `{"type":7,"data":{"opts":{}},"uid":"u"}`,
			`{"type":8,"data":{"sockets":[]},"uid":"u"}`, `{"type":9,"data":{"packet":["newListener"]},"uid":"u"}`, `{"type":9,"data":{},"uid":"u"}`, `{"type":10,"data":{"packet":1},"uid":"u"}`, `{"type":11,"data":{"requestId":"q"},"uid":"u"}`,
			`{"type":12,"data":{"packet":1},"uid":"u"}`, `{"type":4,"data":{"opts":{},"rooms":["a"]},"uid":"` + long + `"}`,
		}},
		{"python", d.python, []string{
			`{}`, `{"method":1}`, `{"method":"eval"}`, `{"method":"emit"}x`, `{"method":"emit","event":"disconnect"}`, `{"method":"emit","event":"a","room":{}}`, `{"method":"emit","event":"a","room":["1","2","3","4"]}`,
			`{"method":"emit","event":"a","binary":true}`, `{"method":"emit","event":"a","binary":true,"data":[]}`, `{"method":"emit","event":"a","binary":true,"data":[1,2]}`, `{"method":"emit","event":"a","binary":true,"data":[[],"?"]}`,
			`{"method":"emit","event":"a","binary":true,"data":[[],"AQ=="]}`, `{"method":"emit","event":"a","binary":true,"data":[[{"_placeholder":true,"num":1}],"AQ=="]}`, `{"method":"emit","event":"a","binary":true,"data":"AQ=="}`,
			`{"method":"enter_room","sid":"s"}`, `{"method":"enter_room","room":"r"}`, `{"method":"leave_room"}`, `{"method":"close_room"}`, `{"method":"disconnect"}`, `[]`, `nonsense`,
		}},
	} {
		for _, text := range c.in {
			in := []byte(text)
			if s, ok := strings.CutPrefix(text, "msgpack "); ok {
				in = pack(t, s)
			} else if s, ok := strings.CutPrefix(text, "raw "); ok {
				in = []byte(s)
			} else if packet.Check(in, 100, 0) == nil {
				if m, err := c.decode(pack(t, text)); c.what != "python" && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
					t.Errorf("%s in msgpack, %.200s: %+v, %v", c.what, text, m, err)
				}
			}
			if m, err := c.decode(in); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
				t.Errorf("%s, %.200q: %+v, %v", c.what, in, m, err)
			}
		}
	}
	// Attachments: too many, and one outside of the event.
	many := make([][]byte, 11)
	var list []string
	for i := range many {
		list = append(list, fmt.Sprintf(`{"_placeholder":true,"num":%d}`, i))
	}
	if _, err := d.broadcast(pack(t, `["u",{"type":2,"data":["a",`+strings.Join(list, ",")+`]},{}]`, many...)); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if _, err := d.broadcast(pack(t, `["u",{"type":2,"data":["a",`+list[0]+`]},{"x":`+list[1]+`}]`, many[:2]...)); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	for _, p := range []string{"\x80\x04\x95", "(dp0\n", "}q\x00"} {
		if _, err := d.python([]byte(p)); !errors.Is(err, ErrPickle) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// Forms that differ from what is captured, and are taken.
func TestTaken(t *testing.T) {
	o := defaults()
	d := o.decoder()
	for _, c := range []struct {
		decode   func([]byte) (*message, error)
		in, want string
	}{
		{d.broadcast, `["u",{"type":5,"data":["a"]}]`, `broadcast ["a"]`},
		{d.broadcast, `["u",{"type":2,"data":["a"],"nsp":"/b"},{"rooms":null,"except":null,"flags":null}]`, `broadcast ["a"] in /b`},
		{d.broadcast, `["u",{"type":2,"data":["a",{"_placeholder":true,"num":0}]},{"rooms":[1e21,-0,1.50,1e-7,-12.5e3],"flags":{"volatile":false,"timeout":null}}]`, `broadcast ["a",{"_placeholder":true,"num":0}] to [1e+21 0 1.5 1e-7 -12500]`},
		{d.broadcast, `["u",{"type":2,"data":["a"]},{"flags":{"volatile":1,"timeout":1e30}}]`, `broadcast ["a"] volatile 24h0m0s`},
		{d.request, `{"type":2,"sid":"s","room":"r","requestId":"q"}`, `join asking sid s rooms [r]`},
		{d.request, `{"type":3,"sid":"s","room":7}`, `leave sid s rooms [7]`},
		{d.request, `{"type":4,"sid":"s","close":true}`, `disconnect sid s close`},
		{d.request, `{"type":0,"requestId":"q","rooms":["r"]}`, `ids asking to [r]`},
		{d.request, `{"type":1,"requestId":"q"}`, `rooms asking`},
		{d.response, `{"requestId":"q"}`, `done`},
		{d.response, `{"type":6,"requestId":"q"}`, `answer`},
		{d.response, `{"type":6,"requestId":"q","data":null}`, `answer null`},
		{d.response, `{"requestId":"q","sockets":[{"id":"a","data":null}]}`, `sockets a[]{}`},
		{d.sharded, `{"type":12,"data":{"requestId":"q"},"uid":"u","nsp":"/"}`, `ack`},
		{d.python, `{"method":"emit","event":"a","data":[null],"binary":false}`, `broadcast ["a"]`},
		{d.python, `{"method":"emit","event":"a"}`, `broadcast ["a"]`},
		{d.python, `{"method":"emit","event":"a","data":[],"binary":false,"room":7}`, `broadcast ["a"] to [7]`},
		{d.python, `{"method":"emit","event":"a","data":[null,null],"binary":false,"namespace":"/b"}`, `broadcast ["a",null,null] in /b`},
	} {
		m, err := c.decode([]byte(c.in))
		if err != nil || brief(m) != c.want {
			t.Errorf("%s: %v\n%s; want\n%s", c.in, err, brief(m), c.want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{}, {Mode: 9}, {Mode: Classic, Fleet: "a b"}, {Mode: Classic, Fleet: "emitter"}, {Mode: Classic, Fleet: strings.Repeat("a", 33)},
		{Emitters: true, Logged: []string{"m"}}, {Mode: Classic, MaxMessage: -1}, {Mode: Classic, RequestTimeout: -1},
	} {
		if b, err := Open(nil, o, nil); err == nil {
			b.Close()
			t.Errorf("%+v is allowed", o)
		}
	}
}

func TestNames(t *testing.T) {
	if got := escapeGlob(`socket.io#/a*b?c[d]\e#`); got != `socket.io#/a\*b\?c\[d]\\e#` {
		t.Error(got)
	}
	if n := utf16Length("é😀a\xff"); n != 5 {
		t.Error(n)
	}
	for room, want := range map[string]string{"r": "11", sid1: "01", sid3: "01", "/chat#r": "11", "é" + sid1[1:]: "01", "😀" + sid1[1:]: "11"} {
		if got := fmt.Sprintf("%b%b", map[bool]int{true: 1}[ownChannel(Dynamic, "/chat", room)], map[bool]int{true: 1}[ownChannel(DynamicPrivate, "/chat", room)]); got != want || ownChannel(Static, "/chat", room) {
			t.Errorf("%s: %s", room, got)
		}
	}
	v := first([]byte(`[{"a":{"_placeholder":true,"num":2},"b":{"num":0,"_placeholder":true}},{"_placeholder":true,"num":1}]`), [][]byte{{0}, {1}, {2}})
	if string(v.data) != `{"a":{"_placeholder":true,"num":0},"b":{"_placeholder":true,"num":1}}` || fmt.Sprint(v.attachments) != "[[2] [0]]" {
		t.Errorf("%s %v", v.data, v.attachments)
	}
	if v := first([]byte(`[]`), nil); v.data != nil {
		t.Errorf("%s", v.data)
	}
	if got := stringified([]byte(`[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`), [][]byte{{1, 255}}); string(got) != `[{"type":"Buffer","data":[1,255]},null]` {
		t.Errorf("%s", got)
	}
}

// fuzz holds for each decoder that it does not panic, fails with a known error,
// and that what it takes can be written and read again.
func fuzz(f *testing.F, pick func(vector) bool, decode func(decoder, []byte) (*message, error), write func(*message) ([]byte, error)) {
	for _, file := range []string{"node.json", "python.json"} {
		for _, v := range vectors(f, file) {
			if pick(v) {
				f.Add(v.bytes())
			}
		}
	}
	o := defaults()
	d := o.decoder()
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		m, err := decode(d, b)
		if !bytes.Equal(b, before) {
			t.Fatalf("%q was changed", before)
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrPickle) {
				t.Fatalf("%q: unwrapped %v", b, err)
			}
			return
		}
		if m == nil {
			return
		}
		for _, part := range []struct {
			data        []byte
			attachments [][]byte
		}{{m.event.Data, m.event.Attachments}, {m.value.data, m.value.attachments}} {
			if part.data != nil {
				if err := packet.Check(part.data, d.maxDepth, len(part.attachments)); err != nil {
					t.Fatalf("%q: %q: %v", b, part.data, err)
				}
			}
		}
		for _, s := range m.sockets {
			if !json.Valid(s.Data) || !json.Valid(s.Handshake) {
				t.Fatalf("%q: %+v", b, s)
			}
		}
		if write == nil || m.sid != "" || m.kind == kindDone {
			return
		}
		out, err := write(m)
		if err != nil {
			t.Fatalf("%q: %+v: %v", b, m, err)
		}
		again, err := decode(d, out)
		if errors.Is(err, ErrLimit) {
			return // text may be longer than msgpack
		}
		if err != nil || again.kind != m.kind {
			t.Fatalf("%q: %s; written as %q: %v", b, brief(m), out, err)
		}
		// Text is the form that stays: binary in a classic answer becomes it.
		if twice, err := write(again); err != nil || !bytes.Equal(twice, out) {
			t.Fatalf("%q: %s; written as %q, then %q: %v", b, brief(m), out, twice, err)
		}
	})
}

func FuzzBroadcast(f *testing.F) {
	fuzz(f, func(v vector) bool { return strings.HasPrefix(v.Channel, "socket.io#") && v.Group != "sharded" },
		func(d decoder, b []byte) (*message, error) {
			m, err := d.broadcast(b)
			if uid, ok := peekUID(b); ok && err == nil && uid != m.uid {
				f.Errorf("%q is from %q, not %q", b, m.uid, uid)
			}
			return m, err
		}, func(m *message) ([]byte, error) { return appendBroadcast(nil, m) })
}

func FuzzRequest(f *testing.F) {
	fuzz(f, func(v vector) bool { return strings.HasPrefix(v.Channel, "socket.io-request#") },
		decoder.request, func(m *message) ([]byte, error) { return appendClassic(nil, m) })
}

func FuzzResponse(f *testing.F) {
	fuzz(f, func(v vector) bool { return strings.HasPrefix(v.Channel, "socket.io-response#") },
		decoder.response, func(m *message) ([]byte, error) { return appendClassic(nil, m) })
}

func FuzzSharded(f *testing.F) {
	fuzz(f, func(v vector) bool { return v.Group == "sharded" },
		decoder.sharded, func(m *message) ([]byte, error) { return appendSharded(nil, m) })
}

func FuzzPython(f *testing.F) {
	fuzz(f, func(v vector) bool { return v.Channel == "socketio" }, decoder.python, nil)
}

// What is refused or lost is counted, and does not reach the backend; a bridge
// that was closed says so.
func TestCounted(t *testing.T) {
	t.Parallel()
	addr := startRedis(t)
	refused := make(chan string, 10)
	back := newBackend(t)
	f := back.add("/", sid1)
	b := open(t, addr, Options{Mode: Classic, MaxMessage: 200, Queue: 1, Hooks: Hooks{Refused: func(why string) { refused <- why }}}, back)
	c := connect(t, addr)
	for _, m := range []string{"nonsense", strings.Repeat("x", 201), `["u",{"type":2,"data":["other"],"nsp":"/chat"}]`, `["u",{"type":2,"data":["end"]}]`} {
		if err := c.Publish(t.Context(), "socket.io#/#", m).Err(); err != nil {
			t.Fatal(err)
		}
	}
	back.got(f, `["end"]`)
	if got := []string{<-refused, <-refused}; !slices.Equal(got, []string{"malformed", "too large"}) || len(refused) > 0 {
		t.Error(got)
	}
	b.Close()
	b.Add("/late")
	if err := b.Emit(adapter.Emit{Target: adapter.Target{Namespace: "/"}, Event: event(`["x"]`)}); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := b.Request(t.Context(), adapter.Emit{Target: adapter.Target{Namespace: "/"}, Event: event(`["x"]`)}, time.Second); err == nil {
		t.Error("a request of a closed bridge")
	}
}
