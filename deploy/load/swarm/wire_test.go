package swarm

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNextFrame(t *testing.T) {
	for _, size := range []int{1, 125, 126, 65_535, 65_536} {
		text := strings.Repeat("x", size)
		masked := appendFrame(nil, 1, text)
		// A client's frame without its mask (four zero bytes) is a server's.
		head := 2
		switch {
		case size > 65_535:
			head = 10
		case size > 125:
			head = 4
		}
		server := slices.Concat(masked[:head], masked[head+4:])
		server[1] &^= 0x80
		both := slices.Concat(server, []byte{0x81, 1, '2'})
		for _, cut := range []int{0, 1, head - 1, head, len(server) - 1} {
			if _, _, n, err := nextFrame(both[:cut]); n != 0 || err != nil {
				t.Errorf("%d: %d bytes: n = %d, %v; want to be told to wait", size, cut, n, err)
			}
		}
		op, payload, n, err := nextFrame(both)
		if op != 1 || string(payload) != text || n != len(server) || err != nil {
			t.Errorf("%d: op %d, %d bytes of %d, %v", size, op, len(payload), n, err)
		}
		if _, payload, _, _ = nextFrame(both[n:]); string(payload) != "2" {
			t.Errorf("%d: then %q", size, payload)
		}
	}
	for name, b := range map[string][]byte{
		"a fragment": {0x01, 1, '2'}, "a mask": {0x81, 0x81, 0, 0, 0, 0, '2'}, "a reserved bit": {0xc1, 1, '2'}, "too long": {0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0},
	} {
		if _, _, _, err := nextFrame(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNextResponse(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		status     int
		body       string
		after      time.Duration
		close      bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 0, false},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", 200, "hello", 0, false},
		{"refused", "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 503, "no", 7 * time.Second, true},
		{"upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 101, "", 0, false},
		{"nothing", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, "", 0, false},
	} {
		next := "HTTP/1.1 200 OK"
		whole := []byte(tt.text + next)
		for cut := range len(tt.text) {
			if _, n, err := nextResponse(whole[:cut]); n != 0 || err != nil {
				t.Errorf("%s, %d bytes: n = %d, %v", tt.name, cut, n, err)
			}
		}
		r, n, err := nextResponse(whole)
		if err != nil || n != len(tt.text) || r.status != tt.status || string(r.body) != tt.body || r.after != tt.after || r.close != tt.close {
			t.Errorf("%s: %+v, %d, %v", tt.name, r, n, err)
		}
	}
	for _, text := range []string{"SSH-2.0\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"} {
		if _, n, err := nextResponse([]byte(text)); err == nil || n != 0 {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}

func TestPackets(t *testing.T) {
	read := func(revision int, body string) (all []string, err error) {
		err = packets(revision, []byte(body), func(p []byte) error {
			all = append(all, string(p))
			return nil
		})
		return all, err
	}
	for _, tt := range []struct {
		revision int
		body     string
		want     []string
	}{
		{4, "40\x1e42[\"a\"]", []string{"40", `42["a"]`}}, {4, "2", []string{"2"}}, {4, "", nil},
		{3, "2:4011:42[\"hi\",\"€\"]2:40", nil}, {3, "6:4hello2:4€", []string{"4hello", "4€"}}, {3, "3:4😀1:2", []string{"4😀", "2"}}, {3, "", nil},
	} {
		got, err := read(tt.revision, tt.body)
		if tt.want != nil && (err != nil || !slices.Equal(got, tt.want)) {
			t.Errorf("%d %q: %q, %v", tt.revision, tt.body, got, err)
		}
	}
	for _, body := range []string{"x:4", "9:4", "-1:4", "4", ":"} {
		if got, err := read(3, body); err == nil {
			t.Errorf("%q: %q", body, got)
		}
	}
	for _, revision := range []int{3, 4} {
		var payload []byte
		for _, p := range []string{"40", `42["a",1]`, "3"} {
			payload = appendPacket(revision, payload, p)
		}
		if got, err := read(revision, string(payload)); err != nil || !slices.Equal(got, []string{"40", `42["a",1]`, "3"}) {
			t.Errorf("revision %d: %q, %v", revision, got, err)
		}
	}
}

func TestPieces(t *testing.T) {
	open := []byte(`{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000}`)
	if field(open, "sid") != "abc" || field(open, "pid") != "" || number(open, "pingInterval") != 25000 || number(open, "x") != 0 {
		t.Error("the open packet")
	}
	if id, rest := cutID([]byte(`17["x"]`)); id != 17 || string(rest) != `["x"]` {
		t.Error(id, string(rest))
	}
	if id, rest := cutID([]byte(`["x"]`)); id != -1 || string(rest) != `["x"]` {
		t.Error(id, string(rest))
	}
	for array, want := range map[string]string{`["msg","x","1.AA=="]`: "1.AA==", `["msg",{"a":"b"},"1.AA=="]`: "1.AA==", `["msg",{"a":"b"}]`: "", `["msg"]`: "", `[]`: ""} {
		if got := lastString([]byte(array)); string(got) != want {
			t.Errorf("%s: %q", array, got)
		}
	}
}

func FuzzNextFrame(f *testing.F) {
	f.Add([]byte{0x81, 1, '2'})
	f.Add([]byte{0x81, 126, 0, 200, 'x'})
	f.Add([]byte{0x81, 127, 0, 0, 0, 0, 0, 0, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, payload, n, err := nextFrame(b)
		if n < 0 || n > len(b) || len(payload) > n || err != nil && n != 0 {
			t.Errorf("%d of %d, %v", n, len(b), err)
		}
	})
}

func FuzzNextResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, err := nextResponse(b)
		if n < 0 || n > len(b) || len(r.body) > n || err != nil && n != 0 {
			t.Errorf("%d of %d, %v", n, len(b), err)
		}
	})
}

func FuzzPackets(f *testing.F) {
	f.Add(3, []byte("2:40"))
	f.Add(4, []byte("40\x1e2"))
	f.Fuzz(func(t *testing.T, revision int, b []byte) {
		total := 0
		_ = packets(revision, b, func(p []byte) error {
			total += len(p)
			if !bytes.Contains(b, p) {
				t.Errorf("%q is not of %q", p, b)
			}
			_, rest := cutID(p)
			lastString(rest)
			return nil
		})
		if total > len(b) {
			t.Errorf("%d of %d", total, len(b))
		}
	})
}
