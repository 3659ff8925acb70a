package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/antchat/antchat/deploy/load/process"
)

// server is a running server under test.
type server struct {
	cmd  *exec.Cmd
	port int
	dir  string // of its own, which goes with it; "" is none
}

// fleet is what is measured: servers, and the Redis that they share.
type fleet struct {
	nodes []*server
	redis *server // nil without one
}

// file is what a Redis writes to its disk.
type file string

// The values of appendfsync, and two of our own.
const (
	noRedis  file = ""       // and no Redis at all
	inMemory file = "memory" // and nothing is written
	everysec file = "everysec"
	always   file = "always"
)

// startFleet starts n servers, with a Redis between them if asked for. {node} in
// argv becomes the server's number; flag is the argument with the Redis's address.
func startFleet(ctx context.Context, dir string, n int, redis file, flag string, argv []string) (*fleet, error) {
	f := &fleet{}
	if redis != noRedis {
		s, err := startRedis(ctx, redis)
		if err != nil {
			return nil, err
		}
		f.redis = s
		argv = append(slices.Clip(argv), fmt.Sprintf("%s=redis://127.0.0.1:%d", flag, s.port))
	}
	for i := range n {
		own := slices.Clone(argv)
		for at := range own {
			own[at] = strings.ReplaceAll(own[at], "{node}", strconv.Itoa(i))
		}
		s, err := startServer(ctx, dir, own...)
		if err != nil {
			f.stop()
			return nil, err
		}
		f.nodes = append(f.nodes, s)
	}
	return f, nil
}

func (f *fleet) stop() {
	stop(f.nodes...)
	if f.redis != nil {
		stop(f.redis)
	}
}

// cpu is what the nodes together have used, and what Redis has.
func (f *fleet) cpu() (nodes process.Usage, redis time.Duration, err error) {
	for _, s := range f.nodes {
		u, err := s.usage()
		if err != nil {
			return process.Usage{}, 0, err
		}
		nodes.User += u.User
		nodes.CPU += u.CPU
	}
	if f.redis != nil {
		u, err := f.redis.usage()
		return nodes, u.CPU, err
	}
	return nodes, 0, nil
}

// startRedis runs a redis-server on a free port, beside the load, with an
// append-only file in a directory of its own, or none.
func startRedis(ctx context.Context, keeps file) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "antchat-bench-redis-")
	if err != nil {
		return nil, err
	}
	argv := []string{"-c", "1", "redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--maxmemory", "4gb", "--maxmemory-policy", "noeviction"}
	if keeps == inMemory {
		argv = append(argv, "--appendonly", "no")
	} else {
		argv = append(argv, "--appendonly", "yes", "--appendfsync", string(keeps))
	}
	cmd := exec.CommandContext(ctx, "taskset", argv...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	s := &server{cmd: cmd, port: port, dir: dir}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("redis-server (Debian: apt-get install redis-server): %w", err), os.RemoveAll(dir))
	}
	for range 500 {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return s, c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop(s)
	return nil, errors.New("redis-server does not answer")
}

// startServer runs argv on the first core and waits for a first line on its
// output, whose last number is its port.
func startServer(ctx context.Context, dir string, argv ...string) (*server, error) {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", "0"}, argv...)...)
	cmd.Dir = dir
	// The load is one user more often than not: what is measured is the server.
	cmd.Env = append(os.Environ(), "NODE_ENV=production", "ANTCHAT_FAIRNESS_MODE=off")
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
		isDigit := func(r rune) bool { return r >= '0' && r <= '9' }
		line = line[:strings.LastIndexFunc(line, isDigit)+1]
		s.port, err = strconv.Atoi(line[strings.LastIndexFunc(line, func(r rune) bool { return !isDigit(r) })+1:])
	}
	if err != nil {
		stop(s)
		return nil, fmt.Errorf("%s did not say where it listens: %w", argv[0], err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the process
	return s, nil
}

// stop asks all of them first, so that a profile gets written.
func stop(all ...*server) {
	for _, s := range all {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
	}
	late := time.AfterFunc(3*time.Second, func() {
		for _, s := range all {
			_ = s.cmd.Process.Kill() // which says so if it has been waited for
		}
	})
	defer late.Stop()
	for _, s := range all {
		_ = s.cmd.Wait()
		if s.dir != "" {
			_ = os.RemoveAll(s.dir)
		}
	}
}

// usage is what the server has used. taskset replaces itself by the program, so
// the process id is the program's.
func (s *server) usage() (process.Usage, error) { return process.Read(s.cmd.Process.Pid) }

// files is how many files the server has open.
func (s *server) files() (int, error) {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	return len(all), err
}
