package e2e

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// withoutMemory gives the server so little that what it holds at rest is more
// than 1 percent, and takes the delay away as a reason: the machine may be busy.
func withoutMemory(t *testing.T, settings map[string]string) *process {
	t.Helper()
	all := map[string]string{
		"OVERLOAD_CONNECTIONS_DELAY": "0", "OVERLOAD_EPHEMERAL_DELAY": "0", "OVERLOAD_READS_DELAY": "0", "OVERLOAD_WRITES_DELAY": "0",
		"OVERLOAD_CONNECTIONS_MEMORY": "0", "OVERLOAD_EPHEMERAL_MEMORY": "0", "OVERLOAD_READS_MEMORY": "0", "OVERLOAD_WRITES_MEMORY": "0",
	}
	for k, v := range settings {
		all[k] = v
	}
	t.Setenv("GOMEMLIMIT", "128MiB")
	return startServer(t, all)
}

// TestOverloadRefusesConnections: the real program, measuring itself, says 503
// and when to come again; it stays alive, ready, and serves its page.
func TestOverloadRefusesConnections(t *testing.T) {
	p := withoutMemory(t, map[string]string{"OVERLOAD_CONNECTIONS_MEMORY": "1", "OVERLOAD_RETRY_AFTER": "3s"})
	get := func(path string) (status int, header http.Header) {
		resp, err := http.Get(p.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header
	}
	waitFor(t, "new connections to be refused", func() bool {
		status, header := get("/socket.io/?EIO=4&transport=polling")
		if status == http.StatusOK {
			return false
		}
		if wait, err := strconv.Atoi(header.Get("Retry-After")); status != http.StatusServiceUnavailable || err != nil || wait < 3 || wait > 6 {
			t.Fatalf("refused with %d, Retry-After %q", status, header.Get("Retry-After"))
		}
		return true
	})
	if _, status, err := tryWS(t, p.addr, "EIO=4&transport=websocket", ""); status != http.StatusServiceUnavailable {
		t.Errorf("a WebSocket: %d, %v", status, err)
	}
	for _, path := range []string{"/", "/healthz", "/readyz", "/socket.io/socket.io.js"} {
		if status, _ := get(path); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	if said := p.log.String(); !strings.Contains(said, "overloaded: this is refused now") || !strings.Contains(said, `"step":"connections"`) {
		t.Errorf("the log does not say so:\n%s", said)
	}
}

// TestOverloadRefusesRequests: those who are connected stay, and are told what
// they cannot have now. What is worth more still works.
func TestOverloadRefusesRequests(t *testing.T) {
	p := withoutMemory(t, map[string]string{"OVERLOAD_EPHEMERAL_MEMORY": "1", "OVERLOAD_READS_MEMORY": "1"})
	ws := connectWS(t, p.addr)
	ws.mustCall(nil, "add user", "Mina")
	refusal := func(event string, payload any) (code string, retryAfter int) {
		var raw json.RawMessage
		if err := ws.call(&raw, event, payload); err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		var answer struct {
			Error struct {
				Code       string
				Retryable  bool
				RetryAfter int
			}
		}
		_ = json.Unmarshal(raw, &answer)
		if answer.Error.Code != "" && !answer.Error.Retryable {
			t.Errorf("%s: %s is not retryable", event, raw)
		}
		return answer.Error.Code, answer.Error.RetryAfter
	}
	lobby := map[string]any{"room": "lobby"}
	waitFor(t, "reads to be refused", func() bool {
		code, after := refusal("history", lobby)
		if code == "overloaded" && after < 5000 {
			t.Fatalf("again after %d ms", after)
		}
		return code == "overloaded"
	})
	for _, event := range []string{"who", "rooms", "typing"} {
		if code, _ := refusal(event, lobby); code != "overloaded" {
			t.Errorf("%s: %q", event, code)
		}
	}
	ws.mustCall(nil, "new message", map[string]any{"room": "lobby", "message": "still here", "id": "1"})
	ws.mustCall(nil, "join room", map[string]any{"room": "another"})
	connectWS(t, p.addr)
}
