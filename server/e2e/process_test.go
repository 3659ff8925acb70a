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
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/antchat/antchat/server/e2e/loopback"
)

// deadline ends a wait that has failed. It is no measure of speed: the machine
// may be busy.
const onLinux = runtime.GOOS == "linux"

const deadline = 30 * time.Second

// process is the real server, with a port and a data directory of its own that
// outlive its restarts.
type process struct {
	t    *testing.T
	bin  string
	env  []string
	addr string // host:port
	url  string
	log  *logBuffer
	cmd  *exec.Cmd
	gone chan error
}

// startServer starts the server with settings (environment names without the
// prefix, such as DATA_DIR) and waits until it is ready. It ends with the test.
func startServer(t *testing.T, settings map[string]string) *process {
	t.Helper()
	p := newProcess(t, antchatBin)
	host, port, _ := net.SplitHostPort(p.addr)
	p.env = append(cleanEnv(), "ANTCHAT_HTTP_ADDR="+host, "ANTCHAT_HTTP_PORT="+port, "ANTCHAT_DATA_DIR="+t.TempDir())
	for k, v := range settings {
		p.env = append(p.env, "ANTCHAT_"+k+"="+v)
	}
	p.start("/readyz")
	return p
}

// startConformance starts the conformance server with the heartbeats of real
// life: those of the published suites are too short for a busy machine.
func startConformance(t *testing.T, args ...string) *process {
	t.Helper()
	p := newProcess(t, conformanceBin)
	p.env = cleanEnv()
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
	t.Cleanup(func() {
		p.kill()
		if said := p.log.String(); disaster.MatchString(said) {
			t.Errorf("the server said:\n%s", said)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return p
}

// cleanEnv is the environment without settings of the caller's own shell.
func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "ANTCHAT_") || strings.HasPrefix(kv, "PORT=") || strings.HasPrefix(kv, "REDIS_URL=")
	})
}

// disaster is what no server may say, however it is treated.
var disaster = regexp.MustCompile(`DATA RACE|panic:|panicked|"panics":[1-9]|panics=[1-9]|fatal error:`)

func (p *process) start(ready string, args ...string) {
	p.t.Helper()
	p.cmd = exec.Command(p.bin, args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, gone := p.cmd, make(chan error, 1)
	p.gone = gone
	go func() { gone <- cmd.Wait() }() // kill waits for it
	waitFor(p.t, "the server to be ready", func() bool {
		select {
		case err := <-gone:
			gone <- err
			p.t.Fatalf("the server ended: %v\n%s", err, p.log)
		default:
		}
		resp, err := http.Get(p.url + ready)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// restart starts it again after stop or kill, with the same port and data.
func (p *process) restart() { p.t.Helper(); p.start("/readyz") }

// kill is kill -9: nothing gets the chance to be saved.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	if err := <-p.gone; err == nil {
		p.t.Log("the server had ended by itself")
	}
	p.cmd = nil
}

// stop asks it to end and waits for a clean end.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.gone:
		p.cmd = nil
		if err != nil {
			p.t.Errorf("the server did not end cleanly: %v\n%s", err, p.log)
		}
	case <-time.After(deadline):
		p.t.Errorf("the server did not end on SIGTERM\n%s", p.log)
	}
}

// rss is the server's resident memory in bytes.
func (p *process) rss() int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
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
