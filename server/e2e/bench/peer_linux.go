package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// takesPart says whether the peer has what is measured.
func (p peer) takesPart(m measurement) bool {
	switch {
	case m.ours:
		return p.name == "antchat"
	case p.name == "bare" && !m.bare, (m.fleet || m.redis != noRedis) && !p.fleet:
		return false
	}
	return true
}

// nodePackages are what Node's server is made of.
var nodePackages = []string{"socket.io", "@socket.io/redis-adapter", "redis"}

// goPeers are the libraries of the Go servers beside ours.
var goPeers = map[string]string{
	"zishang520": "github.com/zishang520/socket.io/servers/socket/v3",
	"googollee":  "github.com/googollee/go-socket.io",
}

// build makes the programs in dir and returns how each is started, by its name:
// a peer's, "program", which is ours as a user runs it, short of its data
// directory, and "load", the load tool.
func build(ctx context.Context, root, dir string, names []string) (map[string][]string, error) {
	servers := map[string][]string{}
	bench := filepath.Join(root, "server/e2e/bench")
	for _, name := range names {
		module, from := bench, "./"+name
		var more []string
		switch name {
		case "node":
			if err := nodeReady(root); err != nil {
				return nil, err
			}
			servers[name] = []string{"node", filepath.Join(bench, "node/server.mjs")}
			continue
		case "antchat", "bare":
		case "program":
			// With its log and its session records on disk, and nobody to wait for at a stop.
			module, from = root, "./server"
			more = []string{"--http.addr", "127.0.0.1", "--http.port", "0", "--http.drain_window", "0s", "--logging.level", "warn", "--data.dir"}
		case "load":
			module, from = root, "./deploy/load"
		default:
			module = filepath.Join(bench, "peers")
		}
		bin := filepath.Join(dir, name)
		cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, from)
		cmd.Dir, cmd.Stderr = module, os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("build %s: %w", from, err)
		}
		servers[name] = append([]string{bin}, more...)
	}
	return servers, nil
}

func nodeReady(root string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return errors.New("node is missing (20 or later)")
	}
	for _, name := range nodePackages {
		if _, err := os.Stat(filepath.Join(root, "server/e2e/node_modules", name)); err != nil {
			return fmt.Errorf("the npm package %s is missing: run npm ci in server/e2e", name)
		}
	}
	return nil
}

// versions says what is measured.
func versions(ctx context.Context, root string, names []string) ([]version, error) {
	var all []version
	ask := func(what, dir string, argv ...string) error {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
		}
		all = append(all, version{what, string(bytes.TrimSpace(out))})
		return nil
	}
	if err := ask(ourCommit, root, "git", "describe", "--tags", "--always", "--dirty"); err != nil {
		return nil, err
	}
	all = append(all, version{"Go", runtime.Version()})
	if slices.Contains(names, "node") {
		if err := ask("Node", root, "node", "--version"); err != nil {
			return nil, err
		}
		for _, name := range nodePackages {
			b, err := os.ReadFile(filepath.Join(root, "server/e2e/node_modules", name, "package.json"))
			if err != nil {
				return nil, err
			}
			var p struct{ Version string }
			if err := json.Unmarshal(b, &p); err != nil {
				return nil, fmt.Errorf("package.json of %s: %w", name, err)
			}
			all = append(all, version{name, p.Version})
		}
	}
	for _, p := range peers {
		if library := goPeers[p.name]; library != "" && slices.Contains(names, p.name) {
			if err := ask(library, filepath.Join(root, "server/e2e/bench/peers"), "go", "list", "-m", "-f", "{{.Version}}", library); err != nil {
				return nil, err
			}
		}
	}
	if err := ask("Redis", root, "redis-server", "--version"); err != nil {
		return nil, err
	}
	// "Redis server v=7.0.15 sha=…"
	last := &all[len(all)-1]
	if _, after, ok := strings.Cut(last.Version, "v="); ok {
		last.Version, _, _ = strings.Cut(after, " ")
	}
	return all, nil
}

// loadAverage is the last minute's; this benchmark alone makes up to 2.
func loadAverage() float64 {
	var v float64
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(b), &v)
	}
	return v
}
