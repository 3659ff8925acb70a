package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMachine: each part is told.
func TestMachine(t *testing.T) {
	text, err := Machine()
	if parts := strings.Split(text, ", "); err != nil || len(parts) < 4 || !strings.HasPrefix(parts[len(parts)-1], "Linux ") {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := field("/proc/meminfo", "no such thing"); err == nil {
		t.Error("a field that is not there")
	}
}

// TestRead: a process that works uses time, one that sleeps does not, and one
// that is gone is an error.
func TestRead(t *testing.T) {
	self, err := Read(os.Getpid())
	if err != nil || self.RSS < 1<<20 || self.Files < 1<<16 || self.Files > self.RSS || self.Name == "" {
		t.Fatalf("%+v, %v", self, err)
	}
	n := uint64(1)
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
		n *= 3
	}
	after, err := Read(os.Getpid())
	if err != nil || after.CPU <= self.CPU {
		t.Errorf("%v after %v of work, %v (%d)", after.CPU, self.CPU, err, n)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	u, err := Read(cmd.Process.Pid)
	if err != nil || u.CPU > time.Second {
		t.Errorf("%+v, %v", u, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if u, err := Read(cmd.Process.Pid); err == nil {
		t.Errorf("gone, and %+v", u)
	}
}
