package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/antchat/antchat/server/e2e/loopback"
)

// What Redis logs when it closes a client whose output has piled up.
const overLimit = "overcoming of output buffer limits"

// store is a real redis-server with an append-only file.
type store struct {
	child
	addr  string
	dir   string
	fsync string
}

// newStore is not started yet. fsync is always or everysec.
func newStore(dir, fsync string) (*store, error) {
	addr, err := loopback.Addr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	s := &store{addr: addr, dir: dir, fsync: fsync}
	s.name = "redis"
	s.env = os.Environ()
	s.argv = []string{
		cmp.Or(os.Getenv("ANTCHAT_TEST_REDIS"), "redis-server"),
		"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", fsync, "--maxmemory-policy", "noeviction",
		"--auto-aof-rewrite-percentage", "0", "--aof-load-truncated", "yes",
	}
	s.log.watch(overLimit)
	return s, nil
}

// begin starts it and waits until it answers; its file is loaded then.
func (s *store) begin(ctx context.Context) error {
	if err := s.start(); err != nil {
		return err
	}
	err := await(ctx, deadline, func() bool {
		_, err := s.do("PING")
		return err == nil || !s.running()
	})
	if err != nil || !s.running() {
		return fmt.Errorf("redis does not answer: %w\n%s", cmp.Or(err, errors.New("it ended")), &s.log)
	}
	return nil
}

// crash is what a power cut leaves of a file that is synced every second: it
// kills Redis and takes back what was written within the last second and a
// half.
func (s *store) crash(ctx context.Context) (taken int64, err error) {
	file, err := s.appendFile()
	if err != nil {
		return 0, err
	}
	before, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, 1500*time.Millisecond); err != nil {
		return 0, err
	}
	if err := s.end(syscall.SIGKILL); err != nil {
		return 0, err
	}
	after, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return after.Size() - before.Size(), os.Truncate(file, before.Size())
}

func (s *store) appendFile() (string, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil {
		return "", fmt.Errorf("find the append-only file: %w", err)
	}
	if len(files) != 1 {
		return "", fmt.Errorf("expected one append-only file, found %d", len(files))
	}
	return files[0], nil
}

// do sends one command and returns a flat answer as text. It is a connection
// each time: Redis is often away here.
func (s *store) do(args ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", s.addr, 2*time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case line == "":
		return "", errors.New("redis: an empty answer")
	case line[0] == '-':
		return "", errors.New("redis: " + line[1:])
	case line[0] == '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return "", err
		}
		body := make([]byte, n)
		_, err = io.ReadFull(in, body)
		return string(body), err
	default:
		return line[1:], nil
	}
}
