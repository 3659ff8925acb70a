//go:build interop

package official

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRealPythonManagers lets the real managers of python-socketio write, one
// version after the other. ANTCHAT_TEST_PYTHONS is a folder with a virtual
// environment for each, named by the version: see server/e2e/interop/run.sh.
func TestRealPythonManagers(t *testing.T) {
	for _, version := range []string{"5.13.0", "5.14.0", "5.14.2", "5.15.1", "5.16.3"} {
		t.Run(version, func(t *testing.T) {
			w := newWorkers(t)
			python := filepath.Join(os.Getenv("ANTCHAT_TEST_PYTHONS"), version, "bin", "python")
			out, err := exec.Command(python, "testdata/capture.py", "redis://"+w.addr).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", python, err, out)
			}
			refused := map[string]int{}
			if version == pickled {
				refused["pickle"] = 19 // all, but what needs a server of its own
			}
			w.check(t, version, refused)
		})
	}
}
