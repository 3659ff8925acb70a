package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestInteropProtocol: four generations of socket.io-client over each
// transport against the protocol layers alone.
func TestInteropProtocol(t *testing.T) {
	runNode(t, map[string]string{"ANTCHAT_CONFORMANCE_URL": startConformance(t).url}, "interop/protocol.test.mjs")
}

// TestInteropChat: the same clients in one room of the real server.
func TestInteropChat(t *testing.T) { runNode(t, nil, "interop/chat.test.mjs") }

// TestInteropRecovery: cut networks, kill -9, restarts, retries.
func TestInteropRecovery(t *testing.T) { runNode(t, nil, "interop/recovery.test.mjs") }

// TestInteropLife: connections that the server closes at their age.
func TestInteropLife(t *testing.T) { runNode(t, nil, "interop/life.test.mjs") }

// TestInteropFair: more clients at once than may connect.
func TestInteropFair(t *testing.T) { runNode(t, nil, "interop/fair.test.mjs") }

// TestInteropPhone: changes of network, half-open connections, silence.
func TestInteropPhone(t *testing.T) { runNode(t, nil, "interop/phone.test.mjs") }

// TestInteropBackground: clients that are frozen for longer than a heartbeat.
func TestInteropBackground(t *testing.T) { runNode(t, nil, "interop/background.test.mjs") }

// TestInteropAuth: tokens, their end, and an issuer's keys.
func TestInteropAuth(t *testing.T) { runNode(t, nil, "interop/auth.test.mjs") }

// TestInteropOIDC has people sign in at a real OpenID provider.
func TestInteropOIDC(t *testing.T) { runNode(t, nil, "interop/oidc.test.mjs") }

// TestInteropAPI: back ends over HTTP and clients, on two nodes.
func TestInteropAPI(t *testing.T) { runNode(t, nil, "interop/api.test.mjs") }

// The same without sticky sessions: three nodes over one Redis, behind a proxy
// that gives each request to the next one.

func TestInteropProtocolRoundRobin(t *testing.T) {
	redis := "redis://" + startRedis(t)
	var nodes []*process
	for range 3 {
		nodes = append(nodes, startConformance(t, "-redis", redis))
	}
	runNode(t, map[string]string{"ANTCHAT_CONFORMANCE_URL": startRoundRobin(t, false, nodes...)}, "interop/protocol.test.mjs")
}

func TestInteropChatRoundRobin(t *testing.T) {
	runNode(t, map[string]string{"ANTCHAT_FLEET": "1"}, "interop/chat.test.mjs")
}

func TestInteropRecoveryRoundRobin(t *testing.T) {
	runNode(t, map[string]string{"ANTCHAT_FLEET": "1"}, "interop/recovery.test.mjs")
}

func TestInteropPhoneRoundRobin(t *testing.T) {
	runNode(t, map[string]string{"ANTCHAT_FLEET": "1"}, "interop/phone.test.mjs")
}

// TestFleetFaults: nodes are killed and Redis is cut off under such clients.
func TestFleetFaults(t *testing.T) { runNode(t, nil, "interop/fleet.test.mjs") }

// TestRedisAway: nodes before their Redis is there, and when it is killed under them.
func TestRedisAway(t *testing.T) { runNode(t, nil, "interop/away.test.mjs") }

// TestBrowser runs every test of the page in Chromium.
func TestBrowser(t *testing.T) {
	files, err := filepath.Glob("browser/*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no browser tests found (%v)", err)
	}
	if os.Getenv("ANTCHAT_TEST_CHROME") == "" {
		if chrome := findChrome(); chrome != "" {
			t.Setenv("ANTCHAT_TEST_CHROME", chrome)
		} else {
			t.Fatal("chromium is missing: install it (Debian: apt-get install chromium) or name it in ANTCHAT_TEST_CHROME")
		}
	}
	server := startServer(t, nil)
	runNode(t, map[string]string{
		"ANTCHAT_URL": server.url, "ANTCHAT_TEST_REDIS_URL": "redis://" + startRedis(t), "ANTCHAT_TEST_BCRYPT": adminHash(t),
	}, files...)
}

func findChrome() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
