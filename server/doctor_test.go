package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/antchat/antchat/server/config"
	"github.com/antchat/antchat/server/e2e/child"
)

// redisServer starts a redis-server that keeps nothing and gives its address.
func redisServer(t *testing.T, args ...string) string {
	t.Helper()
	redis, err := child.NewRedis(t.TempDir(), append([]string{"--maxmemory", "64mb"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.End(syscall.SIGKILL, 0) })
	if err := redis.Begin(t.Context(), deadline); err != nil {
		t.Fatal(err)
	}
	return redis.Addr
}

// TestDoctor runs it as a process, in good and in bad surroundings.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := certificate(t, dir)
	good := redisServer(t, "--appendonly", "yes", "--appendfsync", "always")
	bad := redisServer(t, "--maxmemory-policy", "allkeys-lru")
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()

	for _, tt := range []struct {
		name string
		env  []string
		args []string
		code int
		says []string // parts of lines; words apart by one space
	}{
		{"well", nil, nil, 0, []string{"ok settings", "ok data.dir", "MiB free", " 0 wrong,"}},
		{"a data directory to be made", nil, []string{"--data.dir", filepath.Join(dir, "a", "b")}, 0, []string{"ok data.dir"}},
		{"in memory", nil, []string{"--data.dir", ""}, 0, []string{"warning data.dir none"}},
		{"a wrong setting", nil, []string{"--http.port", "x"}, 1, []string{`WRONG settings http.port: "x"`, "→ antchat --help"}},
		{"an unknown variable", []string{"ANTCHAT_HTTP_PROT=1"}, nil, 1, []string{"WRONG settings ANTCHAT_HTTP_PROT"}},
		{"no directory", nil, []string{"--data.dir", filepath.Join(plain, "x")}, 1, []string{"WRONG data.dir", "→ let this user write"}},
		{"a certificate of an hour", nil, []string{"--http.tls_cert", cert, "--http.tls_key", key}, 0, []string{"warning certificate until", "→ renew it"}},
		{"no key", nil, []string{"--http.tls_cert", cert, "--http.tls_key", plain}, 1, []string{"WRONG certificate"}},
		{"Redis", []string{"REDIS_URL=redis://" + good}, nil, 0, []string{"ok Redis: version", "ok Redis: master_replid", "ok Redis: trial", "ok Redis: appendfsync always"}},
		{"Redis that evicts", []string{"REDIS_URL=redis://" + bad}, nil, 1, []string{"WRONG Redis: eviction allkeys-lru", "→ set maxmemory-policy noeviction", "warning Redis: append-only file off"}},
		{"Redis not there", []string{"REDIS_URL=redis://:hunter2@" + nobody.Addr().String()}, nil, 1, []string{"WRONG Redis: connection dial tcp", "connection refused"}},
		{"Redis URL", []string{"REDIS_URL=redis://:hunter2@10.0.0.1:x"}, nil, 1, []string{"WRONG Redis redis.url: redis: malformed host"}},
		{"Cloud Run without Redis", []string{"K_SERVICE=antchat"}, nil, 1, []string{"WRONG Cloud Run no redis.url"}},
		{"Cloud Run, patient", []string{"K_SERVICE=antchat", "REDIS_URL=redis://" + good}, []string{"--http.stop_timeout", "30s"}, 1, []string{"WRONG Cloud Run: stop"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := process(t, tt.env, append([]string{"doctor"}, tt.args...)...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if code := exitCode(t, cmd.Run()); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			said := " " + strings.Join(strings.Fields(stdout.String()), " ")
			for _, s := range tt.says {
				if !strings.Contains(said, s) {
					t.Errorf("%q is missing", s)
				}
			}
			if said := stderr.String(); tt.code == 0 && said != "" || tt.code == 1 && said != "antchat: something is wrong\n" {
				t.Errorf("on standard error: %q", said)
			}
			if strings.Contains(said, "hunter2") {
				t.Error("shows the password")
			}
			if left, err := filepath.Glob(filepath.Join(cmd.Dir, "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
			if t.Failed() {
				t.Logf("\n%s", stdout.String())
			}
		})
	}
}

// TestDoctorFiles: the limit of open files, in the process whose limit it is.
func TestDoctorFiles(t *testing.T) {
	for args, want := range map[string]string{
		"":                              "warning files 300 may be open: room for 236 connections",
		"--engine.max_sessions=100":     "warning files 300 may be open: room for 100 connections",
		"--engine.max_sessions=1000000": "WRONG files 300 may be open",
	} {
		cmd := process(t, nil, append([]string{"doctor"}, strings.Fields(args)...)...)
		shell, err := exec.LookPath("sh")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args = append([]string{"sh", "-c", `ulimit -n 300 && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = shell
		out, _ := cmd.Output()
		if said := strings.Join(strings.Fields(string(out)), " "); !strings.Contains(said, want) {
			t.Errorf("%s: %q is missing in %s", args, want, out)
		}
	}
}

// TestHealthcheck asks a server that lives, one with TLS, and one that is gone.
func TestHealthcheck(t *testing.T) {
	check := func(args ...string) (int, string) {
		t.Helper()
		cmd := process(t, nil, append([]string{"healthcheck"}, args...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		return exitCode(t, cmd.Run()), out.String()
	}
	cert, key := certificate(t, t.TempDir())
	for _, args := range [][]string{{"--data.dir", ""}, {"--data.dir", "", "--http.tls_cert", cert, "--http.tls_key", key}} {
		p := startProcess(t, args...)
		_, rest, _ := strings.Cut(p.url, "://")
		_, port, err := net.SplitHostPort(strings.TrimSuffix(rest, "/"))
		if err != nil {
			t.Fatal(err)
		}
		asks := append([]string{"--http.addr", "127.0.0.1", "--http.port", port}, args...)
		if code, out := check(asks...); code != 0 || out != "ok\n" {
			t.Errorf("%v: exit code %d, %q", args, code, out)
		}
		p.signal(t, os.Interrupt)
		p.end(t)
		if code, out := check(asks...); code != 1 || !strings.Contains(out, "connection refused") {
			t.Errorf("%v, ended: exit code %d, %q", args, code, out)
		}
	}
	if code, out := check("--http.port", "0"); code != 2 || !strings.Contains(out, "http.port") {
		t.Errorf("no port: exit code %d, %q", code, out)
	}
}

// TestHealthcheckIsBounded: a server that accepts and says nothing.
func TestHealthcheckIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, _, err := config.Load([]string{"--http.addr", "127.0.0.1", "--http.port", port})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := healthcheck(ctx, c, os.Stdout); err == nil || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}
