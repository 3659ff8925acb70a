package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// TestServed: each request is told of once, with how it was answered; and what
// stands between leaves the connection to a WebSocket.
func TestServed(t *testing.T) {
	var mu sync.Mutex
	var got []Served
	told := make(chan struct{}, 100)
	endpoint := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("x") {
		case "hijack":
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_ = c.Close()
		case "nothing":
		case "refuse":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "no")
		default:
			_, _ = io.WriteString(w, "12345")
			_, _ = io.WriteString(w, "678")
		}
	})
	g, err := New(Options{Endpoint: endpoint, Hooks: Hooks{Served: func(_ *http.Request, s Served) {
		mu.Lock()
		got = append(got, s)
		mu.Unlock()
		told <- struct{}{}
	}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	defer server.Close()
	for i, tt := range []struct {
		path   string
		route  Route
		status int
		bytes  int64
	}{
		{"/socket.io/", RouteEndpoint, 200, 8},
		{"/socket.io?x=refuse", RouteEndpoint, 503, 2},
		{"/socket.io/?x=nothing", RouteEndpoint, 200, 0},
		{"/socket.io/?x=hijack", RouteEndpoint, 101, 0},
		{"/socket.io/none.js", RouteClient, 404, 10},
		{"/healthz", RouteHealth, 200, 3},
		{"/nothing/here", RoutePage, 404, 10},
	} {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET "+tt.path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		_ = c.Close()
		<-told
		mu.Lock()
		if s := got[i]; len(got) != i+1 || s.Route != tt.route || s.Status != tt.status || s.Bytes != tt.bytes || resp.StatusCode != tt.status {
			t.Errorf("%s: answered %d, told %+v", tt.path, resp.StatusCode, s)
		}
		mu.Unlock()
	}
}
