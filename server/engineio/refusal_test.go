package engineio_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/antchat/antchat/server/engineio"
)

func TestRefusals(t *testing.T) {
	h := start(t, engineio.Options{
		AllowRequest: func(r *http.Request) error {
			if r.Header.Get("X-Bad") != "" {
				return fmt.Errorf("not \"you\"")
			}
			return nil
		},
	})
	strict := start(t, engineio.Options{StrictRevision: true})
	only4 := start(t, engineio.Options{DisableRevision3: true, Transports: []string{"polling"}})
	ws := h.dial("&EIO=4")
	sid := ws.open().SID
	polling := h.poller("4", "")

	json := func(code int, text string) string { return fmt.Sprintf(`{"code":%d,"message":"%s"}`, code, text) }
	tests := []struct {
		name   string
		h      *harness
		method string
		query  string
		header string
		status int
		body   string
	}{
		{"no transport", h, "GET", "EIO=4", "", 400, json(0, "Transport unknown")},
		{"unknown transport", h, "GET", "EIO=4&transport=abc", "", 400, json(0, "Transport unknown")},
		{"transport not served", only4, "GET", "EIO=4&transport=websocket", "", 400, json(0, "Transport unknown")},
		{"unknown sid", h, "GET", "EIO=4&transport=polling&sid=abc", "", 400, json(1, "Session ID unknown")},
		{"unknown sid, POST", h, "POST", "EIO=4&transport=polling&sid=abc", "", 400, json(1, "Session ID unknown")},
		{"handshake by POST", h, "POST", "EIO=4&transport=polling", "", 400, json(2, "Bad handshake method")},
		{"handshake by PUT", h, "PUT", "EIO=4&transport=polling", "", 400, json(2, "Bad handshake method")},
		{"websocket without upgrade", h, "GET", "EIO=4&transport=websocket", "", 400, json(3, "Bad request")},
		{"poll on a websocket session", h, "GET", "EIO=4&transport=polling&sid=" + sid, "", 400, json(3, "Bad request")},
		{"post on a websocket session", h, "POST", "EIO=4&transport=polling&sid=" + sid, "", 400, json(3, "Bad request")},
		{"websocket request on a polling session", h, "GET", "EIO=4&transport=websocket&sid=" + polling.sid, "", 400, json(3, "Bad request")},
		{"other method", h, "DELETE", "EIO=4&transport=polling&sid=" + polling.sid, "", 400, json(3, "Bad request")},
		{"long query", h, "GET", "EIO=4&transport=polling&x=" + strings.Repeat("x", 9000), "", 400, json(3, "Bad request")},
		{"not allowed", h, "GET", "EIO=4&transport=polling", "X-Bad: 1", 403, `{"code":4,"message":"not \"you\""}`},
		{"revision 3 not served", only4, "GET", "EIO=3&transport=polling", "", 400, json(5, "Unsupported protocol version")},
		{"no revision, revision 3 not served", only4, "GET", "transport=polling", "", 400, json(5, "Unsupported protocol version")},
		{"no revision, strict", strict, "GET", "transport=polling", "", 400, json(5, "Unsupported protocol version")},
		{"other revision, strict", strict, "GET", "EIO=5&transport=polling", "", 400, json(5, "Unsupported protocol version")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var header []string
			if tt.header != "" {
				header = append(header, tt.header)
			}
			a := tt.h.do(tt.method, tt.query, "", header...)
			if a.status != tt.status || a.body != tt.body || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("got %d %q %q", a.status, a.header.Get("Content-Type"), a.body)
			}
		})
	}

	upgrades := []struct {
		name   string
		h      *harness
		query  string
		header string
		body   string
	}{
		{"unknown sid", h, "&EIO=4&sid=abc", "", "Session ID unknown"},
		{"not allowed", h, "&EIO=4", "X-Bad: 1", `not "you"`},
		{"strict", strict, "", "", "Unsupported protocol version"},
		{"foreign origin", h, "&EIO=4", "Origin: https://evil.example", "Forbidden"},
		{"foreign origin that looks like ours", h, "&EIO=4", "Origin: https://localhost.evil.example", "Forbidden"},
	}
	for _, tt := range upgrades {
		t.Run("upgrade, "+tt.name, func(t *testing.T) {
			var header []string
			if tt.header != "" {
				header = append(header, tt.header)
			}
			c, resp := tt.h.tryDial(tt.query, header...)
			if c != nil {
				t.Fatal("accepted")
			}
			body := make([]byte, 100)
			n, _ := resp.Body.Read(body)
			if resp.StatusCode != 400 || string(body[:n]) != tt.body || resp.Header.Get("Content-Type") != "text/html" {
				t.Errorf("got %d %q %q", resp.StatusCode, resp.Header.Get("Content-Type"), body[:n])
			}
		})
	}
	for _, origin := range []string{"http://" + h.addr, "http://localhost:8080", "https://127.0.0.1", "http://[::1]:3000"} {
		c := h.dial("&EIO=4", "Origin: "+origin)
		c.open()
	}

	// Anything but 4 is revision 3 unless strict.
	for _, q := range []string{"transport=polling", "EIO=2&transport=polling", "EIO=abc&transport=polling"} {
		if a := h.do("GET", q, ""); a.status != 200 || !strings.Contains(a.body, ":0{") {
			t.Errorf("%s: %d %q", q, a.status, a.body)
		}
	}
}
