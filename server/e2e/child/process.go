package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that is started, hurt, and perhaps started again. What is
// exported of it is set before it is first started. Safe for concurrent use.
type Process struct {
	Name string   // in errors
	Argv []string // the program, and its arguments
	Env  []string // nil is this program's own; see Env
	Dir  string   // "" is this program's own
	// Stdout and Stderr get what it says; nil drops it.
	Stdout, Stderr io.Writer

	mu   sync.Mutex
	cmd  *exec.Cmd     // guarded by mu; nil when it does not run
	code int           // guarded by mu; of the last end, -1 for a signal's
	gone chan struct{} // guarded by mu; closed when cmd has ended
}

// Start starts it, unless it runs. Whoever starts it ends it.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return nil
	}
	cmd := exec.Command(p.Argv[0], p.Argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.Env, p.Dir, p.Stdout, p.Stderr
	cmd.SysProcAttr = DiesWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	gone := make(chan struct{})
	p.cmd, p.gone = cmd, gone
	go func() { // End waits for it
		_ = cmd.Wait()
		p.mu.Lock()
		p.cmd, p.code = nil, cmd.ProcessState.ExitCode()
		p.mu.Unlock()
		close(gone)
	}()
	return nil
}

// StartLine starts it and waits for the first line of its standard output, whose
// end is cut off; the rest is dropped. After an error it has ended.
func (p *Process) StartLine(ctx context.Context, within time.Duration) (string, error) {
	said := &line{}
	p.Stdout = said
	if err := p.Start(); err != nil {
		return "", err
	}
	if err := p.Await(ctx, within, said.whole); err != nil {
		_ = p.End(syscall.SIGKILL, 0)
		return "", fmt.Errorf("the first line of %w", err)
	}
	return said.text(), nil
}

// Running says whether it has been started and has not ended.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}

// PID is its process id, 0 when it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// ExitCode is that of its last end, -1 for a signal's.
func (p *Process) ExitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.code
}

// Signal is for signals that do not end it, or that nobody waits for.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}

// End sends a signal that ends it and waits until it has. SIGKILL follows, and
// an error is returned, if it has not within that time.
func (p *Process) End(s syscall.Signal, within time.Duration) error {
	p.mu.Lock()
	cmd, gone := p.cmd, p.gone
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if s == syscall.SIGKILL {
		_ = cmd.Process.Kill()
		<-gone
		return nil
	}
	_ = cmd.Process.Signal(s)
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-gone:
		return nil
	case <-late.C:
		_ = cmd.Process.Kill()
		<-gone
		return fmt.Errorf("%s did not end on %v", p.Name, s)
	}
}

// Await is [Await] for what the process does: it is an error, too, if that ends.
func (p *Process) Await(ctx context.Context, within time.Duration, ok func() bool) error {
	done := false
	err := Await(ctx, within, func() bool {
		done = ok()
		return done || !p.Running()
	})
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", p.Name, err)
	case !done:
		return fmt.Errorf("%s: ended by itself, exit code %d", p.Name, p.ExitCode())
	}
	return nil
}

// ErrInVain is wrapped by the errors of waits that took too long.
var ErrInVain = errors.New("waited in vain")

// Await polls for what no event announces.
func Await(ctx context.Context, within time.Duration, ok func() bool) error {
	for end := time.Now().Add(within); !ok(); {
		if time.Now().After(end) {
			return ErrInVain
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// prober has a connection each time: a server that is paused would look alive on
// an old one.
var prober = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Answers says whether a GET is answered with 200 within a second.
func Answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := prober.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Env is the environment without settings of the caller's own shell.
func Env() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "ANTCHAT_") || strings.HasPrefix(kv, "PORT=") || strings.HasPrefix(kv, "REDIS_URL=")
	})
}

var disaster = regexp.MustCompile(`DATA RACE|panic:|panicked|"panics":[1-9]|panics=[1-9]|fatal error:`)

// Disaster says whether there is in it what no server may say, however it is
// treated.
func Disaster(said string) bool { return disaster.MatchString(said) }

// line keeps the first line of what is written, of at most maxLine bytes.
type line struct {
	mu  sync.Mutex
	buf []byte // guarded by mu
	end bool   // guarded by mu
}

const maxLine = 64 << 10

func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range b {
		if l.end = l.end || c == '\n' || len(l.buf) == maxLine; l.end {
			break
		}
		l.buf = append(l.buf, c)
	}
	return len(b), nil
}

func (l *line) whole() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

func (l *line) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSuffix(string(l.buf), "\r")
}
