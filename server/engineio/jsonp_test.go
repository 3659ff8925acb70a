package engineio

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestJSONPVectors(t *testing.T) {
	for _, v := range payloadVectors(t, "jsonp_answer.json") {
		if got := AppendJSONP(nil, "7", v.Payload); !bytes.Equal(got, v.Wire) {
			t.Errorf("%q: %q, want %q", v.Payload, got, v.Wire)
		}
	}
	for _, v := range payloadVectors(t, "jsonp_body.json") {
		got, err := DecodeJSONPBody([]byte(v.Body), 100)
		if err != nil || !bytes.Equal(got, v.Payload) {
			t.Errorf("%q: %q, %v; want %q", v.Body, got, err, v.Payload)
		}
	}
}

func TestJSONPIndex(t *testing.T) {
	if got := AppendJSONP(nil, `0](alert(1))//2`, []byte("x")); string(got) != `___eio[012]("x");` {
		t.Errorf("%s", got)
	}
}

func TestJSONPBodyRefused(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "no d": "x=1&dd=2", "two d": "d=1&d=2", "percent": "d=%", "cut percent": "d=%4", "not hex": "d=%4g", "not hex first": "d=%g4",
		"invalid UTF-8": "d=%ff", "too long": "d=" + strings.Repeat("%41", 101),
	} {
		if b, err := DecodeJSONPBody([]byte(body), 100); !errors.Is(err, ErrJSONP) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if b, err := DecodeJSONPBody([]byte("d="+strings.Repeat("%41", 100)), 100); err != nil || len(b) != 100 {
		t.Errorf("at the limit: %d bytes, %v", len(b), err)
	}
}

func FuzzDecodeJSONPBody(f *testing.F) {
	for _, v := range payloadVectors(f, "jsonp_body.json") {
		f.Add([]byte(v.Body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out, err := DecodeJSONPBody(body, 1000)
		if err != nil {
			return
		}
		if len(out) > len(body) || !utf8.Valid(out) {
			t.Fatalf("%q became %q", body, out)
		}
		// What the client would write for it reads back.
		area := strings.ReplaceAll(strings.ReplaceAll(string(out), `\n`, "\\\n"), "\n", `\n`)
		again, err := DecodeJSONPBody([]byte("d="+url.QueryEscape(area)), 1000)
		// Where backslashes stand before a line feed the client's own form is
		// ambiguous.
		if !strings.Contains(string(out), "\\\n") && !strings.Contains(string(out), `\\n`) && (err != nil || !bytes.Equal(out, again)) {
			t.Fatalf("%q became %q, then %q, %v", body, out, again, err)
		}
	})
}

func FuzzAppendJSONP(f *testing.F) {
	f.Add("a\u2028\u2029\"\\\n")
	f.Fuzz(func(t *testing.T, s string) {
		out := AppendJSONP(nil, "1", []byte(s))
		lit := bytes.TrimSuffix(bytes.TrimPrefix(out, []byte(`___eio[1](`)), []byte(`);`))
		var back string
		if err := json.Unmarshal(lit, &back); err != nil || utf8.ValidString(s) && back != s {
			t.Fatalf("%q became %q: %v", s, out, err)
		}
		if bytes.Contains(lit, []byte("\u2028")) || bytes.ContainsAny(lit, "\n\r") {
			t.Fatalf("%q has a line end", out)
		}
	})
}
