package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
	"github.com/antchat/antchat/server/e2e/loopback"
)

const onLinux = runtime.GOOS == "linux"

// deadline ends a wait that has failed. It is no measure of speed: the machine
// may be busy.
const deadline = 30 * time.Second

// process is the real server, with a port and a data directory of its own that
// outlive its restarts.
type process struct {
	child.Process
	t    *testing.T
	bin  string
	addr string // host:port
	url  string
	log  *logBuffer
}

// startServer starts the server with settings (environment names without the
// prefix, such as DATA_DIR) and waits until it is ready. It ends with the test.
func startServer(t *testing.T, settings map[string]string) *process {
	t.Helper()
	p := newProcess(t, antchatBin)
	host, port, _ := net.SplitHostPort(p.addr)
	p.Env = append(child.Env(), "ANTCHAT_HTTP_ADDR="+host, "ANTCHAT_HTTP_PORT="+port, "ANTCHAT_DATA_DIR="+t.TempDir())
	for k, v := range settings {
		p.Env = append(p.Env, "ANTCHAT_"+k+"="+v)
	}
	p.start("/readyz")
	return p
}

// startConformance starts the conformance server with the heartbeats of real
// life: those of the published suites are too short for a busy machine.
func startConformance(t *testing.T, args ...string) *process {
	t.Helper()
	p := newProcess(t, conformanceBin)
	p.Env = child.Env()
	p.start("/healthz", append([]string{"-addr", p.addr, "-ping-interval", "25s", "-ping-timeout", "20s"}, args...)...)
	return p
}

func newProcess(t *testing.T, bin string) *process {
	t.Helper()
	// A port that is free now: the server must come back to the same one, so it
	// cannot choose by itself.
	addr, err := loopback.Addr()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, bin: bin, addr: addr, log: &logBuffer{}}
	p.url = "http://" + p.addr
	p.Name, p.Stdout, p.Stderr = "the server", p.log, p.log
	t.Cleanup(func() {
		p.kill()
		if said := p.log.String(); child.Disaster(said) {
			t.Errorf("the server said:\n%s", said)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return p
}

func (p *process) start(ready string, args ...string) {
	p.t.Helper()
	p.Argv = append([]string{p.bin}, args...)
	err := p.Start()
	if err == nil {
		err = p.Await(p.t.Context(), deadline, func() bool { return child.Answers(p.t.Context(), p.url+ready) })
	}
	if err != nil {
		p.t.Fatalf("%v\n%s", err, p.log)
	}
}

// restart starts it again after stop or kill, with the same port and data.
func (p *process) restart() { p.t.Helper(); p.start("/readyz") }

// kill is kill -9: nothing gets the chance to be saved.
func (p *process) kill() { _ = p.End(syscall.SIGKILL, 0) }

// stop asks it to end and waits for a clean end.
func (p *process) stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	p.ends(deadline)
}

// ends waits for a clean end, which it has been asked for.
func (p *process) ends(within time.Duration) {
	p.t.Helper()
	for late := time.Now().Add(within); p.Running(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			p.t.Errorf("it did not end within %v\n%s", within, p.log)
			return
		}
	}
	if code := p.ExitCode(); code != 0 {
		p.t.Errorf("the server did not end cleanly: exit code %d\n%s", code, p.log)
	}
}

// rss is the server's resident memory in bytes.
func (p *process) rss() int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if errors.Is(err, os.ErrNotExist) && !onLinux {
		return 0
	}
	var size, resident int64
	if _, serr := fmt.Sscan(string(b), &size, &resident); err != nil || serr != nil {
		p.t.Fatal(errors.Join(err, serr))
	}
	return resident * int64(os.Getpagesize())
}

// waitFor polls for a condition that no event announces.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", deadline, what)
		}
	}
}

// runNode runs node:test files and fails with what they said.
func runNode(t *testing.T, env map[string]string, files ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, nodeBin(), append([]string{"--test", "--test-reporter=spec"}, files...)...)
	cmd.Env = append(os.Environ(), "ANTCHAT_BIN="+antchatBin, "ANTCHAT_ROUNDROBIN_BIN="+roundRobinBin)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.WaitDelay = deadline
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node --test: %v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("tests 0\n")) {
		t.Fatalf("no test ran:\n%s", out)
	}
}

// logBuffer collects what a process says.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
