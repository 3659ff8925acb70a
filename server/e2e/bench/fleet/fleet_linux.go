package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/server/e2e/loopback"
)

// fleet is the servers' processes: Redis first, then the nodes.
type fleet struct {
	processes []*exec.Cmd
	ports     []int
}

// startFleet starts a Redis that keeps a file of what it was told, as one
// would, and n nodes with the settings that they have by default. What it returns
// must be stopped, also after an error.
func startFleet(ctx context.Context, dir string, n int) (*fleet, error) {
	f := &fleet{}
	port, err := loopback.Port()
	if err != nil {
		return f, err
	}
	if err := f.start(ctx, dir, port, "redis", nil, "redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "",
		"--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--maxclients", "10000"); err != nil {
		return f, fmt.Errorf("redis-server (Debian: apt-get install redis-server): %w", err)
	}
	url := "redis://127.0.0.1:" + strconv.Itoa(port)
	client := f.redis()
	defer func() { _ = client.Close() }()
	if err := await(ctx, func() error { return client.Ping(ctx).Err() }); err != nil {
		return f, fmt.Errorf("redis-server: %w", err)
	}
	for i := range n {
		if port, err = loopback.Port(); err != nil {
			return f, err
		}
		if err := f.start(ctx, dir, port, "node-"+strconv.Itoa(i), []string{
			"ANTCHAT_HTTP_ADDR=127.0.0.1", "ANTCHAT_HTTP_PORT=" + strconv.Itoa(port), "ANTCHAT_REDIS_URL=" + url,
		}, filepath.Join(dir, "antchat")); err != nil {
			return f, err
		}
	}
	for i, port := range f.ports[1:] {
		if err := await(ctx, func() error {
			answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
			if err != nil {
				return err
			}
			if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s (%w)", answer.Status, err)
			}
			return nil
		}); err != nil {
			return f, fmt.Errorf("node %d: %w", i, err)
		}
	}
	return f, nil
}

// start runs argv in a directory of its own, with what it says in its log file.
func (f *fleet) start(ctx context.Context, dir string, port int, name string, env []string, argv ...string) error {
	own := filepath.Join(dir, name)
	if err := os.Mkdir(own, 0o700); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(own, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = own, log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "ANTCHAT_") && !strings.HasPrefix(kv, "PORT=") && !strings.HasPrefix(kv, "REDIS_URL=") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	if err := cmd.Start(); err != nil {
		return err
	}
	f.processes, f.ports = append(f.processes, cmd), append(f.ports, port)
	return nil
}

// await asks until there is no error, for up to a minute.
func await(ctx context.Context, ask func() error) error {
	for end := time.Now().Add(time.Minute); ; {
		err := ask()
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop ends the nodes, then Redis.
func (f *fleet) stop() {
	for i := len(f.processes) - 1; i >= 0; i-- {
		_ = f.processes[i].Process.Kill()
		_ = f.processes[i].Wait()
	}
}

func (f *fleet) targets() string {
	var all []string
	for _, port := range f.ports[1:] {
		all = append(all, fmt.Sprintf("http://127.0.0.1:%d", port))
	}
	return strings.Join(all, ",")
}

func (f *fleet) pids() string {
	var all []string
	for _, p := range f.processes {
		all = append(all, strconv.Itoa(p.Process.Pid))
	}
	return strings.Join(all, ",")
}

func (f *fleet) redis() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + strconv.Itoa(f.ports[0])})
}

// redisInfo is what Redis holds now.
func (f *fleet) redisInfo(ctx context.Context) (redisInfo, error) {
	client := f.redis()
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
