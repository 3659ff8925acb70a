package engineio

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/gobwas/ws"
)

// recorder writes down what a frameReader finds.
type recorder struct{ events []string }

func (r *recorder) note(kind string, b []byte) error {
	r.events = append(r.events, fmt.Sprintf("%s %x", kind, b))
	return nil
}
func (r *recorder) text(b []byte) error   { return r.note("text", b) }
func (r *recorder) binary(b []byte) error { return r.note("binary", b) }
func (r *recorder) ping(b []byte) error   { return r.note("ping", b) }
func (r *recorder) closing(code ws.StatusCode) error {
	r.events = append(r.events, fmt.Sprint("close ", code))
	return errEnded
}

// run feeds b in pieces of at most size bytes.
func run(t *testing.T, b []byte, size int, limit int64) []string {
	var f frameReader
	r := &recorder{}
	for at := 0; at < len(b); at += size {
		piece := bytes.Clone(b[at:min(at+size, len(b))])
		if err := f.feed(piece, limit, r); err != nil {
			var fe *frameError
			if errors.As(err, &fe) {
				return append(r.events, fmt.Sprint("error ", fe.code))
			}
			return append(r.events, "ended")
		}
		var p parts
		if f.parts != nil {
			p = *f.parts
		}
		if held := cap(p.msg) + cap(p.ctl); held > 2*(at+size)+64 {
			t.Fatalf("holds %d bytes after %d", held, at+size)
		}
		if int64(len(p.msg)) > limit {
			t.Fatalf("message of %d bytes", len(p.msg))
		}
	}
	return r.events
}

func maskedFrame(b0 byte, payload string) []byte {
	out := []byte{b0, 0x80 | byte(len(payload)), 1, 2, 3, 4}
	for i := range len(payload) {
		out = append(out, payload[i]^byte(i%4+1))
	}
	return out
}

// FuzzFrames: however the bytes of a connection are cut, the same comes out of
// them; nothing panics; and memory follows what has arrived.
func FuzzFrames(f *testing.F) {
	for _, seed := range [][]byte{
		maskedFrame(0x81, "4hello"),
		append(maskedFrame(0x01, "4\xe2\x98"), maskedFrame(0x80, "\x83")...),
		append(append(maskedFrame(0x01, "4a"), maskedFrame(0x89, "ping")...), maskedFrame(0x80, "b")...),
		maskedFrame(0x88, "\x03\xe8bye"),
		maskedFrame(0x82, "\xff\x00"),
		{0x81, 0xfe, 0xff, 0xff, 1, 2, 3, 4},
		{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
		{0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5},
		{0xc1, 0x80, 0, 0, 0, 0},
		{0x81, 0x01, '4'},
	} {
		f.Add(seed, 3, int64(1000))
	}
	f.Fuzz(func(t *testing.T, b []byte, size int, limit int64) {
		if size < 1 || limit < 0 {
			return
		}
		whole := run(t, b, max(1, len(b)), limit)
		cut := run(t, b, size, limit)
		// A text may turn out bad before or after the end of its frame is known to
		// be bad too: only the last event may differ, and only between errors.
		if fmt.Sprint(whole) != fmt.Sprint(cut) {
			n := min(len(whole), len(cut))
			if len(whole) != len(cut) || n == 0 || fmt.Sprint(whole[:n-1]) != fmt.Sprint(cut[:n-1]) ||
				whole[n-1][:2] != "er" || cut[n-1][:2] != "er" {
				t.Errorf("whole: %v\nin pieces of %d: %v", whole, size, cut)
			}
		}
	})
}
