// Command polls measures what polling without sticky sessions costs: the same
// polling clients, first with each request at its session's node, then with each
// request at the next of three nodes. A round trip is an event by POST and its
// acknowledgement by the next GET. CPU is that of the nodes and of Redis. It needs
// redis-server and Linux.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
	"github.com/antchat/antchat/server/e2e/loopback"
)

func main() {
	clients := flag.Int("clients", 50, "polling clients")
	length := flag.Duration("time", 5*time.Second, "how long each way is measured")
	flag.Parse()
	if err := run(*clients, *length); err != nil {
		fmt.Fprintln(os.Stderr, "polls:", err)
		os.Exit(1)
	}
}

func run(clients int, length time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "antchat-polls-")
	if err != nil {
		return err
	}
	var started []*child.Process // nodes and Redis
	defer func() {
		for _, p := range started {
			_ = p.End(syscall.SIGKILL, 0)
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	antchat, proxy := filepath.Join(dir, "antchat"), filepath.Join(dir, "roundrobin")
	for bin, pkg := range map[string]string{antchat: "./server", proxy: "./server/e2e/roundrobin"} {
		if out, err := exec.Command("go", "build", "-o", bin, pkg).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	ctx := context.Background()
	redis, err := child.NewRedis(dir)
	if err != nil {
		return err
	}
	started = append(started, &redis.Process)
	if err := redis.Begin(ctx, within); err != nil {
		return err
	}
	var addrs []string
	for range 3 {
		addr, err := loopback.Addr()
		if err != nil {
			return err
		}
		host, port, _ := net.SplitHostPort(addr)
		node := &child.Process{
			Name: "node", Argv: []string{antchat},
			Env: append(child.Env(), "ANTCHAT_HTTP_ADDR="+host, "ANTCHAT_HTTP_PORT="+port, "ANTCHAT_REDIS_URL="+redis.URL()),
		}
		started = append(started, node)
		if err := node.Start(); err != nil {
			return err
		}
		if err := node.Await(ctx, within, func() bool { return child.Answers(ctx, "http://"+addr+"/readyz") }); err != nil {
			return fmt.Errorf("not ready: %w", err)
		}
		addrs = append(addrs, addr)
	}
	for _, way := range []string{"sticky", "round robin"} {
		args := []string{proxy, "-nodes", strings.Join(addrs, ",")}
		if way == "sticky" {
			args = append(args, "-sticky")
		}
		p := &child.Process{Name: "proxy", Argv: args, Stderr: os.Stderr}
		line, err := p.StartLine(ctx, within)
		if err != nil {
			return err
		}
		err = measure(way, "http://"+strings.TrimPrefix(line, "listening on "), clients, length, started)
		_ = p.End(syscall.SIGKILL, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
	}
	return nil
}

// within bounds each wait for a server.
const within = 30 * time.Second

// measure has clients make round trips, one after the other each.
func measure(way, url string, clients int, length time.Duration, counted []*child.Process) error {
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 2 * clients
	sessions := make([]string, clients)
	for i := range sessions {
		open, err := request(url, "", "")
		if err != nil {
			return err
		}
		_, after, _ := strings.Cut(open, `"sid":"`)
		sessions[i] = after[:min(20, len(after))]
		if _, err := request(url, sessions[i], "40"); err != nil {
			return err
		}
		if _, err := request(url, sessions[i], ""); err != nil {
			return err
		}
	}
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var wg sync.WaitGroup
	before, end := cpu(counted), time.Now().Add(length)
	for _, sid := range sessions {
		wg.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				began := time.Now()
				_, err := request(url, sid, fmt.Sprintf(`42%d["rooms"]`, n))
				for body := ""; err == nil && !strings.Contains(body, fmt.Sprintf("43%d[", n)); {
					body, err = request(url, sid, "")
				}
				mu.Lock()
				took = append(took, time.Since(began))
				failed = cmp.Or(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	used := cpu(counted) - before
	slices.Sort(took)
	fmt.Printf("%-12s %6d round trips, %5.0f µs CPU each, latency %v median, %v 99th percentile\n", way, len(took),
		float64(used.Microseconds())/float64(len(took)), took[len(took)/2].Round(10*time.Microsecond), took[len(took)*99/100].Round(10*time.Microsecond))
	return nil
}

// request is a poll, or with a body a POST, or without a session the handshake.
func request(url, sid, body string) (string, error) {
	target := url + "/socket.io/?EIO=4&transport=polling"
	if sid != "" {
		target += "&sid=" + sid
	}
	var resp *http.Response
	var err error
	if body != "" {
		resp, err = http.Post(target, "text/plain", strings.NewReader(body))
	} else {
		resp, err = http.Get(target)
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return string(b), err
}

// cpu is the processor time of processes so far.
func cpu(processes []*child.Process) (sum time.Duration) {
	for _, p := range processes {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		var user, system int64
		if len(fields) > 12 {
			_, _ = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
		}
		sum += time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
	}
	return sum
}
