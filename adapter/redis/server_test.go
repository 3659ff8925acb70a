package redis

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/server/e2e/loopback"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	shared.stop()
	if code == 0 {
		err := goleak.Find()
		for range 5 {
			// go-redis looks once a second whether a pool that could not dial
			// was closed.
			if err == nil {
				break
			}
			time.Sleep(500 * time.Millisecond)
			err = goleak.Find()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// server is a redis-server of the tests, on a loopback port.
type server struct {
	addr string
	dir  string
	args []string
	cmd  *exec.Cmd
}

// shared is the server of all tests that do not harm it: fleets keep apart by
// their prefixes.
var shared = &lazyServer{}

type lazyServer struct {
	once sync.Once
	s    *server
	err  error
}

func (l *lazyServer) get(t testing.TB) *server {
	t.Helper()
	l.once.Do(func() { l.s, l.err = startServer("") })
	if l.err != nil {
		t.Fatal(l.err)
	}
	return l.s
}

func (l *lazyServer) stop() {
	if l.s != nil {
		l.s.kill()
		_ = os.RemoveAll(l.s.dir)
	}
}

// startServer starts a redis-server with a file that is synced at every write.
func startServer(dir string, args ...string) (*server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("these tests need redis-server (Debian: apt-get install redis-server): %w", err)
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "antchat-redis-"); err != nil {
			return nil, err
		}
	}
	port, err := loopback.Port()
	if err != nil {
		return nil, err
	}
	s := &server{addr: "127.0.0.1:" + strconv.Itoa(port), dir: dir}
	s.args = append([]string{
		path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--logfile", filepath.Join(dir, "log"),
	}, args...)
	return s, s.start()
}

func (s *server) start() error {
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	c := goredis.NewClient(&goredis.Options{Addr: s.addr, MaxRetries: -1})
	defer c.Close()
	var err error
	for range 500 {
		if err = c.Ping(context.Background()).Err(); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.kill()
	return fmt.Errorf("redis-server does not answer: %w", err)
}

func (s *server) kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) client(t testing.TB) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: s.addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ownServer is a server that the test may harm.
func ownServer(t testing.TB, args ...string) *server {
	t.Helper()
	s, err := startServer(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

var prefixes atomic.Int64

// prefix keeps a test's keys and channels apart from all others.
func prefix() string { return "t" + strconv.FormatInt(prefixes.Add(1), 10) + "." }

// die ends an adapter without a word, as a kill would.
func (a *Adapter) die() {
	a.mu.Lock()
	a.closing.Store(true)
	a.mu.Unlock()
	a.conn.close()
	a.cancel()
	for _, l := range a.lanes {
		l.pipe.close()
	}
	a.peers.out.close()
	a.wg.Wait()
	a.seq.Close()
}

// proxy stands between a node and Redis.
type proxy struct {
	to    string
	ln    net.Listener
	delay atomic.Int64
	cut   atomic.Bool // refuse new connections
	mute  atomic.Bool // subscribers that are here hear nothing any more, and are not told so

	mu    sync.Mutex
	conns map[net.Conn]net.Conn
	wg    sync.WaitGroup
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: to, ln: ln, conns: make(map[net.Conn]net.Conn)}
	p.wg.Go(p.run)
	t.Cleanup(func() {
		_ = ln.Close()
		p.drop()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) run() {
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil || p.cut.Load() {
			_ = in.Close()
			if out != nil {
				_ = out.Close()
			}
			continue
		}
		p.mu.Lock()
		p.conns[in] = out
		p.mu.Unlock()
		var deaf atomic.Bool
		p.wg.Go(func() {
			p.copy(in, out, func(b []byte) bool {
				if p.mute.Load() && bytes.Contains(b, []byte("subscribe")) {
					p.mute.Store(false) // this one is new
				}
				return true
			})
		})
		p.wg.Go(func() {
			p.copy(out, in, func(b []byte) bool {
				if p.mute.Load() && bytes.Contains(b, []byte("message\r\n")) {
					deaf.Store(true)
				}
				return !deaf.Load()
			})
		})
	}
}

func (p *proxy) copy(from, to net.Conn, pass func([]byte) bool) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if d := p.delay.Load(); d > 0 {
			time.Sleep(time.Duration(d))
		}
		if n > 0 && pass(buf[:n]) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// drop cuts all connections.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for in, out := range p.conns {
		_ = in.Close()
		_ = out.Close()
	}
	clear(p.conns)
}
