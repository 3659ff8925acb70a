package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/antchat/antchat/deploy/load/process"
)

// options are the command line's.
type options struct {
	clients, nodes, processes, rooms, opening int
	rate                                      float64
	duration, warmUp, limit                   time.Duration
	record                                    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	o := options{}
	f := flag.NewFlagSet("fleet", flag.ContinueOnError)
	f.IntVar(&o.clients, "clients", 250_000, "clients")
	f.IntVar(&o.nodes, "nodes", 15, "nodes of Antchat")
	f.IntVar(&o.processes, "processes", 15, "processes of the load tool")
	f.IntVar(&o.rooms, "rooms", 0, "rooms; by default a tenth of the clients")
	f.IntVar(&o.opening, "opening", 240, "handshakes under way at a time")
	f.Float64Var(&o.rate, "rate", 500, "actions of the clients a second: half of them messages")
	f.DurationVar(&o.duration, "duration", time.Minute, "measured time")
	f.DurationVar(&o.warmUp, "warm-up", 15*time.Second, "what goes before the measured time")
	f.DurationVar(&o.limit, "limit", 20*time.Minute, "the load ends after this, whatever happens")
	f.StringVar(&o.record, "record", "", "the repository's root: write docs/fleet.md, docs/fleet.svg and docs/fleet.json there")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q: everything is an option; see -help", f.Arg(0))
	}
	if o.rooms == 0 {
		o.rooms = max(o.processes, o.clients/10)
	}
	if o.nodes < 1 || o.nodes > 64 || o.processes < 1 || o.processes > 64 || o.clients < o.processes {
		return errors.New("-nodes and -processes: from 1 to 64, and a client for each process")
	}
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	r.Arguments = args
	fmt.Print(r.page())
	if o.record == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	docs := filepath.Join(o.record, "docs")
	return errors.Join(
		os.WriteFile(filepath.Join(docs, "fleet.json"), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(docs, "fleet.md"), []byte(r.page()), 0o644))
}

// measure starts everything, lets the load run, and ends everything.
func measure(ctx context.Context, o options) (*record, error) {
	of := commit() // before a plot changes the tree
	dir, err := os.MkdirTemp("", "antchat-fleet-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, pkg := range map[string]string{"antchat": "./server", "load": "./deploy/load"} {
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), pkg).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	f, err := startFleet(ctx, dir, o.nodes)
	defer f.stop()
	if err != nil {
		return nil, err
	}
	empty, err := readMemory()
	if err != nil {
		return nil, err
	}
	var most memory
	watched, stop := context.WithCancel(ctx)
	seen := make(chan error, 1)
	go func() { seen <- watchMemory(watched, &most) }()
	result := filepath.Join(dir, "load.json")
	plot := filepath.Join(dir, "load.svg")
	if o.record != "" {
		if plot, err = filepath.Abs(filepath.Join(o.record, "docs", "fleet.svg")); err != nil {
			stop()
			return nil, err
		}
	}
	load := exec.CommandContext(ctx, filepath.Join(dir, "load"),
		"-mode", "chat", "-vocabulary", "antchat", "-clients", strconv.Itoa(o.clients), "-rooms", strconv.Itoa(o.rooms),
		"-processes", strconv.Itoa(o.processes), "-rate", strconv.FormatFloat(o.rate, 'f', -1, 64), "-opening", strconv.Itoa(o.opening),
		"-sources", "8", "-warm-up", o.warmUp.String(), "-duration", o.duration.String(), "-limit", o.limit.String(), "-grace", "1m",
		"-targets", f.targets(), "-pids", f.pids(), "-json", result, "-svg", plot)
	load.Cancel = func() error { return load.Process.Signal(syscall.SIGTERM) }
	load.WaitDelay = 30 * time.Second
	load.Stdout, load.Stderr = os.Stderr, os.Stderr
	began := time.Now()
	err = load.Run()
	if err != nil {
		err = errors.Join(err, said(dir))
	}
	stop()
	err = errors.Join(err, <-seen)
	text, rerr := os.ReadFile(result)
	if rerr != nil {
		return nil, errors.Join(err, rerr)
	}
	r := &record{
		Date: time.Now().UTC().Format(time.DateOnly), Commit: of, Took: time.Since(began).Seconds(),
		Nodes: o.nodes, Processes: o.processes, Go: runtime.Version(), Empty: empty, Full: most,
	}
	if err := errors.Join(err, json.Unmarshal(text, &r.Load)); err != nil {
		return nil, err
	}
	if l := &r.Load; l.Delivery == nil || l.Ack == nil || l.Self == nil || len(l.Servers) != 1+o.nodes {
		return nil, errors.New("the load tool measured nothing")
	}
	if r.Machine, err = process.Machine(); err != nil {
		return nil, err
	}
	r.Redis, err = f.redisInfo(ctx)
	return r, err
}

// said tells what the servers had to say, each with how often, when a run has
// failed.
func said(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "node-*", "log"))
	if err != nil {
		return err
	}
	often := map[string]int{}
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			var entry struct {
				Level, Msg, Error, Err, Why string
			}
			if json.Unmarshal(line, &entry) != nil {
				entry.Msg = string(line) // a panic, perhaps
			}
			if entry.Level != "INFO" {
				often[fmt.Sprintf("%.300s", strings.TrimSpace(strings.Join([]string{entry.Level, entry.Msg, entry.Error, entry.Err, entry.Why}, " ")))]++
			}
		}
	}
	all := slices.SortedFunc(maps.Keys(often), func(a, b string) int { return often[b] - often[a] })
	for _, what := range all[:min(len(all), 50)] {
		fmt.Fprintf(os.Stderr, "%6d × %s\n", often[what], what)
	}
	return nil
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
