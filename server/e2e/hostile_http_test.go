package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRefusals: requests that the Engine.IO endpoint turns away, by status and
// body.
func TestRefusals(t *testing.T) {
	p := startServer(t, hostileSettings)
	c := startControl(t, p)
	open := openPolling(t, p.url, 4)
	for _, test := range []struct {
		method, query string
		status        int
		body          string
	}{
		{"GET", "EIO=4&transport=pigeon", 400, `{"code":0,"message":"Transport unknown"}`},
		{"GET", "EIO=4", 400, `{"code":0,"message":"Transport unknown"}`},
		{"GET", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA", 400, `{"code":1,"message":"Session ID unknown"}`},
		{"POST", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA", 400, `{"code":1,"message":"Session ID unknown"}`},
		{"GET", "EIO=4&transport=polling&sid=" + strings.Repeat("A", 5000), 400, `{"code":1,"message":"Session ID unknown"}`},
		{"POST", "EIO=4&transport=polling", 400, `{"code":2,"message":"Bad handshake method"}`},
		{"PUT", "EIO=4&transport=polling", 400, `{"code":2,"message":"Bad handshake method"}`},
		{"GET", "EIO=4&transport=websocket", 400, `{"code":3,"message":"Bad request"}`},
		{"GET", "EIO=4&transport=websocket&sid=" + open.sid(), 400, `{"code":3,"message":"Bad request"}`},
	} {
		status, body := (&pollSession{t: t, url: p.url + "/socket.io/?" + test.query}).do(test.method, plain, "")
		if status != test.status || body != test.body {
			t.Errorf("%s %.60s: %d %q, want %d %q", test.method, test.query, status, body, test.status, test.body)
		}
	}
	open.connect() // it did not suffer
	c.advance()
}

// TestHostilePolling: bodies that lie, in both revisions.
func TestHostilePolling(t *testing.T) {
	p := startServer(t, hostileSettings)
	c := startControl(t, p)

	for _, test := range []struct {
		name        string
		revision    int
		contentType string
		body        string
	}{
		{"an empty body", 4, plain, ""},
		{"an empty packet", 4, plain, "\x1e"},
		{"bad base64", 4, plain, `451-["a",{"_placeholder":true,"num":0}]` + "\x1eb!!!!"},
		{"invalid UTF-8", 4, plain, "42[\"\xff\"]"},
		{"octets", 4, "application/octet-stream", "42[\"a\"]"},
		{"too many packets", 4, plain, strings.Repeat("3\x1e", 5000) + "3"},
		{"no length", 3, plain, `42["a"]`},
		{"a length that is too long", 3, plain, `100:42["a"]`},
		{"a length that is too short", 3, plain, `3:42["a"]`},
		{"a length of 400 digits", 3, plain, strings.Repeat("9", 400) + `:42["a"]`},
		{"a negative length", 3, plain, `-1:42["a"]`},
		{"a length without a packet", 3, plain, `5:`},
		{"a length that splits a surrogate pair", 3, plain, "5:42[\"😀\"]"},
		{"invalid UTF-8 in revision 3", 3, plain, "8:42[\"\xff\xfe\"]"},
		{"octets cut off", 3, "application/octet-stream", "\x00\x09\x09\xff42"},
		{"octets with a digit over 9", 3, "application/octet-stream", "\x00\x0a\xff42"},
		{"octets with 400 digits", 3, "application/octet-stream", "\x00" + strings.Repeat("\x09", 400) + "\xff42"},
		{"octets of an unknown kind", 3, "application/octet-stream", "\x07\x02\xff42"},
		{"too many packets in revision 3", 3, plain, strings.Repeat("1:3", 5000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := openPolling(t, p.url, test.revision)
			if test.revision == 4 {
				s.connect()
			}
			s.post(test.contentType, test.body)
			s.closed()
		})
	}
	c.advance()

	t.Run("over the limit the body is refused and the session stays", func(t *testing.T) {
		s := openPolling(t, p.url, 4)
		s.connect()
		// 0: the server stopped reading, and the connection was reset under us.
		if status, body := s.post(plain, strings.Repeat("4", 1_000_001)); status != http.StatusRequestEntityTooLarge && status != 0 {
			t.Errorf("%d %q, want 413", status, body)
		}
		if status, body := s.post(plain, `421["rooms",{}]`); status != http.StatusOK || body != "ok" {
			t.Errorf("afterwards: %d %q", status, body)
		}
	})

	t.Run("two polls at once end the session", func(t *testing.T) {
		s := openPolling(t, p.url, 4)
		s.connect()
		var polls sync.WaitGroup
		statuses := make([]int, 2)
		for i := range statuses {
			polls.Go(func() { statuses[i], _ = s.get() })
		}
		polls.Wait()
		if statuses[0] != http.StatusBadRequest && statuses[1] != http.StatusBadRequest {
			t.Errorf("statuses %v, want a 400 among them", statuses)
		}
		s.closed()
	})

	t.Run("many polls at once", func(t *testing.T) {
		var polls sync.WaitGroup
		s := openPolling(t, p.url, 4)
		for range 100 {
			polls.Go(func() { s.get() })
		}
		polls.Wait()
		s.closed()
	})

	t.Run("two bodies at once end the session", func(t *testing.T) {
		s := openPolling(t, p.url, 4)
		s.connect()
		slow := rawPost(t, p, s, 100, "42[")
		waitFor(t, "the second body to be refused", func() bool {
			status, _ := s.post(plain, "3")
			return status == http.StatusBadRequest
		})
		s.closed()
		slow.Close()
	})

	t.Run("a body that never comes", func(t *testing.T) {
		s := openPolling(t, p.url, 4)
		s.connect()
		conn := rawPost(t, p, s, 1000, `42["half`)
		_ = conn.SetReadDeadline(time.Now().Add(deadline))
		if _, err := io.Copy(io.Discard, conn); timedOut(err) {
			t.Error("the server goes on waiting for the body")
		}
	})
	c.advance()
}

// rawPost begins a POST of the length said and sends only a part.
func rawPost(t *testing.T, p *process, s *pollSession, length int, part string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.addr, deadline)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, path, _ := strings.Cut(s.url, p.addr)
	_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, p.addr, plain, length, part)
	return conn
}

// TestSlowAndBrokenHTTP: below Engine.IO.
func TestSlowAndBrokenHTTP(t *testing.T) {
	p := startServer(t, hostileSettings)
	c := startControl(t, p)
	for name, request := range map[string]string{
		"headers that never end":   "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nX-Slow:",
		"nothing at all":           "",
		"no HTTP":                  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"headers over the limit":   "GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"a URL over the limit":     "GET /socket.io/?EIO=4&transport=polling&t=" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"a line break in the path": "GET /socket.io/\x00?EIO=4 HTTP/1.1\r\nHost: x\r\n\r\n",
		"two lengths":              "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"a bad chunk":              "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.DialTimeout("tcp", p.addr, deadline)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, request)
			_ = conn.SetReadDeadline(time.Now().Add(deadline))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if timedOut(err) {
				t.Error("the server neither answers nor closes")
			}
			if err != nil {
				return
			}
			resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	t.Run("meanwhile", func(t *testing.T) { c.advance() })
}

// TestHostileUpgrades: duplicate, early, late and wrong upgrades.
func TestHostileUpgrades(t *testing.T) {
	settings := map[string]string{"ENGINE_UPGRADE_TIMEOUT": "1s"}
	p := startServer(t, settings)
	c := startControl(t, p)
	query := func(s *pollSession) string { return "EIO=4&transport=websocket&sid=" + s.sid() }

	t.Run("anything but the probe closes only the new transport", func(t *testing.T) {
		for _, first := range []string{"5", "2", "4x", "40", "1", "2prob", ""} {
			s := openPolling(t, p.url, 4)
			s.connect()
			ws := dialWS(t, p.addr, query(s))
			ws.text(first)
			ws.closed()
			if status, _ := s.post(plain, `421["rooms",{}]`); status != http.StatusOK {
				t.Errorf("after %q: polling says %d", first, status)
			}
		}
	})

	t.Run("an upgrade that is never finished", func(t *testing.T) {
		s := openPolling(t, p.url, 4)
		s.connect()
		ws := dialWS(t, p.addr, query(s))
		ws.closed()
		ws = dialWS(t, p.addr, query(s))
		ws.text("2probe")
		ws.expect("3probe")
		ws.closed()
		if status, _ := s.post(plain, `421["rooms",{}]`); status != http.StatusOK {
			t.Errorf("polling says %d", status)
		}
	})

	t.Run("a second upgrade is closed, the first goes on", func(t *testing.T) {
		s := openPolling(t, p.url, 4)
		s.connect()
		first := dialWS(t, p.addr, query(s))
		first.text("2probe")
		first.expect("3probe")
		if second, status, err := tryWS(t, p.addr, query(s), ""); err == nil && status == http.StatusSwitchingProtocols {
			second.text("2probe")
			second.closed()
		}
		first.text("5")
		first.mustCall(nil, "join room", map[string]any{"room": "upgraded"})
		if second, status, err := tryWS(t, p.addr, query(s), ""); err == nil && status == http.StatusSwitchingProtocols {
			second.text("2probe")
			second.closed()
		}
		if status, _ := s.get(); status != http.StatusBadRequest {
			t.Errorf("a poll after the upgrade: %d, want 400", status)
		}
		first.mustCall(nil, "leave room", map[string]any{"room": "upgraded"})
	})

	t.Run("a session of another revision", func(t *testing.T) {
		s := openPolling(t, p.url, 4)
		s.connect()
		if ws, status, err := tryWS(t, p.addr, "EIO=3&transport=websocket&sid="+s.sid(), ""); err == nil && status == http.StatusSwitchingProtocols {
			ws.text("2probe")
			ws.conn.Close()
		}
		if status, _ := s.post(plain, `421["rooms",{}]`); status != http.StatusOK {
			t.Errorf("polling says %d", status)
		}
	})

	t.Run("a foreign page", func(t *testing.T) {
		_, status, err := tryWS(t, p.addr, "EIO=4&transport=websocket", "Origin: https://evil.example\r\n")
		if err != nil || status == http.StatusSwitchingProtocols {
			t.Errorf("status %d, %v, want a refusal", status, err)
		}
	})
	c.advance()
}

// TestFullHouse: beyond the limit of sessions a newcomer is told to come back
// later, and gets in once others have gone.
func TestFullHouse(t *testing.T) {
	p := startServer(t, map[string]string{"ENGINE_MAX_SESSIONS": "5", "ENGINE_PING_INTERVAL": "1s", "ENGINE_PING_TIMEOUT": "1s"})
	var abandoned []*pollSession
	for range 5 {
		abandoned = append(abandoned, openPolling(t, p.url, 4))
	}
	resp, err := http.Get(p.url + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	var body json.RawMessage
	_ = json.NewDecoder(resp.Body).Decode(&body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q, body %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
	if _, status, err := tryWS(t, p.addr, "EIO=4&transport=websocket", ""); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("WebSocket: status %d, %v", status, err)
	}
	// The five never poll again: they time out, and there is room.
	waitFor(t, "the abandoned sessions to end", func() bool {
		ws, status, err := tryWS(t, p.addr, "EIO=4&transport=websocket", "")
		if err == nil && status == http.StatusSwitchingProtocols {
			ws.expect("0{")
			return true
		}
		return false
	})
	for _, s := range abandoned {
		s.closed()
	}
}
