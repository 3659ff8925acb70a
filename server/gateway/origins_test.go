package gateway

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOrigins(t *testing.T) {
	list := func(s string) []string { return strings.Fields(s) }
	tests := []struct {
		list, host, origin string
		forwarded          string
		proxied            bool
		want               bool
	}{
		// No page.
		{"", "chat.example", "", "", false, true},
		// The server's own.
		{"", "chat.example", "https://chat.example", "", false, true},
		{"", "chat.example", "http://chat.example", "", false, true},
		{"", "CHAT.example:443", "https://chat.example", "", false, true},
		{"", "chat.example:80", "http://chat.example", "", false, true},
		{"", "chat.example:3000", "http://chat.example:3000", "", false, true},
		{"", "[::1]:3000", "http://[::1]:3000", "", false, true},
		{"https://other.example", "chat.example", "https://chat.example", "", false, true},
		{"", "chat.example:3000", "http://chat.example:3001", "", false, false},
		{"", "chat.example", "https://evil.example", "", false, false},
		{"", "chat.example", "https://chat.example.evil.example", "", false, false},
		{"", "", "https://chat.example", "", false, false},
		// Behind a proxy that rewrites Host.
		{"", "10.0.0.1:3000", "https://chat.example", "chat.example", true, true},
		{"", "10.0.0.1:3000", "https://chat.example", "evil.example, chat.example", true, true},
		{"", "10.0.0.1:3000", "https://evil.example", "evil.example, chat.example", true, false},
		{"", "10.0.0.1:3000", "https://chat.example", "chat.example", false, false},
		{"", "10.0.0.1:3000", "https://chat.example", "", true, false},
		// localhost.
		{"localhost", "chat.example", "http://localhost:5173", "", false, true},
		{"localhost", "chat.example", "capacitor://localhost", "", false, true},
		{"localhost", "chat.example", "http://127.0.0.1:8000", "", false, true},
		{"localhost", "chat.example", "http://127.8.8.8", "", false, true},
		{"localhost", "chat.example", "http://[::1]:8000", "", false, true},
		{"localhost", "chat.example", "http://app.localhost:8000", "", false, true},
		{"localhost", "chat.example", "http://localhost.evil.example", "", false, false},
		{"localhost", "chat.example", "http://128.0.0.1", "", false, false},
		{"localhost", "chat.example", "null", "", false, false},
		{"", "chat.example", "http://localhost:5173", "", false, false},
		// Lists.
		{"https://a.example http://b.example:8080", "chat.example", "https://a.example", "", false, true},
		{"https://A.example:443", "chat.example", "https://a.example", "", false, true},
		{"https://a.example", "chat.example", "http://a.example", "", false, false},
		{"https://a.example", "chat.example", "https://a.example:8443", "", false, false},
		{"https://a.example http://b.example:8080", "chat.example", "http://b.example:8080", "", false, true},
		{"https://*.example.com", "chat.example", "https://x.example.com", "", false, true},
		{"https://*.example.com", "chat.example", "https://x.y.example.com", "", false, true},
		{"https://*.example.com", "chat.example", "https://example.com", "", false, false},
		{"https://*.example.com", "chat.example", "https://evilexample.com", "", false, false},
		{"https://*.example.com", "chat.example", "http://x.example.com", "", false, false},
		{"https://*.example.com", "chat.example", "https://x.example.com:8443", "", false, false},
		{"https://*.example.com:8443", "chat.example", "https://x.example.com:8443", "", false, true},
		{"null", "chat.example", "null", "", false, true},
		{"null", "chat.example", "https://a.example", "", false, false},
		// Everyone.
		{"*", "chat.example", "https://a.example", "", false, true},
		{"*", "chat.example", "null", "", false, true},
		// No origins at all.
		{"localhost", "chat.example", "localhost", "", false, false},
		{"localhost", "chat.example", "http://%zz", "", false, false},
		{"localhost", "chat.example", "https://", "", false, false},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = tt.host
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		if tt.forwarded != "" {
			r.Header.Set("X-Forwarded-Host", tt.forwarded)
		}
		if got := NewOrigins(list(tt.list), tt.proxied).Allowed(r); got != tt.want {
			t.Errorf("origins %q, host %q (forwarded %q): %q: %v", tt.list, tt.host, tt.forwarded, tt.origin, got)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Origin"] = []string{"http://localhost", "https://evil.example"}
	if NewOrigins([]string{"*"}, false).Allowed(r) {
		t.Error("two Origin headers passed")
	}
}

func TestCORS(t *testing.T) {
	const origin = "https://app.example"
	tests := []struct {
		name, method, target string
		origins              []string
		header               []string
		status               int
		allowed              string // Access-Control-Allow-Origin
		headers              string // Access-Control-Allow-Headers
	}{
		{"allowed", "GET", "/socket.io/", []string{origin}, []string{"Origin: " + origin}, 200, origin, ""},
		{"everyone is reflected", "GET", "/socket.io/", []string{"*"}, []string{"Origin: " + origin}, 200, origin, ""},
		{"bundle", "GET", "/socket.io/socket.io.esm.min.js", []string{origin}, []string{"Origin: " + origin}, 200, origin, ""},
		{"not allowed", "GET", "/socket.io/", nil, []string{"Origin: " + origin}, 200, "", ""},
		{"no origin", "GET", "/socket.io/", nil, nil, 200, "", ""},
		{"preflight", "OPTIONS", "/socket.io/", []string{origin},
			[]string{"Origin: " + origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,x-token"}, 204, origin, "content-type,x-token"},
		{"preflight, without the slash", "OPTIONS", "/socket.io", []string{origin},
			[]string{"Origin: " + origin, "Access-Control-Request-Method: GET"}, 204, origin, ""},
		{"preflight, not allowed", "OPTIONS", "/socket.io/", nil,
			[]string{"Origin: " + origin, "Access-Control-Request-Method: POST"}, 204, "", ""},
		{"preflight for another method", "OPTIONS", "/socket.io/", []string{origin},
			[]string{"Origin: " + origin, "Access-Control-Request-Method: DELETE"}, 204, "", ""},
		{"the page is not shared", "GET", "/", []string{"*"}, []string{"Origin: " + origin}, 200, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := start(t, Options{Origins: NewOrigins(tt.origins, false)})
			h := ask(g, tt.method, tt.target, tt.header...)
			if h.Code != tt.status || h.Header().Get("Access-Control-Allow-Origin") != tt.allowed || h.Header().Get("Access-Control-Allow-Headers") != tt.headers {
				t.Errorf("%d %v", h.Code, h.Header())
			}
			if tt.allowed != "" && (h.Header().Get("Access-Control-Allow-Credentials") != "true" || strings.Count(strings.Join(h.Header().Values("Vary"), ","), "Origin") != 1) {
				t.Errorf("without credentials or Vary: %v", h.Header())
			}
		})
	}
}
