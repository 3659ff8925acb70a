package redis

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/e2e/loopback"
)

// TestRefusedByMISCONF lets a save fail: Redis then takes no writes.
func TestRefusedByMISCONF(t *testing.T) {
	s := ownServer(t)
	a, m := refusedNode(t, s)
	c := s.client(t)
	// A folder stands where the file should be.
	dump := filepath.Join(s.dir, "dump.rdb")
	if err := os.Mkdir(dump, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := c.ConfigSet(t.Context(), "save", "3600 1").Err(); err != nil {
		t.Fatal(err)
	}
	saved := func(want string) func() bool {
		return func() bool {
			c.BgSave(t.Context())
			info, _ := c.Info(t.Context(), "persistence").Result()
			return strings.Contains(info, "rdb_last_bgsave_status:"+want)
		}
	}
	until(t, "the save to fail", saved("err"))
	mustRefuse(t, a, m, "MISCONF")
	if err := os.Remove(dump); err != nil {
		t.Fatal(err)
	}
	until(t, "the save", saved("ok"))
	mustGoOn(t, a, m)
}

// TestRefusedByBUSY has somebody else's script run for ever.
func TestRefusedByBUSY(t *testing.T) {
	s := ownServer(t, "--busy-reply-threshold", "50")
	a, m := refusedNode(t, s)
	c := s.client(t)
	var other sync.WaitGroup
	defer other.Wait()
	loop := s.client(t)
	other.Go(func() { _ = loop.Do(context.Background(), "EVAL", "while true do end", 0).Err() })
	until(t, "Redis to be busy", func() bool {
		err := c.Ping(t.Context()).Err()
		return err != nil && strings.HasPrefix(err.Error(), "BUSY")
	})
	mustRefuse(t, a, m, "BUSY")
	until(t, "the script's end", func() bool { return c.ScriptKill(t.Context()).Err() == nil })
	mustGoOn(t, a, m)
}

// TestRefusedByLOADING meets a Redis that takes its time to read its file.
func TestRefusedByLOADING(t *testing.T) {
	s := ownServer(t)
	a, m := refusedNode(t, s)
	c := s.client(t)
	for i := range 300 {
		if err := c.Set(t.Context(), "key"+strconv.Itoa(i), rand.Text()+rand.Text(), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	// Rewritten, the file is one of keys, which Redis can be told to read
	// slowly.
	if err := c.BgRewriteAOF(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the file to be rewritten", func() bool {
		base, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.2.base.rdb"))
		return err == nil && len(base) > 0
	})
	// It answers once it has noted down that this is its file now.
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.kill()
	s.args = append(s.args, "--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
	slow := make(chan error, 1)
	go func() { slow <- s.start() }()
	c = goredis.NewClient(&goredis.Options{Addr: s.addr, MaxRetries: -1}) // or it waits for the end
	defer c.Close()
	until(t, "Redis to load", func() bool {
		err := c.Ping(t.Context()).Err()
		return err != nil && strings.HasPrefix(err.Error(), "LOADING")
	})
	mustRefuse(t, a, m, "LOADING")
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	mustGoOn(t, a, m)
}

// TestRefusedByMASTERDOWN makes the primary a replica of nobody that answers.
func TestRefusedByMASTERDOWN(t *testing.T) {
	s := ownServer(t, "--replica-serve-stale-data", "no")
	a, m := refusedNode(t, s)
	nobody, err := loopback.Port()
	if err != nil {
		t.Fatal(err)
	}
	c := s.client(t)
	if err := c.ReplicaOf(t.Context(), "127.0.0.1", strconv.Itoa(nobody)).Err(); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, a, m, "MASTERDOWN")
	if err := c.ReplicaOf(t.Context(), "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	mustGoOn(t, a, m)
}

// refusedNode is a node with a member that has seen one message.
func refusedNode(t *testing.T, s *server) (*Adapter, *member) {
	t.Helper()
	a := newFleet(t, s.addr, 1, Options{Timeout: 400 * time.Millisecond, Beat: 100 * time.Millisecond, Lease: 30 * time.Second}).nodes[0]
	m := newMember(t, a, "a")
	m.append("a", "0")
	return a, m
}

// mustRefuse: while Redis refuses, an append ends in bounded time as
// retryable, and the node says that it is not ready.
func mustRefuse(t *testing.T, a *Adapter, m *member, code string) {
	t.Helper()
	begun := time.Now()
	if _, err := a.Append(t.Context(), entry("a", "1")); !errors.Is(err, adapter.ErrUnavailable) || time.Since(begun) > 20*time.Second {
		t.Errorf("%s: append: %v after %v", code, err, time.Since(begun))
	}
	until(t, "not ready", func() bool { return !a.Status().Ready })
	if m.isFenced() {
		t.Errorf("%s ended a connection", code)
	}
}

// mustGoOn: the retry makes one message, and nothing else came in between.
func mustGoOn(t *testing.T, a *Adapter, m *member) {
	t.Helper()
	ready(t, a)
	m.append("a", "1")
	m.append("a", "2")
	until(t, "three messages", func() bool { return len(m.texts()) >= 3 })
	if got := strings.Join(m.texts(), " "); got != "0 1 2" || len(m.gaps()) > 0 {
		t.Errorf("got %s, gaps %v", got, m.gaps())
	}
}

// moody is a Redis that answers some commands with an error instead of doing
// them: a real one stands behind it.
type moody struct {
	to string
	ln net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	// say is the error for a command, "" for none.
	say func(cmd []string) string
}

func newMoody(t testing.TB, to string) *moody {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &moody{to: to, ln: ln, conns: map[net.Conn]bool{}}
	x.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			x.wg.Go(func() { x.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		x.mu.Lock()
		for c := range x.conns {
			_ = c.Close()
		}
		x.mu.Unlock()
		x.wg.Wait()
	})
	return x
}

func (x *moody) mood(say func(cmd []string) string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.say = say
}

func (x *moody) serve(near net.Conn) {
	far, err := net.Dial("tcp", x.to)
	if err != nil {
		_ = near.Close()
		return
	}
	x.mu.Lock()
	x.conns[near], x.conns[far] = true, true
	x.mu.Unlock()
	defer near.Close()
	defer far.Close()
	in, out := bufio.NewReader(near), bufio.NewReader(far)
	for {
		raw, cmd, err := readCommand(in)
		if err != nil {
			return
		}
		x.mu.Lock()
		say := x.say
		x.mu.Unlock()
		if say != nil {
			if text := say(cmd); text != "" {
				if _, err := fmt.Fprintf(near, "-%s\r\n", text); err != nil {
					return
				}
				continue
			}
		}
		if _, err := far.Write(raw); err != nil {
			return
		}
		if strings.HasSuffix(strings.ToLower(cmd[0]), "subscribe") {
			// Messages come unasked from now on: bytes pass as they are.
			x.wg.Go(func() { _, _ = io.Copy(far, in); _ = far.Close() })
			_, _ = io.Copy(near, out)
			return
		}
		if err := passReply(near, out); err != nil {
			return
		}
	}
}

func readCommand(in *bufio.Reader) (raw []byte, cmd []string, err error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, nil, err
	}
	raw = append(raw, line...)
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "*")))
	if err != nil {
		return nil, nil, err
	}
	for range n {
		head, err := in.ReadString('\n')
		if err != nil {
			return nil, nil, err
		}
		size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "$")))
		if err != nil {
			return nil, nil, err
		}
		body := make([]byte, size+2)
		if _, err := io.ReadFull(in, body); err != nil {
			return nil, nil, err
		}
		raw = append(append(raw, head...), body...)
		cmd = append(cmd, string(body[:size]))
	}
	return raw, cmd, nil
}

func passReply(to io.Writer, from *bufio.Reader) error {
	line, err := from.ReadString('\n')
	if err != nil {
		return err
	}
	if _, err := io.WriteString(to, line); err != nil {
		return err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch {
	case line[0] == '$' && n >= 0:
		_, err = io.CopyN(to, from, int64(n)+2)
	case line[0] == '*':
		for range n {
			if err := passReply(to, from); err != nil {
				return err
			}
		}
	}
	return err
}

// TestRefusalsInTransit: each error that Redis has for "not now" or "not
// here", a few times and then no more: the append is made once all the same,
// in its place, and the caller hears nothing of it.
func TestRefusalsInTransit(t *testing.T) {
	x := newMoody(t, shared.get(t).addr)
	f := newFleet(t, "", 1, Options{URL: "redis://" + x.ln.Addr().String()})
	a := f.nodes[0]
	m := newMember(t, a, "a")
	n := 0
	for _, text := range []string{
		"READONLY You can't write against a read only replica.",
		"NOSCRIPT No matching script. Please use EVAL.",
		"LOADING Redis is loading the dataset in memory",
		"MOVED 866 127.0.0.1:1",
		"ASK 866 127.0.0.1:1",
		"TRYAGAIN Multiple keys request during rehashing of slot",
		"CLUSTERDOWN The cluster is down",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"NOREPLICAS Not enough good replicas to write.",
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
		"ERR Script attempted to access a non local key in a cluster node script: f_x, on @user_script:1.",
		"ERR max number of clients reached",
	} {
		code, _, _ := strings.Cut(text, " ")
		for what, script := range map[string]string{"an append": lua().append.sha, "a join": lua().cut.sha} {
			var met atomic.Int64
			x.mood(func(cmd []string) string {
				if len(cmd) > 1 && strings.EqualFold(cmd[0], "EVALSHA") && cmd[1] == script && met.Add(1) <= 2 {
					return text
				}
				return ""
			})
			if what == "a join" {
				m.join("b")
			} else {
				for range 3 {
					m.append("a", strconv.Itoa(n))
					n++
				}
			}
			if met.Load() == 0 {
				t.Errorf("%s was never said to %s", code, what)
			}
		}
	}
	// OOM is said at once, as what it is: the store is full.
	x.mood(func(cmd []string) string {
		if len(cmd) > 1 && cmd[1] == lua().append.sha {
			return "OOM command not allowed when used memory > 'maxmemory'."
		}
		return ""
	})
	if _, err := a.Append(t.Context(), entry("a", "full")); !errors.Is(err, adapter.ErrFull) {
		t.Errorf("OOM: %v", err)
	}
	x.mood(nil)
	m.append("a", strconv.Itoa(n))
	m.wantTexts(n + 1)
}

// TestWarnings: what is set badly is said in the Status and the log, until it
// is mended.
func TestWarnings(t *testing.T) {
	s := ownServer(t, "--maxmemory-policy", "allkeys-lru")
	var log lockedBuffer
	a := newFleet(t, s.addr, 1, Options{AckReplicas: 1, Audit: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))}).nodes[0]
	wrong := []string{"allkeys-lru", "no maxmemory", "0 connected, log.ack_replicas is 1"}
	said := func() string { return strings.Join(a.Status().Warnings, "\n") }
	for _, w := range wrong {
		until(t, w, func() bool { return strings.Contains(said(), w) && strings.Contains(log.String(), w) })
	}
	if n := a.Stats().Warnings; n != len(a.Status().Warnings) {
		t.Errorf("%d are counted", n)
	}
	if !a.Status().Ready {
		t.Error("a warning makes nobody unready")
	}
	c := s.client(t)
	for name, value := range map[string]string{"maxmemory-policy": "noeviction", "maxmemory": "100mb"} {
		if err := c.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "two to be mended", func() bool { return len(a.Status().Warnings) == 1 })
	if n := strings.Count(log.String(), wrong[0]); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
}

// TestFacts holds each thing that INFO can show to be wrong, and what a service
// does not tell to be unknown.
func TestFacts(t *testing.T) {
	good := "redis_version:7.0.15\r\nmaxmemory:100\r\nused_memory:10\r\nmaxmemory_policy:noeviction\r\nrole:master\r\nmaster_replid:" + strings.Repeat("a", 40) +
		"\r\nconnected_slaves:2\r\naof_enabled:1\r\naof_last_write_status:ok\r\nmaxclients:10000\r\nconnected_clients:3\r\n"
	bad := func(text string, acks int) (out []string) {
		for _, f := range (&facts{&Options{AckReplicas: acks}, readInfo(text)}).judge() {
			if (f.Verdict == Fine) != (f.Advice == "") {
				t.Errorf("%+v", f)
			}
			if f.Verdict == Wrong || f.Verdict == Doubtful {
				out = append(out, f.Subject)
			}
		}
		return out
	}
	if got := bad(good, 2); len(got) > 0 {
		t.Errorf("of a good one: %q", got)
	}
	for was, want := range map[string]struct{ is, subject string }{
		"7.0.15": {"6.2.14", "version"}, "noeviction": {"volatile-ttl", "eviction"}, "maxmemory:100": {"maxmemory:0", "memory"},
		"used_memory:10": {"used_memory:99", "memory"}, "slaves:2": {"slaves:1", "replicas"}, "status:ok": {"status:err", "append-only file"},
		"role:master": {"role:slave", "role"}, "maxclients:10000": {"maxclients:12", "connections"}, "replid:a": {"replid:", "master_replid"},
	} {
		if got := bad(strings.Replace(good, was, want.is, 1), 2); !slices.Equal(got, []string{want.subject}) {
			t.Errorf("%s: %q", want.is, got)
		}
	}
	off := strings.Replace(good, "aof_enabled:1", "aof_enabled:0", 1)
	if got := bad(off, 2); len(got) > 0 {
		t.Errorf("without a file, with replicas that confirm: %q", got)
	}
	if got := bad(off, 0); !slices.Equal(got, []string{"append-only file", "replicas"}) {
		t.Errorf("without a file, and nobody confirms: %q", got)
	}
	if got := bad("", 2); !slices.Equal(got, []string{"master_replid"}) {
		t.Errorf("of one that says nothing: %q", got)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
