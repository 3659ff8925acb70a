package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter/redis"
	"github.com/antchat/antchat/server/e2e/child"
)

// store is a redis-server.
type store struct {
	*child.Redis
	dir    string
	client *goredis.Client
}

// startStore runs redis-server; fsync is no file at all when "".
func startStore(ctx context.Context, fsync string) (*store, error) {
	dir, err := os.MkdirTemp("", "antchat-redisneeds-")
	if err != nil {
		return nil, err
	}
	args := []string{"--maxmemory-policy", "noeviction"}
	if fsync != "" {
		args = append(args, "--appendonly", "yes", "--appendfsync", fsync)
	}
	r, err := child.NewRedis(dir, args...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	r.Stderr = os.Stderr
	s := &store{Redis: r, dir: dir, client: goredis.NewClient(&goredis.Options{Addr: r.Addr})}
	if err := s.Begin(ctx, 10*time.Second); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *store) stop() {
	_ = s.client.Close()
	_ = s.End(syscall.SIGKILL, 0)
	_ = os.RemoveAll(s.dir)
}

// info reads figures of INFO: the number after name, and after each '=' in it.
func (s *store) info(ctx context.Context, name string) (float64, error) {
	text, err := s.client.Info(ctx, "everything").Result()
	if err != nil {
		return 0, err
	}
	name, part, _ := strings.Cut(name, ".")
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":")
		if !ok {
			continue
		}
		if part != "" {
			_, value, _ = strings.Cut(value, part+"=")
			value, _, _ = strings.Cut(value, ",")
		}
		return strconv.ParseFloat(value, 64)
	}
	return 0, nil // INFO leaves out what is zero
}

// infos reads several figures at one moment, or nearly.
func (s *store) infos(ctx context.Context, names ...string) (map[string]float64, error) {
	out := make(map[string]float64, len(names))
	for _, name := range names {
		v, err := s.info(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("INFO %s: %w", name, err)
		}
		out[name] = v
	}
	return out, nil
}

// node opens an adapter and waits until it is ready.
func (s *store) node(ctx context.Context, o redis.Options) (*redis.Adapter, error) {
	o.URL = s.URL()
	a, err := redis.Open(o)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); !a.Status().Ready; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return nil, errors.Join(errors.New(a.Status().Reason), a.Close(ctx))
		}
	}
	return a, nil
}
