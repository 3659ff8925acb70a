package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
	"github.com/antchat/antchat/server/e2e/loopback"
)

// sentinel is a Sentinel with two stores: who of them is the primary changes
// with a failover.
type sentinel struct {
	logged
	addr   string
	stores [2]*store
}

const primaryName = "main"

// newSentinel starts a primary, its replica, and a Sentinel that watches them.
func newSentinel(ctx context.Context, dir, fsync string) (_ *sentinel, err error) {
	s := &sentinel{}
	for i := range s.stores {
		own := filepath.Join(dir, fmt.Sprintf("redis%d", i+1))
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, err
		}
		if s.stores[i], err = newStore(own, fsync); err != nil {
			return nil, err
		}
		s.stores[i].Name = filepath.Base(own)
		// A promoted replica has nobody until its predecessor is back.
		s.stores[i].Argv = append(s.stores[i].Argv, "--repl-diskless-sync-delay", "0")
	}
	if s.addr, err = loopback.Addr(); err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(s.stores[0].Addr)
	_, own, _ := net.SplitHostPort(s.addr)
	conf := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor %s %s %s 1\nsentinel down-after-milliseconds %s 1000\nsentinel failover-timeout %s 5000\n",
		own, dir, primaryName, host, port, primaryName, primaryName)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s.Name, s.Stdout, s.Stderr = "sentinel", &s.log, &s.log
	s.Argv = []string{s.stores[0].Argv[0], conf, "--sentinel"}
	for _, x := range s.stores {
		if err := x.begin(ctx); err != nil {
			return s, err
		}
	}
	if _, err := s.stores[1].Do("REPLICAOF", host, port); err != nil {
		return s, err
	}
	if err := s.Start(); err != nil {
		return s, err
	}
	return s, s.awaitPair(ctx)
}

// awaitPair waits until one is the primary, the other its replica, and the
// Sentinel knows both.
func (s *sentinel) awaitPair(ctx context.Context) error {
	err := child.Await(ctx, 2*deadline, func() bool {
		primaries, linked := 0, false
		for _, x := range s.stores {
			info, err := x.Do("INFO", "replication")
			if err != nil {
				return false
			}
			if strings.Contains(info, "role:master") {
				primaries++
				linked = strings.Contains(info, "state=online")
			}
		}
		known := child.Redis{Addr: s.addr}
		info, err := known.Do("INFO", "sentinel")
		return err == nil && primaries == 1 && linked && strings.Contains(info, "slaves=1")
	})
	if err != nil {
		return fmt.Errorf("the two stores are no pair: %w", err)
	}
	return nil
}

// primary is the store that takes writes.
func (s *sentinel) primary() *store {
	for _, x := range s.stores {
		if info, err := x.Do("INFO", "replication"); err == nil && strings.Contains(info, "role:master") {
			return x
		}
	}
	return nil
}

func (s *sentinel) url() string { return "redis+sentinel://" + s.addr + "/" + primaryName }

func (s *sentinel) stop() error {
	errs := []error{s.end(syscall.SIGTERM)}
	for _, x := range s.stores {
		if x != nil {
			x.Signal(sigCont)
			errs = append(errs, x.end(syscall.SIGTERM))
		}
	}
	return errors.Join(errs...)
}

// failOver kills the primary. With lag, its replica is stopped for the last
// second before: what was acknowledged meanwhile it has not got.
func failOver(lag bool) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		old := w.pair.primary()
		if old == nil {
			return errors.New("no store is the primary")
		}
		next := w.pair.stores[0]
		if next == old {
			next = w.pair.stores[1]
		}
		if lag {
			next.Signal(sigStop)
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
		}
		if err := old.end(syscall.SIGKILL); err != nil {
			return err
		}
		if lag {
			// What is on its way in the kernel must not arrive.
			if err := next.end(syscall.SIGKILL); err != nil {
				return err
			}
			if err := next.begin(ctx); err != nil {
				return err
			}
		}
		w.note("%s was killed", old.Name)
		if lag {
			if _, err := next.Do("REPLICAOF", "NO", "ONE"); err != nil {
				return err
			}
		}
		if err := child.Await(ctx, deadline, func() bool { return w.pair.primary() == next }); err != nil {
			return fmt.Errorf("nobody was promoted: %w", err)
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
		if err := old.begin(ctx); err != nil {
			return err
		}
		host, port, _ := net.SplitHostPort(next.Addr)
		if _, err := old.Do("REPLICAOF", host, port); err != nil {
			return err
		}
		w.healed()
		return w.pair.awaitPair(ctx)
	}
}
