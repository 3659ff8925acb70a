package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleEnv makes the test's own program one of the children.
const roleEnv = "CHILD_ROLE"

// long ends a wait that has failed.
const long = 30 * time.Second

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		fallthrough
	case "speaker":
		fmt.Println("listening on here")
		fmt.Println("and more")
		time.Sleep(long)
	case "quitter":
		os.Exit(3)
	default:
		goleak.VerifyTestMain(m)
	}
}

func start(t *testing.T, role string) *Process {
	t.Helper()
	p := &Process{Name: role, Argv: []string{os.Args[0]}, Env: append(os.Environ(), roleEnv+"="+role)}
	t.Cleanup(func() { _ = p.End(syscall.SIGKILL, 0) })
	return p
}

// TestProcess: a child says its line, is ended, and is started again.
func TestProcess(t *testing.T) {
	p := start(t, "speaker")
	if p.Running() || p.PID() != 0 {
		t.Fatal("it runs")
	}
	for range 2 {
		if text, err := p.StartLine(t.Context(), long); err != nil || text != "listening on here" {
			t.Fatalf("%q, %v", text, err)
		}
		pid := p.PID()
		if err := p.Start(); err != nil || p.PID() != pid || !p.Running() {
			t.Errorf("started twice: %v", err)
		}
		for range 2 { // an end that has been is none
			if err := p.End(syscall.SIGTERM, long); err != nil || p.Running() || p.ExitCode() != -1 {
				t.Errorf("%v, exit code %d", err, p.ExitCode())
			}
		}
	}
}

// TestProcessEndsByItself: whoever waits for it is told, with the exit code.
func TestProcessEndsByItself(t *testing.T) {
	p := start(t, "quitter")
	if _, err := p.StartLine(t.Context(), long); err == nil || !strings.Contains(err.Error(), "exit code 3") || p.ExitCode() != 3 {
		t.Errorf("%v, exit code %d", err, p.ExitCode())
	}
}

// TestProcessIsDeaf: what does not end is killed, and that is an error.
func TestProcessIsDeaf(t *testing.T) {
	p := start(t, "deaf")
	if _, err := p.StartLine(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	if err := p.End(syscall.SIGTERM, 50*time.Millisecond); err == nil || p.Running() {
		t.Errorf("%v", err)
	}
}

// TestAwait: a wait ends at its limit, and with its context.
func TestAwait(t *testing.T) {
	p := start(t, "speaker")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	never := func() bool { return false }
	if err := p.Await(t.Context(), time.Millisecond, never); !errors.Is(err, ErrInVain) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Await(ctx, long, never); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestStartFails(t *testing.T) {
	p := &Process{Name: "nothing", Argv: []string{t.TempDir() + "/nothing"}}
	if err := p.Start(); err == nil || p.Running() || p.End(syscall.SIGTERM, long) != nil {
		t.Error(err)
	}
}

func TestEnv(t *testing.T) {
	for _, name := range []string{"ANTCHAT_DATA_DIR", "PORT", "REDIS_URL"} {
		t.Setenv(name, "of the shell")
	}
	t.Setenv("PORTER", "kept")
	all := strings.Join(Env(), "\n")
	if strings.Contains(all, "of the shell") || !strings.Contains(all, "PORTER=kept") {
		t.Error(all)
	}
}

func TestDisaster(t *testing.T) {
	for said, want := range map[string]bool{
		"all is well": false, `{"panics":0}`: false, `{"panics":2}`: true, "WARNING: DATA RACE": true, "x\npanic: y": true,
	} {
		if Disaster(said) != want {
			t.Error(said)
		}
	}
}
