package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// pinnedEnv marks the process that runs on the second core already.
const pinnedEnv = "BENCH_PINNED"

type options struct {
	runs        int
	measure     time.Duration
	only, peers []string
	idleClients int
	spin        bool
	profile     string
}

func main() {
	if err := pin(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// pin starts this program again on the second core: an affinity set from
// within would miss the threads that the runtime has started already.
func pin() error {
	if os.Getenv(pinnedEnv) != "" || runtime.NumCPU() < 2 {
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return errors.New("taskset is missing (Debian: apt-get install util-linux)")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := append([]string{"taskset", "-c", "1", self}, os.Args[1:]...)
	return syscall.Exec(taskset, argv, append(os.Environ(), pinnedEnv+"=1"))
}

func bench(ctx context.Context) error {
	var o options
	var only, peers string
	flag.IntVar(&o.runs, "runs", 3, "runs per figure; the median counts")
	flag.DurationVar(&o.measure, "measure", 8*time.Second, "measured time of a run, after 2 s of warm-up")
	flag.StringVar(&only, "only", strings.Join(order, ","), "what to measure")
	flag.StringVar(&peers, "peers", "node,antchat,bare", "which servers to measure: node, antchat, and bare, which only writes ready-made frames (in the runs on one node with rooms)")
	flag.IntVar(&o.idleClients, "idle", 10000, "connections of the idle measurement")
	flag.BoolVar(&o.spin, "spin", false, "let the generator poll instead of sleeping: its wake-ups then stay out of the server's bill")
	flag.StringVar(&o.profile, "profile", "", "directory for a CPU and a heap profile of our server per run (pprof)")
	flag.Parse()
	o.only, o.peers = strings.Split(only, ","), strings.Split(peers, ",")
	if flag.NArg() > 0 || o.runs < 1 || o.measure < time.Second || o.idleClients < firstClients {
		return errors.New("see -help")
	}

	root, err := moduleRoot()
	if err != nil {
		return err
	}
	servers := map[string][]string{"node": {"node", filepath.Join(root, "server/e2e/bench/node/server.mjs")}}
	dir, err := os.MkdirTemp("", "antchat-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, from := range map[string]string{
		"antchat": "./server/e2e/bench/antchat", "bare": "./server/e2e/bench/bare", "program": "./server",
	} {
		bin := filepath.Join(dir, name)
		build := exec.CommandContext(ctx, "go", "build", "-o", bin, from)
		build.Dir, build.Stderr = root, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build %s: %w", from, err)
		}
		servers[name] = []string{bin}
	}
	// As a user runs it, with its log and its session records on disk.
	servers["program"] = append(servers["program"], "--http.addr", "127.0.0.1", "--http.port", "0", "--logging.level", "warn", "--data.dir")
	if slices.Contains(o.peers, "node") {
		if _, err := exec.LookPath("node"); err != nil {
			return errors.New("node is missing (20 or later)")
		}
		for _, name := range []string{"socket.io", "@socket.io/redis-adapter"} {
			if _, err := os.Stat(filepath.Join(root, "server/e2e/node_modules", name)); err != nil {
				return fmt.Errorf("the npm package %s is missing: run npm ci in server/e2e", name)
			}
		}
	}

	figures := newFigures()
	for run := range o.runs {
		for _, name := range o.only {
			measure, ok := measurements[name]
			if !ok {
				return fmt.Errorf("-only: %q is not one of %s", name, strings.Join(order, ", "))
			}
			for _, peer := range o.peers {
				argv, ok := servers[peer]
				if !ok || peer == "program" {
					return fmt.Errorf("-peers: %q is not one of node, antchat, bare", peer)
				}
				if peer == "bare" && !measure.bare || measure.ours && peer != "antchat" {
					continue
				}
				if measure.program && peer == "antchat" {
					argv = append(slices.Clip(servers["program"]), filepath.Join(dir, fmt.Sprintf("data-%s-%d", name, run)))
					if measure.ours {
						argv = append(argv, "--fairness.mode=on") // which startServer turns off
					}
				} else if o.profile != "" && peer == "antchat" {
					argv = append(slices.Clip(argv), "-profile", filepath.Join(o.profile, fmt.Sprintf("%s-%d-{node}.prof", name, run)))
				}
				if err := one(ctx, root, argv, peer, measure, o, figures); err != nil {
					return fmt.Errorf("%s, %s: %w", peer, name, err)
				}
				fmt.Fprintf(os.Stderr, "%s %s, run %d of %d done\n", peer, name, run+1, o.runs)
			}
		}
	}
	return figures.print(os.Stdout)
}

// one measures one peer once.
func one(ctx context.Context, root string, argv []string, peer string, measure measurement, o options, figures *figures) error {
	f, err := startFleet(ctx, root, measure.nodes, argv)
	if err != nil {
		return err
	}
	stop := sync.OnceFunc(f.stop)
	defer stop()
	time.Sleep(500 * time.Millisecond) // its start-up is not what is measured
	l, err := newLoad(o.spin)
	if err != nil {
		return err
	}
	defer l.close()
	defer stop() // while the clients are there: a heap profile should show them
	return measure.run(ctx, f, l, o, func(key string, value float64) { figures.add(key, peer, value) })
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(mod) != "go.mod" {
		return "", errors.New("run it from within the repository")
	}
	return filepath.Dir(mod), nil
}
