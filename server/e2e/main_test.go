package e2e

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// The programs under test, built once by TestMain.
var (
	antchatBin     string
	conformanceBin string
	roundRobinBin  string
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "antchat-e2e-bin-")
	if err != nil {
		fatal(err)
	}
	if err := toolsThere(); err != nil {
		fatal(err)
	}
	antchatBin, conformanceBin = filepath.Join(dir, "antchat"), filepath.Join(dir, "conformance")
	roundRobinBin = filepath.Join(dir, "roundrobin")
	for bin, pkg := range map[string]string{antchatBin: "..", conformanceBin: "./conformance", roundRobinBin: "./roundrobin"} {
		if err := build(bin, pkg); err != nil {
			fatal(err)
		}
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			code = 1
		}
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	os.Exit(1)
}

// toolsThere says in one line what is missing, before the first test.
func toolsThere() error {
	if _, err := exec.LookPath(nodeBin()); err != nil {
		return fmt.Errorf("node is missing: install Node.js 20 or later (Debian: apt-get install nodejs npm) or name it in ANTCHAT_TEST_NODE")
	}
	if _, err := os.Stat("node_modules/sio4/package.json"); err != nil {
		return fmt.Errorf("the npm packages are missing: run npm ci in server/e2e")
	}
	return nil
}

func build(bin, pkg string) error {
	args := []string{"build", "-o", bin}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, pkg)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// nodeBin is the Node to use.
func nodeBin() string { return cmp.Or(os.Getenv("ANTCHAT_TEST_NODE"), "node") }
