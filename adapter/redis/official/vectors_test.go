package official

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// vector is a message that an official package has published: see
// testdata/capture.mjs and testdata/capture.py.
type vector struct{ Group, Name, Channel, Hex string }

func (v vector) bytes() []byte {
	b, err := hex.DecodeString(v.Hex)
	if err != nil {
		panic(err)
	}
	return b
}

func vectors(t testing.TB, file string) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(raw, &list); err != nil || len(list) < 50 {
		t.Fatalf("%s: %d vectors, %v", file, len(list), err)
	}
	return list
}

func defaults() Options {
	o, err := Options{Mode: Classic}.withDefaults()
	if err != nil {
		panic(err)
	}
	return o
}

// decode reads a vector as what its channel carries, and says how it would be
// written.
func decode(v vector) (m *message, again func(*message) ([]byte, error), err error) {
	o := defaults()
	d, b := o.decoder(), v.bytes()
	plain := func(m *message) ([]byte, error) { return appendClassic(nil, m) }
	switch {
	case v.Group == "sharded":
		m, err = d.sharded(b)
		return m, func(m *message) ([]byte, error) { return appendSharded(nil, m) }, err
	case strings.HasPrefix(v.Channel, "socket.io-request#"):
		m, err = d.request(b)
		return m, plain, err
	case strings.HasPrefix(v.Channel, "socket.io-response#"):
		m, err = d.response(b)
		return m, plain, err
	}
	m, err = d.broadcast(b)
	return m, func(m *message) ([]byte, error) { return appendBroadcast(nil, m) }, err
}

// brief is a message in one line, ids left out.
func brief(m *message) string {
	names := [...]string{"", "broadcast", "join", "leave", "disconnect", "fetch", "rooms", "ids", "server event", "sockets", "names", "id list", "answer", "count", "ack", "done"}
	s := names[m.kind]
	add := func(format string, args ...any) { s += " " + fmt.Sprintf(format, args...) }
	if m.id != "" && m.kind < kindSockets {
		add("asking")
	}
	if m.event.Data != nil {
		add("%s", m.event.Data)
	}
	for _, a := range append(m.event.Attachments, m.value.attachments...) {
		add("<%x>", a)
	}
	if len(m.to.rooms) > 0 {
		add("to %v", m.to.rooms)
	}
	if len(m.to.except) > 0 {
		add("except %v", m.to.except)
	}
	if m.to.volatile {
		add("volatile")
	}
	if m.to.timeout > 0 {
		add("%v", m.to.timeout)
	}
	if m.sid != "" {
		add("sid %s", m.sid)
	}
	if m.rooms != nil {
		add("rooms %v", m.rooms)
	}
	if m.close {
		add("close")
	}
	for _, i := range m.sockets {
		add("%s%v%s", i.ID, i.Rooms, i.Data)
	}
	if m.kind == kindCount {
		add("%d", m.count)
	}
	if m.value.data != nil {
		add("%s", m.value.data)
	}
	if m.namespace != "" && m.namespace != "/" {
		add("in %s", m.namespace)
	}
	return s
}

// captured says what the Node vectors mean. Classic and sharded say the same
// but for undefined, which one writes as null and the other leaves out.
var captured = map[string][]string{
	"emit":                            {`broadcast ["hi",1,"x",true,null,null,{"a":1.5}]`},
	"emit, numbers":                   nil, // by format, below
	"emit, text":                      {"broadcast [\"텍스트\",\"é😀\u2028\\u0001\\\"\\\\\",\"\"]"},
	"emit, dates":                     {`broadcast ["d","2023-11-14T22:13:20.000Z","2023-11-14T22:13:20.123Z",{"fixed":true}]`},
	"emit, several rooms":             {`broadcast ["hi"] to [r1 r2] except [r3] volatile`},
	"emit, one room":                  {`broadcast ["hi",{"a":[]}] to [r1]`},
	"emit, numeric rooms":             {`broadcast ["hi"] to [42 1.5] except [7]`},
	"emit, a room with #":             {`broadcast ["hi"] to [r#1#]`},
	"emit, binary":                    {`broadcast ["b",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}] <010203> <04> to [r1]`},
	"emit, 20 characters":             {`broadcast ["hi"] to [AAAAAAAAAAAAAAAAAAAA]`},
	"emit, namespace":                 {`broadcast ["hi"] in /chat`},
	"numeric event":                   {`broadcast [7,8]`},
	"join":                            {`join to [r1] rooms [r2 r4]`},
	"leave":                           {`leave to [r1] except [r9] rooms [r2]`},
	"disconnect":                      {`disconnect to [r9] close`},
	"disconnect all in the namespace": {`disconnect to [r8 r9]`, `disconnect to [r8 r9] in /chat`},
	"fetch":                           {`fetch asking to [r1]`, `sockets BBBBBBBBBBBBBBBBBBBB[BBBBBBBBBBBBBBBBBBBB r1 r4]{"n":1}`, `sockets BBBBBBBBBBBBBBBBBBBB[BBBBBBBBBBBBBBBBBBBB r1]{"n":1}`},
	"fetch, empty":                    {`fetch asking to [r9]`, `sockets`},
	"rooms":                           {`rooms asking`, `done`},
	"server event":                    {`server event ["ev",1,{"a":2}]`},
	"server event, binary":            {`server event ["ev",{"type":"Buffer","data":[1,2]}]`, `server event ["ev",{"_placeholder":true,"num":0}] <0102>`},
	"server event, answered":          {`server event asking ["pong",5]`, `answer {"pong":5}`},
	"acks":                            {`broadcast asking ["q",1] to [r1] 500ms`, `count 1`, `ack "v1"`},
	"acks, binary":                    {`broadcast asking ["q",{"_placeholder":true,"num":0}] <09> to [r9] 500ms`, `count 0`},
}

var numbers = map[string]string{
	// notepack.io 3 writes 1e21 as an integer that it is not.
	"classic": `broadcast ["n",-1,-33,128,65536,4294967296,-4294967296,3875820019684212736,0.1,0,null,null]`,
	"sharded": `broadcast ["n",-1,-33,128,65536,4294967296,-4294967296,1e+21,0.1,0,null,null]`,
}

// emitted says what the emitters' vectors mean.
var emitted = map[string]string{
	"emit":            `broadcast ["hi",1,"x",true,null,{"a":1.5,"d":"2023-11-14T22:13:20.000Z"}]`,
	"emit, one room":  `broadcast ["hi",[1]] to [r1]`,
	"emit, two rooms": `broadcast ["hi"] to [r1 r2]`,
	"emit, except":    `broadcast ["hi"] to [r1] except [r3]`,
	"emit, volatile":  `broadcast ["hi"] volatile`,
	"emit, undefined": `broadcast ["hi",null,{}]`,
	"emit, binary":    `broadcast ["b",{"_placeholder":true,"num":0}] <010203> to [r1]`,
	"emit, namespace": `broadcast ["hi"] to [r1] in /chat`,
	"new message":     `broadcast ["new message","hello"] to [lobby]`,
	"join":            `join to [r1] rooms [r2]`,
	"leave":           `leave to [r1] rooms [r2 r3]`,
	"disconnect":      `disconnect to [r1] close`,
	"server event":    `server event ["ev",1,{"a":2}]`,
}

func TestNodeVectors(t *testing.T) {
	seen := make(map[string]bool)
	for _, v := range vectors(t, "node.json") {
		m, again, err := decode(v)
		if err != nil {
			t.Errorf("%s, %s: %v: %q", v.Group, v.Name, err, v.bytes())
			continue
		}
		got := brief(m)
		seen[v.Group+" "+v.Name] = true
		var want []string
		switch v.Group {
		case "classic", "sharded":
			if want = captured[v.Name]; want == nil {
				want = []string{numbers[v.Group]}
			}
		case "@socket.io/redis-emitter, JSON":
			want = []string{`broadcast ["hi",1] to [r1]`}
		case "emitter3":
			if want = []string{emitted[v.Name]}; v.Name == "emit" {
				want = []string{`broadcast ["hi",1,"x",true,null,{"a":1.5,"d":1}]`}
			}
		default:
			want = []string{emitted[v.Name]}
		}
		found := false
		for _, w := range want {
			found = found || w == got
		}
		if !found {
			t.Errorf("%s, %s: %s; want one of %q", v.Group, v.Name, got, want)
		}
		if member := v.Group == "classic" || v.Group == "sharded"; !member {
			if peek, ok := peekUID(v.bytes()); m.uid != "" && m.kind == kindBroadcast && v.bytes()[0] != '[' && (!ok || peek != emitterUID) {
				t.Errorf("%s, %s: uid %q", v.Group, v.Name, peek)
			}
			continue
		}
		// What is written is what Node writes, byte for byte, except where this
		// side has no such thing: flags of others, handshakes, dates (which are
		// text in JSON), the numbers of notepack.
		switch v.Name {
		case "emit, several rooms", "emit, dates", "emit, numbers", "emit, numeric rooms", "rooms":
			continue
		}
		if m.namespace == "" { // the channel's
			if m.namespace = "/"; strings.HasSuffix(v.Channel, "#/chat#") {
				m.namespace = "/chat"
			}
		}
		out, err := again(m)
		if err != nil || !bytes.Equal(out, v.bytes()) {
			t.Errorf("%s, %s: written as\n%q, %v\nnot\n%q", v.Group, v.Name, out, err, v.bytes())
		}
	}
	for name := range captured {
		for _, group := range []string{"classic ", "sharded "} {
			if !seen[group+name] && name != "rooms" {
				t.Errorf("no vector %s%s", group, name)
			}
		}
	}
	for name := range emitted {
		if !seen["@socket.io/redis-emitter "+name] {
			t.Errorf("no vector of the emitter: %s", name)
		}
	}
}

// pickled are the groups of python.json that are refused.
const pickled = "5.13.0"

func TestPythonVectors(t *testing.T) {
	const a, b = "AAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBB"
	want := map[string]string{
		"emit":                    `broadcast ["hi",{"a": 1}] to [lobby]`,
		"emit, text":              `broadcast ["hi","\ud14d\uc2a4\ud2b8 \ud83d\ude00"] to [lobby]`,
		"emit, all":               `broadcast ["hi",{"a": 1}]`,
		"emit, nothing":           `broadcast ["hi"] to [lobby]`,
		"emit, several arguments": `broadcast ["hi","a",2,null] to [lobby]`,
		"emit, a list":            `broadcast ["hi",["a", 2]] to [lobby]`,
		"emit, two rooms":         `broadcast ["hi",1] to [lobby den]`,
		"emit, namespace":         `broadcast ["hi",1] to [lobby] in /chat`,
		"emit, without one":       `broadcast ["hi",1] to [lobby] except [` + a + `]`,
		"emit, without two":       `broadcast ["hi",1] to [lobby] except [` + a + ` ` + b + `]`,
		"emit, binary":            `broadcast ["b",{"_placeholder": true, "num": 0}] <010203> to [lobby]`,
		"emit, binary inside":     `broadcast ["b",{"x": {"_placeholder": true, "num": 0}, "y": [{"_placeholder": true, "num": 1}]}] <01> <02> to [lobby]`,
		"emit, binary in several": `broadcast ["b","n",{"_placeholder": true, "num": 0}] <01> to [lobby]`,
		"new message":             `broadcast ["new message","hello"] to [lobby]`,
		"new message, object":     `broadcast ["new message",{"text": "hello"}] to [lobby]`,
		"enter":                   `join sid ` + a + ` rooms [den]`,
		"leave":                   `leave sid ` + a + ` rooms [den]`,
		"close":                   `leave to [den] rooms [den]`,
		"end":                     `broadcast ["end",1] to [lobby]`,
	}
	// What these versions do not tell apart.
	unlike := map[string]string{
		"5.14.0 emit, several arguments": `broadcast ["hi",["a", 2, null]] to [lobby]`,
		"5.14.2 emit, a list":            `broadcast ["hi","a",2] to [lobby]`,
	}
	o := defaults()
	groups := make(map[string]int)
	for _, v := range vectors(t, "python.json") {
		groups[v.Group]++
		m, err := o.decoder().python(v.bytes())
		if v.Group == pickled {
			if !errors.Is(err, ErrPickle) {
				t.Errorf("%s, %s: %v", v.Group, v.Name, err)
			}
			continue
		}
		w := want[v.Name]
		if u := unlike[v.Group+" "+v.Name]; u != "" {
			w = u
		}
		if err != nil || brief(m) != w {
			t.Errorf("%s, %s: %v\n%s; want\n%s", v.Group, v.Name, err, brief(m), w)
		}
	}
	for _, g := range []string{pickled, "5.14.0", "5.14.2", "5.15.1", "5.16.3"} {
		if groups[g] == 0 {
			t.Error("no vectors of", g)
		}
	}
}
