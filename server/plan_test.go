package main

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// TestPlan: the program's own command, whatever its environment holds.
func TestPlan(t *testing.T) {
	out, err := process(t, []string{"ANTCHAT_NOT_A_SETTING=1"}, "plan", "--users", "100000", "--rooms", "10000", "--rate", "1000").Output()
	if err != nil || !strings.Contains(string(out), "100,000 users in 10,000 rooms") {
		t.Errorf("%v: %s", err, out)
	}
	cmd := process(t, nil, "plan", "--users", "none")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err = cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitSettings || len(out) > 0 || strings.Count(complaint.String(), "\n") != 1 || !strings.Contains(complaint.String(), "users") {
		t.Errorf("%v: %q, %q", err, out, &complaint)
	}
}
