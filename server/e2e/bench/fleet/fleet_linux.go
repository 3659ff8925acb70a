package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/server/e2e/child"
	"github.com/antchat/antchat/server/e2e/loopback"
)

// fleet is the servers' processes.
type fleet struct {
	redis *child.Redis
	nodes []*node
}

// node is one of Antchat.
type node struct {
	child.Process
	url string
}

// within bounds each wait for a server.
const within = time.Minute

// startFleet starts a Redis that keeps a file of what it was told, as one
// would, and n nodes with the settings that they have by default. What it returns
// must be stopped, also after an error.
func startFleet(ctx context.Context, dir string, n int) (*fleet, error) {
	f := &fleet{}
	own := filepath.Join(dir, "redis")
	if err := os.Mkdir(own, 0o700); err != nil {
		return f, err
	}
	redis, err := child.NewRedis(own, "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--maxclients", "10000")
	if err != nil {
		return f, err
	}
	f.redis, redis.Stderr = redis, os.Stderr
	if err := redis.Begin(ctx, within); err != nil {
		return f, err
	}
	for i := range n {
		if err := f.start(dir, "node-"+strconv.Itoa(i)); err != nil {
			return f, err
		}
	}
	for _, n := range f.nodes {
		if err := n.Await(ctx, within, func() bool { return child.Answers(ctx, n.url+"/readyz") }); err != nil {
			return f, fmt.Errorf("not ready: %w", err)
		}
	}
	return f, nil
}

// start starts a node in a directory of its own, with what it says in its log file.
func (f *fleet) start(dir, name string) error {
	addr, err := loopback.Addr()
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	own := filepath.Join(dir, name)
	if err := os.Mkdir(own, 0o700); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(own, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the node has it, too
	n := &node{url: "http://" + addr}
	n.Name, n.Argv, n.Dir = name, []string{filepath.Join(dir, "antchat")}, own
	n.Stdout, n.Stderr = log, log
	n.Env = append(child.Env(), "ANTCHAT_HTTP_ADDR="+host, "ANTCHAT_HTTP_PORT="+port, "ANTCHAT_REDIS_URL="+f.redis.URL())
	if err := n.Start(); err != nil {
		return err
	}
	f.nodes = append(f.nodes, n)
	return nil
}

// stop ends the nodes, then Redis.
func (f *fleet) stop() {
	for _, n := range f.nodes {
		_ = n.End(syscall.SIGKILL, 0)
	}
	if f.redis != nil {
		_ = f.redis.End(syscall.SIGKILL, 0)
	}
}

func (f *fleet) targets() string {
	var all []string
	for _, n := range f.nodes {
		all = append(all, n.url)
	}
	return strings.Join(all, ",")
}

// pids are Redis's, and then the nodes'.
func (f *fleet) pids() string {
	all := []string{strconv.Itoa(f.redis.PID())}
	for _, n := range f.nodes {
		all = append(all, strconv.Itoa(n.PID()))
	}
	return strings.Join(all, ",")
}

// redisInfo is what Redis holds now.
func (f *fleet) redisInfo(ctx context.Context) (redisInfo, error) {
	client := goredis.NewClient(&goredis.Options{Addr: f.redis.Addr})
	defer func() { _ = client.Close() }()
	text, err := client.Info(ctx, "server", "memory", "keyspace", "stats").Result()
	if err != nil {
		return redisInfo{}, err
	}
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			values[k] = v
		}
	}
	r := redisInfo{Version: values["redis_version"]}
	var errs []error
	for key, to := range map[string]*int64{"used_memory_peak": &r.PeakMemory, "pubsub_channels": &r.Channels, "total_commands_processed": &r.Commands} {
		if values[key] == "" {
			continue // an older version does not tell it
		}
		n, err := strconv.ParseInt(values[key], 10, 64)
		errs = append(errs, err)
		*to = n
	}
	if r.Keys, err = client.DBSize(ctx).Result(); err != nil {
		errs = append(errs, err)
	}
	return r, errors.Join(errs...)
}
