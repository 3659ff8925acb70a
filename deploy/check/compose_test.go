package check

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

func parse(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// loadCompose reads the file as docker compose does, by its schema.
func loadCompose(t *testing.T, text string) (*types.Project, error) {
	t.Helper()
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: []byte(text)}},
		Environment: types.Mapping{},
	})
}

func TestCompose(t *testing.T) {
	text := read(t, "docker-compose.yml")
	p, err := loadCompose(t, text)
	if err != nil {
		t.Fatal(err)
	}
	nodes, proxy, redis := p.Services["antchat"], p.Services["proxy"], p.Services["redis"]
	if len(p.Services) != 3 || nodes.Build == nil || nodes.Deploy == nil || nodes.Deploy.Replicas == nil || *nodes.Deploy.Replicas != 3 {
		t.Fatalf("%v", slices.Sorted(maps.Keys(p.Services)))
	}
	env := []string{"ANTCHAT_DATA_DIR=/data"} // the image's own
	for k, v := range nodes.Environment {
		env = append(env, k+"="+*v)
	}
	in := settings(t, env...)
	if in["http.port"] != "3000" || in["http.trusted_proxies"] != "1" || !slices.Contains(env, "REDIS_URL=redis://redis:6379") {
		t.Errorf("%v", env)
	}
	if stop := duration(t, in["http.stop_timeout"]); nodes.StopGracePeriod == nil || stop >= duration(t, nodes.StopGracePeriod.String()) {
		t.Errorf("%s to stop, killed after %v", stop, nodes.StopGracePeriod)
	}
	if !nodes.ReadOnly || !proxy.ReadOnly || len(nodes.Ports) != 0 {
		t.Error("the nodes can be written to, or reached past the proxy")
	}
	// The proxy's configuration is there, and each of its variables is given.
	config := read(t, "deploy/compose/haproxy.cfg")
	for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(config, -1) {
		if proxy.Environment[m[1]] == nil {
			t.Errorf("haproxy.cfg needs %s", m[1])
		}
	}
	if source := proxy.Volumes[0].Source; proxy.Volumes[0].Target != "/usr/local/etc/haproxy/haproxy.cfg" {
		t.Errorf("mounted at %s", proxy.Volumes[0].Target)
	} else if _, err := os.Stat(source); err != nil {
		t.Error(err)
	}
	_, port, _ := strings.Cut(*proxy.Environment["ANTCHAT_PROXY_BIND"], ":")
	if proxy.Ports[0].Target != uint32(parse(t, port)) || *proxy.Environment["ANTCHAT_PROXY_NODES"] != "antchat:3000" {
		t.Errorf("listens at %s, published is %d", port, proxy.Ports[0].Target)
	}
	for line := range strings.Lines(config) {
		if words := strings.Fields(line); len(words) > 0 && (words[0] == "cookie" || words[0] == "stick" || words[0] == "stick-table" || words[0] == "hash-type" || words[0] == "balance" && words[1] != "roundrobin") {
			t.Errorf("sticky: %s", line)
		}
	}
	if redis.Volumes[0].Target != "/data" || redis.HealthCheck == nil {
		t.Errorf("Redis keeps nothing, or nobody knows when it is ready")
	}
	checkRedisArguments(t, redis.Command)
}

// checkRedisArguments: what docs/operations.md says that Redis must be.
func checkRedisArguments(t *testing.T, args []string) {
	t.Helper()
	given := map[string]string{}
	for i, a := range args {
		if name, ok := strings.CutPrefix(a, "--"); ok && i+1 < len(args) {
			given[name] = args[i+1]
		}
	}
	if given["appendonly"] != "yes" || given["appendfsync"] != "always" || given["maxmemory-policy"] != "noeviction" || given["maxmemory"] == "" {
		t.Errorf("Redis is started with %v", args)
	}
}

func TestComposeTyposFail(t *testing.T) {
	text := read(t, "docker-compose.yml")
	for from, to := range map[string]string{
		"stop_grace_period: 12s": "stop_grace_perod: 12s", "condition: service_healthy": "condition: service_health", "replicas: 3": "replicas: three", "  redis:\n    image": "  reddis:\n    image",
	} {
		changed := strings.Replace(text, from, to, 1)
		if changed == text {
			t.Fatalf("%q is not there", from)
		}
		if _, err := loadCompose(t, changed); err == nil {
			t.Errorf("%q passes", to)
		}
	}
}
