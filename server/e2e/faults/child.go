package main

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
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/antchat/antchat/server/e2e/loopback"
)

// deadline ends a wait that has failed. It is no measure of speed: the machine
// may be busy.
const deadline = 45 * time.Second

// child is a process that is started, hurt and started again, under one name
// and with one log.
type child struct {
	// Immutable.
	name string
	argv []string
	env  []string
	log  tail

	mu   sync.Mutex
	cmd  *exec.Cmd     // guarded by mu; nil when it does not run
	code int           // guarded by mu; of the last end, -1 for a signal's
	gone chan struct{} // guarded by mu; closed when cmd has ended
}

func (c *child) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil {
		return nil
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, &c.log, &c.log
	cmd.SysProcAttr = diesWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	gone := make(chan struct{})
	c.cmd, c.gone = cmd, gone
	go func() { // end waits for it
		_ = cmd.Wait()
		c.mu.Lock()
		if c.cmd == cmd {
			c.cmd, c.code = nil, cmd.ProcessState.ExitCode()
		}
		c.mu.Unlock()
		close(gone)
	}()
	return nil
}

func (c *child) running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cmd != nil
}

// exitCode is that of its last end.
func (c *child) exitCode() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.code
}

// signal is for signals that do not end it.
func (c *child) signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil {
		_ = c.cmd.Process.Signal(s)
	}
}

// end sends a signal that ends it and waits until it has; SIGKILL follows if
// it does not.
func (c *child) end(s syscall.Signal) error {
	c.mu.Lock()
	cmd, gone := c.cmd, c.gone
	c.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Signal(s)
	if s == syscall.SIGKILL {
		<-gone
		return nil
	}
	select {
	case <-gone:
		return nil
	case <-time.After(deadline):
		_ = cmd.Process.Kill()
		<-gone
		return fmt.Errorf("%s did not end on %v", c.name, s)
	}
}

// disaster is what no server may say, however it is treated.
var disaster = regexp.MustCompile(`DATA RACE|panic:|panicked|"panics":[1-9]|panics=[1-9]|fatal error:`)

// tail keeps the end of what a process says, and every line of disaster.
type tail struct {
	mu   sync.Mutex
	buf  bytes.Buffer // guarded by mu
	bad  []string     // guarded by mu
	seen map[string]int
	want []string
}

const tailBytes = 256 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range bytes.Lines(p) {
		if disaster.Match(line) && len(t.bad) < 20 {
			t.bad = append(t.bad, strings.TrimSpace(string(line)))
		}
		for _, w := range t.want {
			if bytes.Contains(line, []byte(w)) {
				t.seen[w]++
			}
		}
	}
	t.buf.Write(p)
	if over := t.buf.Len() - tailBytes; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

// count says how often a line with that text has come. The text must have been
// named in watch before.
func (t *tail) count(text string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen[text]
}

func (t *tail) watch(texts ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.want, t.seen = append(t.want, texts...), make(map[string]int)
}

func (t *tail) disasters() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.bad)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// server is one node.
type server struct {
	child
	addr  string // host:port
	admin string // the operators' address; empty for none
}

// cleanEnv is the environment without settings of the caller's own shell.
func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "ANTCHAT_") || strings.HasPrefix(kv, "PORT=") || strings.HasPrefix(kv, "REDIS_URL=")
	})
}

// newServer is not started yet. Settings are environment names without the
// prefix, such as DATA_DIR.
func newServer(name, bin string, settings map[string]string) (*server, error) {
	addr, err := loopback.Addr()
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(addr)
	s := &server{addr: addr}
	s.log.watch(jumped)
	s.name, s.argv = name, []string{bin}
	// One member writes as fast as it can: that is not what is tested here.
	s.env = append(cleanEnv(), "ANTCHAT_HTTP_ADDR="+host, "ANTCHAT_HTTP_PORT="+port, "ANTCHAT_FAIRNESS_MODE=off")
	for k, v := range settings {
		s.env = append(s.env, "ANTCHAT_"+k+"="+v)
	}
	return s, nil
}

// probe is for asking after readiness: a connection each time, or a paused
// server would look alive on an old one.
var probe = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (s *server) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := probe.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// awaitReady waits until it answers that it is ready.
func (s *server) awaitReady(ctx context.Context) error {
	err := await(ctx, deadline, func() bool { return s.ready(ctx) || !s.running() })
	switch {
	case !s.running():
		return fmt.Errorf("%s ended by itself:\n%s", s.name, &s.log)
	case err != nil:
		return fmt.Errorf("%s is not ready: %w\n%s", s.name, err, &s.log)
	}
	return nil
}

var errInVain = errors.New("waited in vain")

// await polls for a condition that no event announces.
func await(ctx context.Context, long time.Duration, ok func() bool) error {
	for end := time.Now().Add(long); !ok(); {
		if time.Now().After(end) {
			return errInVain
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// pause sleeps, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
