package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
)

// What Redis logs when it closes a client whose output has piled up.
const overLimit = "overcoming of output buffer limits"

// store is a real redis-server with an append-only file.
type store struct {
	*child.Redis
	dir string
	log tail
}

// newStore is not started yet. fsync is always or everysec.
func newStore(dir, fsync string) (*store, error) {
	r, err := child.NewRedis(dir, "--appendonly", "yes", "--appendfsync", fsync, "--maxmemory-policy", "noeviction",
		"--auto-aof-rewrite-percentage", "0", "--aof-load-truncated", "yes")
	if err != nil {
		return nil, err
	}
	s := &store{Redis: r, dir: dir}
	s.Name, s.Stdout, s.Stderr = "redis", &s.log, &s.log
	s.log.watch(overLimit)
	return s, nil
}

// begin starts it and waits until it answers; its file is loaded then.
func (s *store) begin(ctx context.Context) error {
	if err := s.Begin(ctx, deadline); err != nil {
		return fmt.Errorf("%w\n%s", err, &s.log)
	}
	return nil
}

// end ends it; see child.Process.
func (s *store) end(signal syscall.Signal) error { return s.End(signal, deadline) }

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
