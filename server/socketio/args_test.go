package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

func TestNewEvent(t *testing.T) {
	type file struct {
		Name string `json:"name"`
		Body Binary `json:"body"`
	}
	received, err := parseArgs([]byte(`["in",{"a":[{"_placeholder":true,"num":1}]},{"num":0,"_placeholder":true},"\"{"]`),
		[][]byte{{1}, {2}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []any
		data   string
		binary [][]byte
	}{
		{"none", nil, `["e"]`, nil},
		{"plain", []any{1, "a\"b", nil, true, []int{1}}, `["e",1,"a\"b",null,true,[1]]`, nil},
		{"raw", []any{json.RawMessage(`{"a":1}`)}, `["e",{"a":1}]`, nil},
		{"binary", []any{Binary{1, 2}}, `["e",{"_placeholder":true,"num":0}]`, [][]byte{{1, 2}}},
		{"binary inside", []any{"x", []file{{"f", Binary{3}}, {"g", nil}}},
			`["e","x",[{"name":"f","body":{"_placeholder":true,"num":0}},{"name":"g","body":{"_placeholder":true,"num":1}}]]`,
			[][]byte{{3}, nil}},
		{"a byte slice is a string", []any{[]byte{1}}, `["e","AQ=="]`, nil},
		{"passed on", append([]any{Binary{9}}, received.Values()...),
			`["e",{"_placeholder":true,"num":0},{"a":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":2},"\"{"]`,
			[][]byte{{9}, {2}, {1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := NewEvent("e", tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if string(e.Data) != tt.data {
				t.Errorf("got %s, want %s", e.Data, tt.data)
			}
			if len(e.Attachments) != len(tt.binary) {
				t.Fatalf("got attachments %v, want %v", e.Attachments, tt.binary)
			}
			for i := range tt.binary {
				if !bytes.Equal(e.Attachments[i], tt.binary[i]) {
					t.Errorf("got attachments %v, want %v", e.Attachments, tt.binary)
				}
			}
		})
	}
	for _, name := range reservedNames {
		if _, err := NewEvent(name); !errors.Is(err, ErrReservedName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewEvent("e", make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
}

func TestDecode(t *testing.T) {
	args, err := parseArgs([]byte(`["e",{"File":{"_placeholder":true,"num":1},"Name":"_placeholder {\""},{"_placeholder":true,"num":0},7]`),
		[][]byte{{1}, {2, 3}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var in struct {
		File []byte
		Name string
	}
	if err := args.Decode(0, &in); err != nil || !bytes.Equal(in.File, []byte{2, 3}) || in.Name != `_placeholder {"` {
		t.Errorf("got %+v, %v", in, err)
	}
	var b Binary
	if err := args.Decode(1, &b); err != nil || !bytes.Equal(b, []byte{1}) {
		t.Errorf("got %v, %v", b, err)
	}
	var bad *PayloadError
	var s string
	if err := args.Decode(2, &s); !errors.As(err, &bad) || bad.Index != 2 {
		t.Errorf("got %v", err)
	}
	if err := args.Decode(3, &s); err != nil || args.Raw(3) != nil || args.Len() != 3 {
		t.Errorf("a missing argument: %v", err)
	}
	n, missing := 0, "as before"
	if err := args.Scan(&in, &b, &n, &missing); err != nil || n != 7 || missing != "as before" {
		t.Errorf("got %d, %q, %v", n, missing, err)
	}
	if err := args.Scan(&in, &n); !errors.As(err, &bad) || bad.Index != 1 {
		t.Errorf("got %v", err)
	}
}

// FuzzDecode: whatever placeholders and strings are mixed, a payload that the
// codec passed decodes without a panic, and passing it on keeps its parts.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`["e",{"_placeholder":true,"num":0}]`, `["e",{"a":{"num":0,"_placeholder":true}}]`,
		`["e","{\"_placeholder\":true,\"num\":0}"]`, `["e",{"_placeholder":false,"num":0}]`,
		`["e",{"_placeholder":true,"num":-1}]`, `["e",{"_placeholder":true}]`, `["e",[{`, `[`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		args, err := parseArgs(data, [][]byte{{1}, {2}}, 1)
		if err != nil {
			return
		}
		for i := range args.Len() {
			var v any
			_ = args.Decode(i, &v)
		}
		if !json.Valid(data) {
			return
		}
		e, err := NewEvent("e", args.Values()...)
		if err == nil && !json.Valid(e.Data) {
			t.Errorf("%q passed on as %q", data, e.Data)
		}
	})
}
