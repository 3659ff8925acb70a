package check

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// root is the repository's, seen from this package.
const root = "../.."

// antchatBin is the real program, built once: it alone knows which settings
// there are.
var antchatBin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "antchat-check-")
	if err != nil {
		panic(err)
	}
	antchatBin = filepath.Join(dir, "antchat")
	cmd := exec.Command("go", "build", "-o", antchatBin, "./server")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// settings gives a container's environment to the program and returns what is
// then in force, as --print-config shows it: a misspelt variable ends it, a
// value out of bounds too.
func settings(t *testing.T, env ...string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), antchatBin, "--print-config")
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.WaitDelay = time.Minute
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", env, stderr.String())
	}
	all, section := map[string]string{}, ""
	for line := range strings.Lines(string(out)) {
		line, _, _ = strings.Cut(line, " #")
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case !ok:
		case !strings.HasPrefix(line, " "):
			section = name
		default:
			all[section+"."+name] = strings.Trim(strings.TrimSpace(value), "'")
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d settings: %s", len(all), out)
	}
	return all
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sorted is the keys of a map, in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// native says whether a program for linux on this architecture runs here.
func native(arch string) bool { return runtime.GOOS == "linux" && runtime.GOARCH == arch }
