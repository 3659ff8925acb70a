//go:build unix

package main

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// limited starts the program where it may open few files, and gives what it
// wrote to standard error until it served.
func limited(t *testing.T, files int, args ...string) (log string) {
	t.Helper()
	cmd := process(t, nil, append([]string{"--http.addr", "127.0.0.1", "--http.port", "0", "--data.dir", ""}, args...)...)
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append([]string{"sh", "-c", "ulimit -n " + strconv.Itoa(files) + ` && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = shell
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_ = cmd.Process.Kill() // it has served its purpose
	_ = cmd.Wait()
	if err != nil || !strings.Contains(line, "is ready") {
		t.Fatalf("%v: %q, %s", err, line, &stderr)
	}
	return stderr.String()
}

// The default follows what the system allows, and that is said; what the
// operator chose is not touched, and the operator warned.
func TestFileLimit(t *testing.T) {
	for _, tt := range []struct {
		files int
		args  []string
		level string
		says  []string
	}{
		{300, nil, "INFO", []string{`"open_files":300`, `"engine.max_sessions":236`}},
		{300, []string{"--engine.max_sessions", "100"}, "", nil},
		{300, []string{"--engine.max_sessions", "1000"}, "WARN", []string{`"open_files":300`, `"engine.max_sessions":1000`}},
	} {
		log := limited(t, tt.files, tt.args...)
		if tt.level == "" {
			if log != "" {
				t.Errorf("%v: %s", tt.args, log)
			}
			continue
		}
		for _, want := range append(tt.says, `"level":"`+tt.level+`"`) {
			if !strings.Contains(log, want) {
				t.Errorf("%v: no %s in %q", tt.args, want, log)
			}
		}
	}
}
