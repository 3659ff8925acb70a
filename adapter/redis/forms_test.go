package redis

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/adaptertest"
	"github.com/antchat/antchat/adapter/redis/official"
	"github.com/antchat/antchat/server/e2e/loopback"
)

// startCluster starts three primaries and returns their addresses.
func startCluster(t testing.TB) (addrs []string) {
	t.Helper()
	for _, s := range startClusterOf(t, 3) {
		addrs = append(addrs, s.addr)
	}
	return addrs
}

// startClusterOf starts three primaries, or three and a replica of each.
func startClusterOf(t testing.TB, n int, args ...string) (servers []*server) {
	t.Helper()
	var addrs []string
	for range n {
		bus, err := loopback.Port()
		if err != nil {
			t.Fatal(err)
		}
		s := ownServer(t, append([]string{"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--appendfsync", "everysec"}, args...)...)
		servers, addrs = append(servers, s), append(addrs, s.addr)
	}
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Fatalf("these tests need redis-cli (Debian: apt-get install redis-tools): %v", err)
	}
	create := append(append([]string{"--cluster", "create"}, addrs...), "--cluster-yes")
	if n > 3 {
		create = append(create, "--cluster-replicas", "1")
	}
	out, err := exec.Command(cli, create...).CombinedOutput()
	if err != nil {
		t.Fatalf("create the cluster: %v\n%s", err, out)
	}
	for _, addr := range addrs {
		c := goredis.NewClient(&goredis.Options{Addr: addr})
		end := time.Now().Add(30 * time.Second)
		for {
			info, err := c.ClusterInfo(t.Context()).Result()
			if err == nil && strings.Contains(info, "cluster_state:ok") {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the cluster does not come up: %v %s", err, info)
			}
			time.Sleep(50 * time.Millisecond)
		}
		_ = c.Close()
	}
	return servers
}

// fewer makes the suite's random test shorter than on the single Redis, unless
// the command line says something.
func fewer(t *testing.T) {
	f := flag.Lookup("rapid.checks")
	if was := f.Value.String(); was == f.DefValue {
		_ = f.Value.Set("8")
		t.Cleanup(func() { _ = f.Value.Set(was) })
	}
}

func TestSuiteCluster(t *testing.T) {
	addrs := startCluster(t)
	fewer(t)
	adaptertest.Run(t, adaptertest.Factory{
		MaxNodes: 3,
		New: func(t testing.TB, n int, s adaptertest.Settings) adaptertest.Fleet {
			o := settings(s)
			o.URL = "redis+cluster://" + strings.Join(addrs, ",")
			return newFleet(t, "", n, o)
		},
	})
	for _, mode := range []official.Mode{official.Classic, official.Dynamic} {
		t.Run(fmt.Sprint("Among", mode), func(t *testing.T) {
			newWorld(t, "redis+cluster://"+strings.Join(addrs, ","), mode).run(t)
		})
	}
}

// sentinels are a primary, a replica and one Sentinel.
type sentinels struct {
	primary, replica *server
	addr             string
}

func startSentinel(t testing.TB) *sentinels {
	t.Helper()
	p := ownServer(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(p.addr)
	r := ownServer(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	dir := t.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	own, err := loopback.Port()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor main %s %s 1\nsentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n", own, dir, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", conf, "--sentinel", "--logfile", filepath.Join(dir, "log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := &sentinels{primary: p, replica: r, addr: "127.0.0.1:" + strconv.Itoa(own)}
	c := p.client(t)
	g := goredis.NewSentinelClient(&goredis.Options{Addr: s.addr})
	defer g.Close()
	end := time.Now().Add(30 * time.Second)
	for {
		info, _ := c.Info(t.Context(), "replication").Result()
		replicas, err := g.Replicas(t.Context(), "main").Result()
		if strings.Contains(info, "state=online") && err == nil && len(replicas) == 1 {
			return s
		}
		if time.Now().After(end) {
			t.Fatal("the pair does not come up")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestSuiteSentinel(t *testing.T) {
	s := startSentinel(t)
	fewer(t)
	adaptertest.Run(t, adaptertest.Factory{
		MaxNodes: 1,
		New: func(t testing.TB, n int, set adaptertest.Settings) adaptertest.Fleet {
			o := settings(set)
			o.URL = "redis+sentinel://" + s.addr + "/main"
			o.AckReplicas = 1
			return newFleet(t, "", n, o)
		},
	})
	t.Run("Among", func(t *testing.T) {
		newWorld(t, "redis+sentinel://"+s.addr+"/main", official.Classic).run(t)
	})
}

// TestFailover kills the primary; what was acknowledged by the replica is
// there, in order, and a new epoch goes on behind it.
func TestFailover(t *testing.T) {
	s := startSentinel(t)
	f := newFleet(t, "", 2, Options{URL: "redis+sentinel://" + s.addr + "/main", AckReplicas: 1})
	m := newMember(t, f.nodes[1], "a")
	var acked []adapter.Appended
	writer := f.nodes[0]
	write := func(i int) {
		end := time.Now().Add(60 * time.Second)
		for {
			got, err := writer.Append(t.Context(), entry("a", strconv.Itoa(i)))
			if err == nil {
				acked = append(acked, got)
				return
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
	for i := range 20 {
		write(i)
	}
	s.primary.kill()
	// No replica is left to acknowledge, so the rest is asked of one alone.
	o := f.options[0]
	o.AckReplicas = 0
	writer = open(t, o)
	t.Cleanup(func() { _ = writer.Close(context.Background()) })
	for i := range 20 {
		write(20 + i)
	}
	m.wantTexts(40)
	if acked[19].Epoch == acked[39].Epoch || acked[39].Seq != 40 {
		t.Errorf("%+v, then %+v", acked[19], acked[39])
	}
	if gaps := m.gaps(); len(gaps) > 0 {
		t.Errorf("told of gaps %+v", gaps)
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct {
		url   string
		form  form
		hosts string
		user  string
		db    int
	}{
		{"redis://h", single, "h:6379", "", 0},
		{"redis://:secret@h:1/2", single, "h:1", "", 2},
		{"rediss://u:p%40ss@[::1]:7", single, "[::1]:7", "u", 0},
		{"redis+cluster://u:p@a:1,b,c:3", cluster, "a:1 b:6379 c:3", "u", 0},
		{"redis+sentinel://u:p@a,b:2/main/3?user=s&password=q", sentinel, "a:26379 b:2", "u", 3},
	} {
		got, err := parseURL(c.url)
		if err != nil {
			t.Errorf("%s: %v", c.url, err)
			continue
		}
		if got.form != c.form || strings.Join(got.hosts, " ") != c.hosts || got.template.Username != c.user || got.template.DB != c.db {
			t.Errorf("%s: %v %v %q %d", c.url, got.form, got.hosts, got.template.Username, got.template.DB)
		}
	}
	for _, bad := range []string{
		"", "h:1", "http://h", "redis://", "redis://a,b", "redis+sentinel://h", "redis+x://h", "redis://h/x",
		"redis+cluster://h/1", "redis://h?x=1", "redis://:hunter2@h:port", "redis://:hunter2@/1", "redis://:hunter%@h",
	} {
		_, err := parseURL(bad)
		if err == nil {
			t.Errorf("%q was taken", bad)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error has the password: %v", bad, err)
		}
	}
}

// TestPassword starts a server that wants one, and looks for it in everything
// that comes out.
func TestPassword(t *testing.T) {
	s := shared.get(t)
	c := s.client(t)
	ctx := context.Background()
	if err := c.Do(ctx, "ACL", "SETUSER", "ann", "on", ">s3cretpw", "~ac1:acl*", "&ac1:acl*", "+@all", "-@dangerous", "+info").Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Do(ctx, "ACL", "DELUSER", "ann") })
	a := open(t, Options{URL: "redis://ann:s3cretpw@" + s.addr, Prefix: "acl"})
	defer a.Close(ctx)
	ready(t, a)
	a.Open("/", discard{})
	if _, err := a.Append(ctx, entry("a", "1")); err != nil {
		t.Error(err)
	}
	bad := open(t, Options{URL: "redis://ann:wrongpw@" + s.addr, Prefix: "acl", Timeout: 200 * time.Millisecond})
	defer bad.Close(ctx)
	_, err := bad.Append(ctx, entry("a", "2"))
	if err == nil || strings.Contains(err.Error()+bad.Status().Reason, "wrongpw") {
		t.Errorf("%v, %s", err, bad.Status().Reason)
	}
	if got := a.conn.redact(fmt.Errorf("dial redis://ann:s3cretpw@h")); strings.Contains(got.Error(), "s3cretpw") {
		t.Error(got)
	}
}
