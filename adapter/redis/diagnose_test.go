package redis

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/server/e2e/loopback"
)

// diagnosed runs Diagnose and gives the verdicts by subject, checking that
// each finding says what it must.
func diagnosed(t *testing.T, o Options) map[string]Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	findings, err := Diagnose(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Finding{}
	for _, f := range findings {
		if _, twice := all[f.Subject]; twice {
			t.Errorf("%s is told twice", f.Subject)
		}
		if f.Text == "" || strings.Contains(f.Text+f.Advice, "\n") || (f.Verdict != Fine) != (f.Advice != "") {
			t.Errorf("%+v: not one line each, or advice where all is well, or none where it is not", f)
		}
		if strings.Contains(f.Text+f.Advice, "hunter2") {
			t.Errorf("%+v: shows the password", f)
		}
		all[f.Subject] = f
	}
	return all
}

// TestDiagnose holds the verdicts on real servers, each with one thing wrong.
func TestDiagnose(t *testing.T) {
	// What a server of these tests has without further arguments.
	usual := map[string]Verdict{
		"connection": Fine, "version": Fine, "master_replid": Fine, "role": Fine, "eviction": Fine, "memory": Doubtful,
		"append-only file": Fine, "appendfsync": Fine, "replicas": Fine, "connections": Fine, "output buffer": Fine,
		"clock": Fine, "trial": Fine,
	}
	for _, tt := range []struct {
		name   string
		args   []string
		then   []any // a command, once it runs
		o      Options
		want   map[string]Verdict // beside the usual; Gone: not told
		advice string             // of the first that is not as usual
	}{
		{name: "well", args: []string{"--maxmemory", "256mb"}, want: map[string]Verdict{"memory": Fine}},
		{name: "eviction", args: []string{"--maxmemory-policy", "allkeys-lru"}, want: map[string]Verdict{"eviction": Wrong}, advice: "noeviction"},
		{name: "full", args: []string{"--maxmemory", "1mb"}, want: map[string]Verdict{"memory": Wrong, "trial": Wrong}},
		{name: "nothing kept", args: []string{"--appendonly", "no"}, want: map[string]Verdict{"append-only file": Doubtful, "appendfsync": gone}, advice: "appendonly yes"},
		{name: "everysec", args: []string{"--appendfsync", "everysec"}, want: map[string]Verdict{"appendfsync": Doubtful}, advice: "appendfsync always"},
		{name: "no replica", o: Options{AckReplicas: 1}, want: map[string]Verdict{"replicas": Wrong, "min-replicas-to-write": Doubtful}, advice: "log.ack_replicas"},
		{name: "small buffer", args: []string{"--client-output-buffer-limit", "pubsub 4096 4096 1"}, want: map[string]Verdict{"output buffer": Doubtful}, advice: "32mb 8mb 60"},
		{name: "endless buffer", args: []string{"--client-output-buffer-limit", "pubsub 0 0 0"}, want: map[string]Verdict{"output buffer": Doubtful}, advice: "32mb 8mb 60"},
		{name: "few connections", args: []string{"--maxclients", "12"}, want: map[string]Verdict{"connections": Wrong}, advice: "maxclients"},
		{name: "Memorystore", args: memorystore(), want: map[string]Verdict{"output buffer": Unknown, "appendfsync": Unknown}, advice: "32mb 8mb 60"},
		{name: "ACL without INFO", then: []any{"ACL", "SETUSER", "default", ">hunter2", "-info"}, o: Options{URL: "redis://:hunter2@"},
			want: map[string]Verdict{"INFO": Wrong, "version": gone, "master_replid": gone, "role": gone, "eviction": gone, "memory": gone, "append-only file": gone, "appendfsync": gone, "replicas": gone, "connections": gone, "trial": Wrong}},
		{name: "ACL of another prefix", then: []any{"ACL", "SETUSER", "default", ">hunter2", "resetkeys", "~other:*"}, o: Options{URL: "redis://:hunter2@"},
			want: map[string]Verdict{"trial": Wrong}, advice: "ac1:"},
		{name: "wrong password", then: []any{"CONFIG", "SET", "requirepass", "swordfish"}, o: Options{URL: "redis://:hunter2@"}, want: onlyConnection, advice: "redis.url"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := ownServer(t, tt.args...)
			if len(tt.then) > 0 {
				if err := s.client(t).Do(t.Context(), tt.then...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			o := tt.o
			if o.URL == "" {
				o.URL = "redis://"
			}
			o.URL += s.addr
			want := maps.Clone(usual)
			maps.Copy(want, tt.want)
			if tt.want["connection"] == Wrong {
				want = tt.want
			}
			got := diagnosed(t, o)
			delete(got, "latency") // the machine may be busy
			for subject, v := range want {
				f, told := got[subject]
				if v == gone && told || v != gone && (!told || f.Verdict != v) {
					t.Errorf("%s: %+v (told: %v), want verdict %d", subject, f, told, v)
				}
				if _, special := tt.want[subject]; special && tt.advice != "" && v != Fine && v != gone && !anyAdvice(got, tt.advice) {
					t.Errorf("nothing advises %q: %+v", tt.advice, got)
				}
			}
			for subject, f := range got {
				if _, expected := want[subject]; !expected {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

const gone = Verdict(255)

var onlyConnection = map[string]Verdict{"connection": Wrong}

func anyAdvice(all map[string]Finding, text string) bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(all)), func(f Finding) bool { return strings.Contains(f.Advice, text) })
}

func TestDiagnoseWhatIsNotThere(t *testing.T) {
	port, err := loopback.Port()
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"redis://", "redis+cluster://"} {
		got := diagnosed(t, Options{URL: scheme + "x:hunter2@127.0.0.1:" + strconv.Itoa(port)})
		if f := got["connection"]; f.Verdict != Wrong || len(got) != 1 {
			t.Errorf("%+v", got)
		}
	}
	if _, err := Diagnose(t.Context(), Options{URL: "redis://a,b"}); err == nil {
		t.Error("no error for an URL that is none")
	}
}

// TestDiagnoseReplica: the URL leads to a replica, and the primary has one.
func TestDiagnoseReplica(t *testing.T) {
	primary := ownServer(t)
	host, port, _ := strings.Cut(primary.addr, ":")
	replica := ownServer(t, "--replicaof", host+" "+port)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if info, err := primary.client(t).Info(t.Context(), "replication").Result(); err == nil && strings.Contains(info, "state=online") {
			break
		} else if time.Now().After(end) {
			t.Fatal("the replica does not connect")
		}
	}
	got := diagnosed(t, Options{URL: "redis://" + replica.addr})
	if got["role"].Verdict != Wrong || got["trial"].Verdict != Wrong {
		t.Errorf("replica: %+v", got)
	}
	if got := diagnosed(t, Options{URL: "redis://" + primary.addr}); got["replicas"].Verdict != Doubtful || got["role"].Verdict != Fine {
		t.Errorf("primary: %+v", got)
	}
	if got := diagnosed(t, Options{URL: "redis://" + primary.addr, AckReplicas: 1}); got["replicas"].Verdict != Fine {
		t.Errorf("primary whose replica must confirm: %+v", got)
	}
}

// TestDiagnoseFleet: another number of lanes than the fleet that is there; and
// nothing is left behind.
func TestDiagnoseFleet(t *testing.T) {
	s := ownServer(t)
	a := open(t, Options{URL: "redis://" + s.addr})
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	ready(t, a)
	if got := diagnosed(t, Options{URL: "redis://" + s.addr}); got["lanes"].Verdict != Fine || got["lanes"].Text != "1" {
		t.Errorf("%+v", got["lanes"])
	}
	if got := diagnosed(t, Options{URL: "redis://" + s.addr, Lanes: 2}); got["lanes"].Verdict != Wrong {
		t.Errorf("%+v", got["lanes"])
	}
	left, err := s.client(t).Keys(t.Context(), "*doctor*").Result()
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// memorystore is what that service blocks ("Product constraints" in its
// documentation, ACL's subcommands aside).
func memorystore() (args []string) {
	for _, name := range []string{"BGREWRITEAOF", "BGSAVE", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "LASTSAVE", "MIGRATE", "MONITOR", "OBJECT", "SHUTDOWN", "REPLICAOF", "SAVE", "ACL"} {
		args = append(args, "--rename-command", name, "")
	}
	return args
}

// TestMemorystore: a node works without what that service blocks.
func TestMemorystore(t *testing.T) {
	s := ownServer(t, memorystore()...)
	a := open(t, Options{URL: "redis://" + s.addr})
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	ready(t, a)
	if got, err := a.Append(t.Context(), entry("a", "1")); err != nil || got.Seq != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestJudgeBuffer(t *testing.T) {
	for limits, want := range map[string]Verdict{
		"normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60": Fine,
		"pubsub 0 0 0": Doubtful, "pubsub 1048575 1 1": Doubtful, "": Unknown, "pubsub 1 2": Unknown, "pubsub x y z": Unknown,
	} {
		if v, text, advice := judgeBuffer(limits); v != want || text == "" || (v != Fine && advice == "") {
			t.Errorf("%q: %d %q %q", limits, v, text, advice)
		}
	}
}
