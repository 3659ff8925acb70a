package child

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/antchat/antchat/server/e2e/loopback"
)

// Redis is a redis-server on a port of its own, which it keeps when it is started
// again.
type Redis struct {
	Process
	Addr string // host:port
}

// NewRedis is not started yet; see Begin. It runs in dir, whose files are the
// caller's to remove, and saves no snapshots; more arguments are settings, such as
// "--appendonly", "yes". The program is named in ANTCHAT_TEST_REDIS, or is
// redis-server.
func NewRedis(dir string, args ...string) (*Redis, error) {
	addr, err := loopback.Addr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	r := &Redis{Addr: addr}
	r.Name = "redis-server"
	r.Argv = append([]string{
		cmp.Or(os.Getenv("ANTCHAT_TEST_REDIS"), "redis-server"), "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "",
	}, args...)
	return r, nil
}

// URL is the address as a setting has it.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// Begin starts it and waits until it answers: it has loaded its file then. It may
// run after an error.
func (r *Redis) Begin(ctx context.Context, within time.Duration) error {
	if err := r.Start(); err != nil {
		return fmt.Errorf("%w (Debian: apt-get install redis-server)", err)
	}
	return r.Await(ctx, within, func() bool {
		_, err := r.Do("PING")
		return err == nil
	})
}

// Do sends one command and returns a flat answer as text. It is a connection
// each time, for a Redis that is often away; and blocks for 7 s at most.
func (r *Redis) Do(args ...string) (string, error) {
	conn, err := net.DialTimeout("tcp", r.Addr, 2*time.Second)
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
