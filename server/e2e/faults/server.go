package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
	"github.com/antchat/antchat/server/e2e/loopback"
)

// deadline ends a wait that has failed. It is no measure of speed: the machine
// may be busy.
const deadline = 45 * time.Second

// logged is a child whose log is kept, that of all its lives.
type logged struct {
	child.Process
	log tail
}

// end ends it; see child.Process.
func (l *logged) end(s syscall.Signal) error { return l.End(s, deadline) }

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
		if child.Disaster(string(line)) && len(t.bad) < 20 {
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
	logged
	addr  string // host:port
	admin string // the operators' address; empty for none
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
	s.Name, s.Argv, s.Stdout, s.Stderr = name, []string{bin}, &s.log, &s.log
	// One member writes as fast as it can: that is not what is tested here.
	s.Env = append(child.Env(), "ANTCHAT_HTTP_ADDR="+host, "ANTCHAT_HTTP_PORT="+port, "ANTCHAT_FAIRNESS_MODE=off")
	for k, v := range settings {
		s.Env = append(s.Env, "ANTCHAT_"+k+"="+v)
	}
	return s, nil
}

func (s *server) ready(ctx context.Context) bool {
	return child.Answers(ctx, "http://"+s.addr+"/readyz")
}

// awaitReady waits until it answers that it is ready.
func (s *server) awaitReady(ctx context.Context) error {
	if err := s.Await(ctx, deadline, func() bool { return s.ready(ctx) }); err != nil {
		return fmt.Errorf("not ready: %w\n%s", err, &s.log)
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
