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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/antchat/antchat/deploy/load/process"
)

// pinnedEnv marks the process that runs on the second core already.
const pinnedEnv = "BENCH_PINNED"

type options struct {
	runs        int
	measure     time.Duration
	only, peers []string
	idleClients int
	loadTool    string // its program
	spin        bool
	profile     string
	storm       int     // clients of the node that is killed
	record      string  // directory of the documents to write; "" is none
	growth      string  // the same directory: measure growth instead
	merge       bool    // into the record that is there
	rewrite     string  // the same directory: from the record that is there
	check       string  // the record to compare with; "" is none
	tolerance   float64 // how much of a recorded ratio may be lost
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

func parseOptions(args []string) (options, error) {
	var o options
	var only, peers string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.runs, "runs", 3, "runs per figure; the median counts")
	f.DurationVar(&o.measure, "measure", 6*time.Second, "measured time of a run, after 2 s of warm-up")
	f.StringVar(&only, "only", "", "what to measure: "+strings.Join(order, ",")+"; with -growth "+strings.Join(stageNames(), ",")+" (default all of them)")
	f.StringVar(&peers, "peers", strings.Join(peerNames(), ","), "which servers to measure; bare only writes ready-made frames")
	f.IntVar(&o.idleClients, "idle", 10_000, "connections of the idle measurement; with -check as many as in the record")
	f.IntVar(&o.storm, "storm", 15000, "clients of the node that is killed; a fifth as many are on the others")
	f.BoolVar(&o.spin, "spin", false, "let the generator poll instead of sleeping: its wake-ups then stay out of the server's bill")
	f.StringVar(&o.profile, "profile", "", "directory for a CPU and a heap profile of our server per run (pprof)")
	f.StringVar(&o.record, "record", "", "the repository's root: write docs/benchmarks.json from this run, and all that is made of it")
	f.BoolVar(&o.merge, "merge", false, "with -record or -growth: only what is measured now (-only, -peers) replaces what is recorded")
	f.StringVar(&o.growth, "growth", "", "the repository's root: measure cost against size instead, and write docs/growth.json and all that is made of it; uses -runs and -measure")
	f.StringVar(&o.rewrite, "rewrite", "", "the repository's root: measure nothing, make the documents of docs/benchmarks.json anew")
	f.StringVar(&o.check, "check", "", "a record (docs/benchmarks.json): say which ratios are worse now, and fail if any is")
	f.Float64Var(&o.tolerance, "tolerance", 0.25, "how much worse a ratio may be in -check, as a part of the recorded one")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	known := order
	if o.growth != "" {
		known = stageNames()
	}
	o.only, o.peers = known, strings.Split(peers, ",")
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(known, name) {
			return o, fmt.Errorf("-only: %q is not one of %s", name, strings.Join(known, ", "))
		}
	}
	for _, name := range o.peers {
		if !slices.Contains(peerNames(), name) {
			return o, fmt.Errorf("-peers: %q is not one of %s", name, strings.Join(peerNames(), ", "))
		}
	}
	if o.merge && o.record == "" && o.growth == "" {
		return o, errors.New("-merge: needs -record or -growth")
	}
	if f.NArg() > 0 || o.runs < 1 || o.measure < time.Second || o.idleClients < firstClients || o.storm < 10 || o.tolerance < 0 {
		return o, errors.New("see -help")
	}
	return o, nil
}

// arguments measure the same again, and record it.
func (o options) arguments() []string {
	all := []string{
		"-runs", strconv.Itoa(o.runs), "-measure", o.measure.String(), "-idle", strconv.Itoa(o.idleClients), "-storm", strconv.Itoa(o.storm),
		"-only", strings.Join(o.only, ","), "-peers", strings.Join(o.peers, ","),
	}
	if o.spin {
		all = append(all, "-spin")
	}
	all = append(all, "-record", ".")
	if o.merge {
		all = append(all, "-merge")
	}
	return all
}

// turns calls f for everything that is measured, in its order, until an error.
func (o options) turns(f func(run int, name string, p peer) error) error {
	for run := range o.runs {
		for _, name := range o.only {
			m := measurements[name]
			for _, p := range peers {
				if !slices.Contains(o.peers, p.name) || !p.takesPart(m) || m.once && run > 0 && p.name != "antchat" && p.name != "node" {
					continue
				}
				if err := f(run, name, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// estimate is about how long all of it takes.
func (o options) estimate() time.Duration {
	all := 20 * time.Second // builds
	_ = o.turns(func(_ int, name string, _ peer) error {
		m := measurements[name]
		all += time.Duration(m.besides*float64(time.Second)) + time.Duration(m.stretches)*(warmUp+o.measure)
		return nil
	})
	return all
}

func bench(ctx context.Context) error {
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.rewrite != "" {
		return rewrite(o.rewrite)
	}
	var last *record
	if o.check != "" {
		if last, err = readRecord(o.check); err != nil {
			return err
		}
		o.idleClients = last.Idle // what all share is spread over them
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "antchat-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.growth != "" {
		return recordGrowth(ctx, root, dir, o)
	}
	r, err := o.newRecord(ctx, root)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "about %.0f minutes\n", o.estimate().Minutes())
	if err := r.measure(ctx, root, dir, o); err != nil {
		return err
	}
	r.Figures.derive()
	if err := r.Figures.print(os.Stdout, o.peers); err != nil {
		return err
	}
	var ours []string
	for _, f := range r.Failures {
		fmt.Println("failed:", f)
		if strings.HasPrefix(f, "antchat ") {
			ours = append(ours, f)
		}
	}
	if o.record != "" {
		if o.merge {
			before, err := readRecord(filepath.Join(o.record, recordPath))
			if err != nil {
				return err
			}
			before.merge(r)
			r = before
		}
		if err := r.write(o.record); err != nil {
			return err
		}
	}
	if len(ours) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(ours, "; "))
	}
	if last != nil {
		return check(os.Stdout, last, r, o.tolerance)
	}
	return nil
}

// rewrite makes the documents of both records anew.
func rewrite(root string) error {
	r, err := readRecord(filepath.Join(root, recordPath))
	if err != nil {
		return err
	}
	if err := r.write(root); err != nil {
		return err
	}
	g, err := readGrowth(filepath.Join(root, growthPath))
	if err != nil {
		return err
	}
	return g.write(root)
}

// newRecord is one without figures.
func (o options) newRecord(ctx context.Context, root string) (*record, error) {
	r := &record{
		Date: time.Now().UTC().Format(time.DateOnly), Arguments: o.arguments(), Runs: o.runs,
		Seconds: o.measure.Seconds(), Idle: o.idleClients, Figures: newFigures(), Parts: map[string]part{},
	}
	var err error
	if r.Machine, err = process.Machine(); err != nil {
		return nil, err
	}
	r.Machine += ", loopback"
	if r.Versions, err = versions(ctx, root, o.peers); err != nil {
		return nil, err
	}
	if o.record != "" { // better said now than after the measurements
		if _, err := r.documents(o.record); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// measure takes all turns.
func (r *record) measure(ctx context.Context, root, dir string, o options) error {
	names := slices.Clone(o.peers)
	if slices.Contains(names, "antchat") {
		names = append(names, "program", "load")
	}
	servers, err := build(ctx, root, dir, names)
	if err != nil {
		return err
	}
	if tool := servers["load"]; tool != nil {
		o.loadTool = tool[0]
	}
	began := time.Now()
	err = o.turns(func(run int, name string, p peer) error {
		m := measurements[name]
		argv, redisFlag := servers[p.name], "--redis"
		if m.program && p.name == "antchat" {
			redisFlag = "--redis.url"
			argv = append(slices.Clip(servers["program"]), filepath.Join(dir, fmt.Sprintf("data-%s-%d-{node}", name, run)))
			if m.limited {
				argv = append(argv, "--fairness.mode=on") // which startServer turns off
			}
		} else if o.profile != "" && p.name == "antchat" {
			argv = append(slices.Clip(argv), "-profile", filepath.Join(o.profile, fmt.Sprintf("%s-%d-{node}.prof", name, run)))
		}
		what := fmt.Sprintf("%s %s, run %d of %d", p.name, name, run+1, o.runs)
		if err := one(ctx, root, argv, redisFlag, p, m, o, r.Figures); err != nil {
			// That one does not stand the load is a result, and half an hour of others is
			// not lost for it. Ours fails the run at its end.
			if ctx.Err() != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
			r.Failures = append(r.Failures, fmt.Sprintf("%s: %v", what, err))
		}
		fmt.Fprintf(os.Stderr, "%4.0f s  %s done\n", time.Since(began).Seconds(), what)
		for len(r.Loads) <= run {
			r.Loads = append(r.Loads, 0)
		}
		r.Loads[run] = loadAverage()
		return nil
	})
	for _, name := range o.only {
		r.Parts[name] = part{Commit: r.commit(), Date: r.Date, Peers: o.peers, Runs: r.Runs, Seconds: r.Seconds, Loads: r.Loads}
	}
	return err
}

// one measures one peer once.
func one(ctx context.Context, root string, argv []string, redisFlag string, peer peer, measure measurement, o options, figures figures) error {
	f, err := startFleet(ctx, root, measure.nodes, measure.redis, redisFlag, argv)
	if err != nil {
		return err
	}
	stop := sync.OnceFunc(f.stop)
	defer stop()
	time.Sleep(500 * time.Millisecond) // its start-up is not what is measured
	l, err := newLoad(peer.revision, o.spin)
	if err != nil {
		return err
	}
	l.chat, l.others = measure.chat, measure.others
	defer l.close()
	defer stop() // while the clients are there: a heap profile should show them
	return measure.run(ctx, f, l, o, func(key string, value float64) { figures.add(key, peer.name, value) })
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
