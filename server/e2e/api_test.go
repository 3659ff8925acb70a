package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/antchat/antchat/server/e2e/child"
)

// apiKey makes a key as an operator does, and the setting with its hash.
func apiKey(t *testing.T) (key, setting string) {
	t.Helper()
	cmd := exec.Command(antchatBin, "apikey")
	cmd.Env = child.Env()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	key = regexp.MustCompile(`antchat_[\w-]{43}`).FindString(string(out))
	setting = regexp.MustCompile(`\[\{.*\}\]`).FindString(string(out))
	if key == "" || setting == "" {
		t.Fatalf("antchat apikey says %s", out)
	}
	return key, setting
}

// TestPythonExample runs docs/examples as a worker would, against the real server.
func TestPythonExample(t *testing.T) {
	key, setting := apiKey(t)
	server := startServer(t, map[string]string{"API_KEYS": setting})
	python := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("python3", args...)
		cmd.Env = append(os.Environ(), "CHAT_URL="+server.url, "CHAT_KEY="+key, "PYTHONDONTWRITEBYTECODE=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("python3 (make setup) %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, duplicate := range []bool{false, true} {
		var stored struct {
			Room      string
			Seq       int
			Duplicate bool
		}
		out := python("../../docs/examples/antchat_client.py", "a/b ü", "hello", "job-1")
		if err := json.Unmarshal([]byte(out), &stored); err != nil || stored.Room != "a/b ü" || stored.Seq != 1 || stored.Duplicate != duplicate {
			t.Errorf("%s (%v)", out, err)
		}
	}
	if out := python("interop/python/celery_task.py", "http://127.0.0.1:1"); out != "1 1" {
		t.Errorf("the task: %s", out)
	}
	if strings.Contains(server.log.String(), key) {
		t.Error("the key is in the log")
	}
}
