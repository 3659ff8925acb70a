//go:build interop

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRealPythonManagersStore lets the real managers of python-socketio say
// something to two nodes, twice each: it is stored once. ANTCHAT_TEST_PYTHONS is
// as in adapter/redis/official; see interop/run.sh.
func TestRealPythonManagersStore(t *testing.T) {
	redis := "redis://" + startRedis(t)
	settings := map[string]string{"REDIS_URL": redis, "OFFICIAL_EMITTERS": "true"}
	first, second := startServer(t, settings), startServer(t, settings)
	versions := []string{"5.13.0", "5.14.0", "5.14.2", "5.15.1", "5.16.3"} // the first pickles
	var want []string
	for _, version := range versions {
		python := filepath.Join(os.Getenv("ANTCHAT_TEST_PYTHONS"), version, "bin", "python")
		if out, err := exec.Command(python, "interop/python/manager.py", redis, "by "+version).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", python, err, out)
		}
		if version != versions[0] {
			want = append(want, `["python","by `+version+`"]`)
		}
		if len(want) == 0 {
			continue
		}
		for _, node := range []*process{first, second} {
			out, err := exec.Command(nodeBin(), "interop/lobby.mjs", node.url, string(rune('0'+len(want)))).CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != "["+strings.Join(want, ",")+"]" {
				t.Fatalf("%s: %v: %s", version, err, got)
			}
		}
	}
	for _, node := range []*process{first, second} {
		if !strings.Contains(node.log.String(), "refused pickle") {
			t.Errorf("the pickles were not told of:\n%s", node.log)
		}
	}
}
