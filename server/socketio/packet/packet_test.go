package packet

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vector is one packet captured from the published parsers.
type vector struct {
	Name        string
	Text        string // protocols 4 and 5
	Wire, Again []byte // msgpack; Again is the packet after a trip through JSON
	Type        Type
	Nsp         string
	ID          *uint64
	Data        *string
	Attachments [][]byte
}

// vectors reads a file of testdata, and the inputs that Node refuses.
func vectors(t testing.TB, file string) (vs []vector, refused []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Vectors []vector
		Refused []struct{ Text string }
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Vectors) == 0 {
		t.Fatalf("no vectors in %s", file)
	}
	for _, r := range f.Refused {
		refused = append(refused, r.Text)
	}
	return f.Vectors, refused
}

// packet is what the vector must decode to.
func (v vector) packet() *Packet {
	p := &Packet{Type: v.Type, Namespace: v.Nsp, Attachments: v.Attachments}
	if v.ID != nil {
		p.ID, p.HasID = *v.ID, true
	}
	if v.Data != nil {
		p.Data = []byte(*v.Data)
	}
	return p
}

// same reports whether a and b are the same packet.
func same(a, b *Packet) bool {
	if a == nil || b == nil || len(a.Attachments) != len(b.Attachments) {
		return false
	}
	for i := range a.Attachments {
		if !bytes.Equal(a.Attachments[i], b.Attachments[i]) {
			return false
		}
	}
	return a.Type == b.Type && a.Namespace == b.Namespace && a.ID == b.ID && a.HasID == b.HasID && bytes.Equal(a.Data, b.Data)
}

// feed gives a decoder a packet's messages.
func feed(d *Decoder, text []byte, attachments [][]byte) (*Packet, error) {
	p, err := d.Text(text)
	for _, a := range attachments {
		if p != nil || err != nil {
			break
		}
		p, err = d.Binary(a)
	}
	return p, err
}

func TestTextVectors(t *testing.T) {
	for file, protocol := range map[string]int{"protocol5.json": 5, "protocol4.json": 4, "protocol4_client.json": 4} {
		vs, _ := vectors(t, file)
		for _, v := range vs {
			d := NewDecoder(protocol, Limits{})
			want := v.packet()
			text := []byte(v.Text)
			got, err := feed(d, text, v.Attachments)
			if err != nil || !same(got, want) {
				t.Errorf("%s, %s: %q decoded as %+v, %v; want %+v", file, v.Name, v.Text, got, err, want)
				continue
			}
			if d.pending != nil {
				t.Errorf("%s, %s: still waiting", file, v.Name)
			}
			if out := AppendText([]byte("x"), got); string(out) != "x"+v.Text {
				t.Errorf("%s, %s: encoded %q, want %q", file, v.Name, out, v.Text)
			}
			// The packet owns its bytes.
			clear(text)
			if !same(got, want) {
				t.Errorf("%s, %s: changed with its input", file, v.Name)
			}
		}
	}
}

// Go's JSON encoder ends with a line break; JavaScript's parser passes over it.
func TestWhiteSpaceAfterData(t *testing.T) {
	for _, protocol := range []int{4, 5} {
		for _, s := range []string{"2[\"a\"]\n", "2[\"a\"] \r\n", "2/n,1[\"a\"]\t"} {
			d := NewDecoder(protocol, Limits{})
			p, err := d.Text([]byte(s))
			if err != nil || string(p.Data) != `["a"]` {
				t.Errorf("protocol %d: %q: %v, %v", protocol, s, p, err)
			}
		}
		for _, s := range []string{
			"51-[\"a\",{\"_placeholder\":true,\"num\":0}]\n",
			`51-["a",{"num":0,"_placeholder":true}]`,
			`51-["a", { "_placeholder" : true , "num" : 0 } ]`,
		} {
			d := NewDecoder(protocol, Limits{})
			if _, err := d.Text([]byte(s)); err != nil {
				t.Errorf("protocol %d: %q: %v", protocol, s, err)
			}
			if p, err := d.Binary([]byte{1}); err != nil || p == nil {
				t.Errorf("protocol %d: %q: %v, %v", protocol, s, p, err)
			}
		}
	}
}

func TestTextRefused(t *testing.T) {
	_, refused := vectors(t, "protocol5.json")
	if len(refused) == 0 {
		t.Fatal("no refused inputs")
	}
	refused = append(refused,
		// Event names.
		`2[ "disconnect" ]`, `2["\u0064isconnect"]`, `2["remove\u004cistener"]`, `2[1e999]`, `2[true]`, `2[[]]`, `2["a" "b"]`,
		`51-["disconnect",{"_placeholder":true,"num":0}]`,
		// White space before the JSON could stand between an id and a number.
		` 2["a"]`, `2 ["a"]`, "2\n[\"a\"]", `0 {}`,
		// Ack ids.
		`29007199254740992["a"]`, `212345678901234567890["a"]`, `299999999999999999999999999999999999["a"]`, `201["a"]`, `3["a"]`, `07{}`, `11`, `44"x"`,
		`2-1["a"]`, `2+1["a"]`, `21.5["a"]`,
		// Attachment counts.
		`50-["a"]`, `500-["a"]`, `501-["a",{"_placeholder":true,"num":0}]`, `511-["a"]`, `5999999999999999999999-["a"]`, `5-1-["a"]`, `5`, `51`, `51-`, `6`, `61-1`,
		// Lying about placeholders.
		`51-["a"]`, `52-["a",{"_placeholder":true,"num":0}]`, `51-["a",{"_placeholder":true,"num":1}]`, `51-["a",{"_placeholder":true,"num":-1}]`,
		`51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`, `51-["a",{"_placeholder":true,"num":"0"}]`, `51-["a",{"_placeholder":true}]`,
		`51-["a",{"_placeholder":true,"num":0.0}]`, `51-["a",{"_placeholder":true,"num":00}]`, `51-["a",{"_placeholder":true,"num":0,"x":1}]`,
		`51-["a",{"_placeholder":1,"num":0}]`, `51-["a",{"_placeholder":true,"num":0},{"_placeholder":false}]`, `51-["a",{"_placeholder":true,"num":0},{"\u005fplaceholder":true,"num":0}]`,
		`51-["a",{"_placeholder":true,"_placeholder":true,"num":0}]`, `51-["a",{"_placeholder":true,"num":0,"num":0}]`, `51-["a",{"_placeholder":true,"num":18446744073709551616}]`,
		`51-[{"_placeholder":true,"num":0}]`, `61-["a",{"_placeholder":true,"num":0}]`,
		// Namespaces.
		`2/a`, `2/a,`, `0/`+"\xff"+`,`, "0/a\x1eb,", "0/a\nb", "0/a\x7f", "0/\xed\xa0\x80,",
		// Bytes that are not UTF-8.
		"2[\"\xff\"]", "2[\"\xc0\x80\"]", "2[\"\xed\xa0\x80\"]", "2[\"a\",\"12345678\xe2\x82\"]",
	)
	for _, protocol := range []int{4, 5} {
		for _, s := range refused {
			d := NewDecoder(protocol, Limits{})
			p, err := d.Text([]byte(s))
			// What is an error in protocol 5 only.
			if protocol == 4 && s == "4[1]" {
				continue
			}
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) || p != nil || d.pending != nil {
				t.Errorf("protocol %d: %q accepted: %+v, %v", protocol, s, p, err)
			}
		}
	}
}

// What Node closes a connection for, as far as packets go.
func TestMisbehaviour(t *testing.T) {
	eleven := `511-["a"`
	for i := range 11 {
		eleven += `,{"_placeholder":true,"num":` + strconv.Itoa(i) + `}`
	}
	for name, text := range map[string]string{
		"bad JSON": `2["a"`, "reserved name": `2["disconnect"]`, "string as CONNECT data": `0"token"`, "eleven attachments": eleven + "]", "binary without attachments": `50-["a"]`,
	} {
		if p, err := NewDecoder(5, Limits{}).Text([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
	// A query belongs to the name in protocol 5, which then is unknown.
	p, err := NewDecoder(5, Limits{}).Text([]byte("0/?a=1,"))
	if err != nil || p.Namespace != "/?a=1" {
		t.Errorf("query: %+v, %v", p, err)
	}
	refusal := &Packet{Type: ConnectError, Namespace: p.Namespace, Data: AppendConnectError(nil, 5, "Invalid namespace", nil)}
	if got := AppendText(nil, refusal); string(got) != `4/?a=1,{"message":"Invalid namespace"}` {
		t.Errorf("refusal: %s", got)
	}
}

func TestTextAccepted(t *testing.T) {
	for _, c := range []struct {
		text string
		want Packet
	}{
		{"0", Packet{Type: Connect, Namespace: "/"}},
		{"0/", Packet{Type: Connect, Namespace: "/"}},
		{"0/,", Packet{Type: Connect, Namespace: "/"}},
		{"0/chat", Packet{Type: Connect, Namespace: "/chat"}},
		{"1/chat", Packet{Type: Disconnect, Namespace: "/chat"}},
		{"0/?a=1,", Packet{Type: Connect, Namespace: "/?a=1"}},
		{`2/a,9007199254740991["x"]`, Packet{Type: Event, Namespace: "/a", ID: MaxID, HasID: true, Data: []byte(`["x"]`)}},
		{`30[]`, Packet{Type: Ack, Namespace: "/", HasID: true, Data: []byte(`[]`)}},
		{`2[ "x" , 1 ]`, Packet{Type: Event, Namespace: "/", Data: []byte(`[ "x" , 1 ]`)}},
		{`2["x",{"_placeholder":true,"num":9}]`, Packet{Type: Event, Namespace: "/", Data: []byte(`["x",{"_placeholder":true,"num":9}]`)}},
		{`2["\ud800"]`, Packet{Type: Event, Namespace: "/", Data: []byte(`["\ud800"]`)}},
	} {
		got, err := NewDecoder(5, Limits{}).Text([]byte(c.text))
		if err != nil || !same(got, &c.want) {
			t.Errorf("%q: %+v, %v", c.text, got, err)
		}
	}
}

func TestAttachments(t *testing.T) {
	const text = `52-["a",{"num":1,"_placeholder":true},{"b":[ { "_placeholder" : true , "num" : 0 } ]}]`
	d := NewDecoder(5, Limits{MaxBytes: len(text) + 10})
	one, two := []byte("12345"), []byte("67890")
	p, err := feed(d, []byte(text), [][]byte{one, two})
	if err != nil || len(p.Attachments) != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	one[0] = 'x'
	if string(p.Attachments[0]) != "12345" {
		t.Error("an attachment is not the packet's own")
	}
	if out := AppendText(nil, p); string(out) != text {
		t.Errorf("encoded %q", out)
	}
	if _, err := feed(d, []byte(text), [][]byte{one, []byte("678901")}); !errors.Is(err, ErrLimit) || d.pending != nil {
		t.Errorf("over MaxBytes: %v", err)
	}
	if _, err := d.Binary(one); !errors.Is(err, ErrMalformed) {
		t.Errorf("binary without a header: %v", err)
	}
	if p, err := d.Text([]byte(text)); p != nil || err != nil {
		t.Fatalf("%v, %v", p, err)
	}
	if _, err := d.Text([]byte(`2["x"]`)); !errors.Is(err, ErrMalformed) || d.pending != nil {
		t.Errorf("text between attachments: %v", err)
	}
}

func TestLimits(t *testing.T) {
	l := Limits{MaxAttachments: 1, MaxDepth: 3, MaxNamespace: 5, MaxArgs: 3, MaxBytes: 60}
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{`2["a",[[]]]`, true}, {`2["a",[[[]]]]`, false}, {`2["a",[{"a":1}]]`, true}, {`2["a",[[{}]]]`, false},
		{`0/1234,`, true}, {`0/12345,`, false}, {`0/` + strings.Repeat("x", 50), false},
		{`2["a",1,2]`, true}, {`2["a",1,2,3]`, false}, {`2["a",[1,2,3,4]]`, true},
		{`52-["a"]`, false},
		{`2["` + strings.Repeat("x", 55) + `"]`, true}, {`2["` + strings.Repeat("x", 56) + `"]`, false},
	} {
		p, err := NewDecoder(5, l).Text([]byte(c.text))
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, ErrLimit) {
			t.Errorf("%q: %v, %v", c.text, p, err)
		}
	}
	deep := "2" + strings.Repeat("[", 500_000)
	if _, err := NewDecoder(5, Limits{}).Text([]byte(deep)); !errors.Is(err, ErrLimit) {
		t.Errorf("deep: %v", err)
	}
}

func TestEventName(t *testing.T) {
	for data, want := range map[string]string{
		`["hi",1]`: "hi", `[ "hi" ]`: "hi", `["\ud55c\n\"\\\/\ud83d\ude00"]`: "한\n\"\\/😀", `["\ud800x"]`: "\uFFFDx", `[""]`: "",
		`[7]`: "7", `[-0]`: "0", `[0.0]`: "0", `[1.50]`: "1.5", `[1e3]`: "1000", `[1e21]`: "1e+21", `[1e-7]`: "1e-7", `[-12]`: "-12",
		`[12345678901234567890]`: "12345678901234567000", `[ 5 , 1]`: "5",
	} {
		got, err := (&Packet{Data: []byte(data)}).EventName()
		if err != nil || got != want {
			t.Errorf("%s: %q, %v", data, got, err)
		}
	}
	for _, data := range []string{``, `[`, `[]`, `{}`, `[null]`, `[true]`, `[{}]`, `[["a"]]`, `["connect"]`, `["\u0063onnect"]`, `["a`, `[,]`, `[}`} {
		if name, err := (&Packet{Data: []byte(data)}).EventName(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %q, %v", data, name, err)
		}
	}
}

func TestAppendConnectError(t *testing.T) {
	for _, c := range []struct {
		protocol   int
		data, want string
	}{
		{5, "", `{"message":"no \"entry\""}`}, {5, `{"code":7}`, `{"message":"no \"entry\"","data":{"code":7}}`}, {4, "", `"no \"entry\""`}, {4, `{"code":7}`, `{"code":7}`},
	} {
		var data []byte
		if c.data != "" {
			data = []byte(c.data)
		}
		if got := AppendConnectError([]byte("x"), c.protocol, `no "entry"`, data); string(got) != "x"+c.want {
			t.Errorf("protocol %d: %s", c.protocol, got)
		}
	}
}

func TestAppendTextHeader(t *testing.T) {
	p := &Packet{Type: BinaryEvent, Namespace: "/a", ID: 3, HasID: true, Attachments: make([][]byte, 2)}
	if got := AppendText(nil, p); string(got) != "52-/a,3" {
		t.Errorf("%s", got)
	}
	if got := AppendText(nil, &Packet{Type: BinaryAck, HasID: true, Data: []byte("[]")}); string(got) != "30[]" {
		t.Errorf("%s", got)
	}
}

// A packet that a hostile peer makes as costly as it can.
func TestTextMemory(t *testing.T) {
	for name, text := range map[string]string{
		"elements": `2["a"` + strings.Repeat(",0", 500) + `]`, "nested": `2["a",` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `]`,
		"namespace": `0/` + strings.Repeat("a", 255), "objects": `2["a"` + strings.Repeat(`,{"_placeholder":true,"num":1}`, 200) + `]`,
	} {
		d := NewDecoder(5, Limits{})
		b := []byte(text)
		if n := testing.AllocsPerRun(50, func() {
			if _, err := d.Text(b); err != nil {
				t.Fatal(name, err)
			}
		}); n > 3 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzDecoder(f *testing.F) {
	for file, protocol := range map[string]int{"protocol5.json": 5, "protocol4.json": 4} {
		vs, refused := vectors(f, file)
		for _, v := range vs {
			f.Add([]byte(v.Text), protocol == 5)
		}
		for _, s := range refused {
			f.Add([]byte(s), protocol == 5)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, five bool) {
		protocol := 4
		if five {
			protocol = 5
		}
		d := NewDecoder(protocol, Limits{})
		p, err := d.Text(b)
		if err != nil {
			return
		}
		for i := 0; p == nil; i++ {
			if i == 10 {
				t.Fatalf("%q waits for more than ten attachments", b)
			}
			if p, err = d.Binary([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if p.Data != nil && !json.Valid(p.Data) {
			t.Fatalf("%q has bad JSON", b)
		}
		// It reads back as the same packet, and is the same text unless a
		// needless root namespace or comma was there, or white space
		// after the data.
		out := AppendText(nil, p)
		again, err := feed(NewDecoder(protocol, Limits{}), out, p.Attachments)
		if err != nil || !same(p, again) {
			t.Fatalf("%q, encoded as %q: %+v, %v", b, out, again, err)
		}
		if !bytes.Contains(b, []byte("/")) && !bytes.Equal(withoutSpace(b), withoutSpace(out)) {
			t.Fatalf("%q encoded as %q", b, out)
		}
		if p.Type == Event {
			if _, err := p.EventName(); err != nil {
				t.Fatalf("%q: %v", b, err)
			}
		}
		if p.Type == Event || p.Type == Ack {
			var want []json.RawMessage
			if err := json.Unmarshal(p.Data, &want); err != nil {
				t.Fatal(err)
			}
			got, err := Args(p.Data)
			if err != nil || len(got) != len(want) {
				t.Fatalf("%q: %d arguments, %v; want %d", b, len(got), err, len(want))
			}
			for i := range got {
				if !bytes.Equal(got[i], want[i]) {
					t.Fatalf("%q: argument %d is %q", b, i, got[i])
				}
			}
		}
		// The msgpack form carries it too.
		packed, err := AppendMsgpack(nil, p)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if p.Type == ConnectError {
			return
		}
		if _, err := DecodeMsgpack(packed, Limits{}); err != nil {
			t.Fatalf("%q, packed %x: %v", b, packed, err)
		}
	})
}

func withoutSpace(b []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, b)
}
