package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/antchat/antchat/deploy/load/process"
	"github.com/antchat/antchat/server/e2e/child"
)

// server is a running server under test.
type server struct {
	*child.Process
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

// startRedis runs a redis-server beside the load, with an append-only file in a
// directory of its own, or none.
func startRedis(ctx context.Context, keeps file) (*server, error) {
	dir, err := os.MkdirTemp("", "antchat-bench-redis-")
	if err != nil {
		return nil, err
	}
	args := []string{"--maxmemory", "4gb", "--maxmemory-policy", "noeviction"}
	if keeps == inMemory {
		args = append(args, "--appendonly", "no")
	} else {
		args = append(args, "--appendonly", "yes", "--appendfsync", string(keeps))
	}
	r, err := child.NewRedis(dir, args...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	r.Argv = append([]string{"taskset", "-c", "1"}, r.Argv...)
	r.Stderr = os.Stderr
	s := &server{Process: &r.Process, dir: dir}
	err = r.Begin(ctx, startsWithin)
	if err == nil {
		s.port, err = portOf(r.Addr)
	}
	if err != nil {
		stop(s)
		return nil, err
	}
	s.endWith(ctx)
	return s, nil
}

// startsWithin bounds the wait for a server.
const startsWithin = time.Minute

// startServer runs argv on the first core and waits for a first line on its
// output, whose last number is its port.
func startServer(ctx context.Context, dir string, argv ...string) (*server, error) {
	s := &server{Process: &child.Process{
		Name: argv[0], Argv: append([]string{"taskset", "-c", "0"}, argv...), Dir: dir, Stderr: os.Stderr,
		// The load is one user more often than not: what is measured is the server.
		Env: append(os.Environ(), "NODE_ENV=production", "ANTCHAT_FAIRNESS_MODE=off"),
	}}
	line, err := s.StartLine(ctx, startsWithin)
	if err != nil {
		return nil, err
	}
	if s.port, err = portOf(line); err != nil {
		stop(s)
		return nil, fmt.Errorf("%s did not say where it listens: %w", argv[0], err)
	}
	s.endWith(ctx)
	return s, nil
}

// portOf is the last number of a text.
func portOf(text string) (int, error) {
	isDigit := func(r rune) bool { return r >= '0' && r <= '9' }
	text = text[:strings.LastIndexFunc(text, isDigit)+1]
	return strconv.Atoi(text[strings.LastIndexFunc(text, func(r rune) bool { return !isDigit(r) })+1:])
}

// endWith has the server end with ctx, so that no client waits for it.
func (s *server) endWith(ctx context.Context) {
	context.AfterFunc(ctx, func() { s.Signal(syscall.SIGKILL) })
}

// stop asks all of them at once and gives them the time to write a profile.
func stop(all ...*server) {
	var ending sync.WaitGroup
	for _, s := range all {
		ending.Go(func() {
			_ = s.End(syscall.SIGTERM, 3*time.Second) // which says so if it had to be killed
			if s.dir != "" {
				_ = os.RemoveAll(s.dir)
			}
		})
	}
	ending.Wait()
}

// usage is what the server has used. taskset replaces itself by the program, so
// the process id is the program's.
func (s *server) usage() (process.Usage, error) { return process.Read(s.PID()) }

// files is how many files the server has open.
func (s *server) files() (int, error) {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	return len(all), err
}
