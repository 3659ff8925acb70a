package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running server under test.
type server struct {
	cmd  *exec.Cmd
	port int
}

// startServer runs argv on the first core and waits for the line
// "listening <port>" on its output.
func startServer(ctx context.Context, dir string, argv ...string) (*server, error) {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", "0"}, argv...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_ENV=production")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err == nil {
		s.port, err = strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "listening ")))
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("%s did not say where it listens: %w", argv[0], err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the process
	return s, nil
}

// stop asks first, so that a profile gets written.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(3*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	_ = s.cmd.Wait()
}

// usage is what the process has used: CPU time (all threads), resident bytes.
type usage struct {
	user, system time.Duration
	rss          int64
}

func (u usage) cpu() time.Duration { return u.user + u.system }

// usage reads /proc (proc(5)). taskset replaces itself by the program, so the
// process id is the program's.
func (s *server) usage() (usage, error) {
	pid := s.cmd.Process.Pid
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	_, rest, ok := strings.Cut(string(stat), ") ") // the name before may hold anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 22 {
		return usage{}, errors.New("/proc/pid/stat has another form")
	}
	tick := time.Second / 100 // USER_HZ
	number := func(i int) int64 {
		n, perr := strconv.ParseInt(fields[i], 10, 64)
		if perr != nil {
			err = perr
		}
		return n
	}
	u := usage{
		user:   time.Duration(number(11)) * tick,
		system: time.Duration(number(12)) * tick,
		rss:    number(21) * int64(os.Getpagesize()),
	}
	return u, err
}
