package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Exit codes.
const (
	exitBroken = 1 // a promise was broken
	exitFailed = 2 // the harness could not do its work
)

var errBroken = errors.New("a promise was broken")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, errBroken):
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(exitBroken)
	case err != nil:
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(exitFailed)
	}
}

type options struct {
	settings
	forms string
	fleet int
	only  string
	mixes int
	parts int
	json  string
	list  bool
	race  bool
	short bool
	soak  soak
}

// form is a kind of world.
type form struct {
	name  string
	fleet bool
	fsync string // Redis's appendfsync
	// pair: a primary and a replica under a Sentinel. acks is how many replicas
	// must have a message before it is acknowledged.
	pair bool
	acks int
}

var forms = []form{
	{name: "single"},
	{name: "always", fleet: true, fsync: "always"},
	{name: "everysec", fleet: true, fsync: "everysec"},
	{name: "sentinel", fleet: true, fsync: "always", pair: true, acks: 1},
	{name: "unconfirmed", fleet: true, fsync: "everysec", pair: true},
}

func (o *options) parse(args []string, out io.Writer) error {
	o.out = out
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.StringVar(&o.forms, "forms", "single,always,everysec,sentinel,unconfirmed", "one node on disk; a fleet on Redis with appendfsync always, or everysec; on a Sentinel's pair that confirms each message, or does not")
	flags.IntVar(&o.fleet, "nodes", 3, "server processes of a fleet")
	flags.StringVar(&o.only, "only", "", "faults, separated by commas; a+b/c runs a and then b, with c beside them; mix means random mixes alone, none all faults and the mixes")
	flags.IntVar(&o.mixes, "mixes", 2, "random mixes after the single faults, per form")
	flags.IntVar(&o.parts, "parts", 6, "faults of a mix")
	flags.Uint64Var(&o.seed, "seed", 0, "of the random choices; 0 draws one")
	flags.StringVar(&o.json, "json", "", "file for the figures; none means the output")
	flags.BoolVar(&o.list, "list", false, "list the faults")
	flags.StringVar(&o.bin, "bin", "", "a server that was built already")
	flags.BoolVar(&o.race, "race", false, "build the server with the race detector")
	flags.BoolVar(&o.debug, "debug", false, "let the servers log everything, and keep what they have said")
	flags.BoolVar(&o.short, "short", false, "less load")
	flags.DurationVar(&o.soak.duration, "soak", 0, "in place of runs: the chat mix of deploy/load for that long, a fault every -every, and what piles up meanwhile")
	flags.DurationVar(&o.soak.every, "every", time.Minute, "from one fault of a soak to the next")
	flags.IntVar(&o.soak.clients, "clients", 400, "of a soak")
	flags.Float64Var(&o.soak.rate, "rate", 200, "actions a second of all clients of a soak")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := o.soak.check(); err != nil {
		return err
	}
	o.soak.tail, o.soak.faults = soakTail, soakFaults
	if flags.NArg() > 0 || o.fleet < 2 || o.fleet > 16 || o.mixes < 0 || o.parts < 1 {
		return errors.New("see -help")
	}
	o.size = normal
	if o.short {
		o.size = short
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1e9
	}
	return nil
}

func command(ctx context.Context, args []string, out io.Writer) error {
	if !hasSignals {
		return errors.New("this system has no signals to stop and wake processes with")
	}
	var o options
	if err := o.parse(args, out); err != nil {
		return err
	}
	if o.list {
		for _, f := range faults {
			_, _ = fmt.Fprintf(out, "%-16s %s\n", f.name, f.about)
		}
		return nil
	}
	var err error
	if o.here, err = packageDir(ctx); err != nil {
		return err
	}
	if o.bin == "" {
		dir, err := os.MkdirTemp("", "antchat-faults-bin-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if o.bin, err = buildServer(ctx, dir, o.race); err != nil {
			return err
		}
	}
	if o.soak.duration > 0 {
		return o.soakAll(ctx)
	}
	plan, err := o.plan()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(plan, func(s step) bool { return s.fault.clock }) {
		dir, err := os.MkdirTemp("", "antchat-faults-clock-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		bin, err := buildClockServer(ctx, dir, o.race)
		if err != nil {
			return err
		}
		for i := range plan {
			plan[i].clockBin = bin
		}
	}
	_, _ = fmt.Fprintf(out, "seed %d, %d runs, %d connections each\n", o.seed, len(plan), o.size.goClients+o.size.nodeClients)
	return o.runAll(ctx, plan)
}

// step is one run.
type step struct {
	settings
	fault fault
}

// plan is which faults happen in which world, in which order.
func (o *options) plan() (plan []step, err error) {
	for name := range strings.SplitSeq(o.forms, ",") {
		i := slices.IndexFunc(forms, func(f form) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no form %q: there are single, always, everysec, sentinel and unconfirmed", name)
		}
		chosen, err := o.choose(forms[i])
		if err != nil {
			return nil, err
		}
		s := o.settings
		s.form, s.nodes = forms[i], 1
		if s.form.fleet {
			s.nodes = o.fleet
		}
		for _, f := range chosen {
			plan = append(plan, step{s, f})
		}
	}
	if len(plan) == 0 {
		return nil, fmt.Errorf("no form of %s can have the fault %s: see -list", o.forms, o.only)
	}
	return plan, nil
}

// onlyMixes, in place of faults, leaves out the single ones.
const onlyMixes = "mix"

// choose is which faults happen in worlds of one form.
func (o *options) choose(f form) (chosen []fault, err error) {
	possible := faultsFor(f)
	if o.only == "" || o.only == onlyMixes {
		random := rand.New(rand.NewPCG(o.seed, 2))
		if o.only == "" {
			chosen = slices.Clone(possible)
		}
		for range o.mixes {
			chosen = append(chosen, mixed(f, o.parts, random))
		}
		return chosen, nil
	}
	for text := range strings.SplitSeq(o.only, ",") {
		mix, err := parseMix(text, possible)
		if err != nil {
			return nil, err
		}
		if mix != nil {
			chosen = append(chosen, *mix)
		}
	}
	return chosen, nil
}

func (o *options) runAll(ctx context.Context, plan []step) error {
	var all []*figures
	var rows [][]string
	broken := false
	for _, s := range plan {
		figures, err := run(ctx, s.settings, s.fault)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if figures == nil {
			return err
		}
		ok := figures.kept(s.mayLose(s.fault))
		broken = broken || !ok
		writeLine(o.out, figures, ok)
		all, rows = append(all, figures), append(rows, figures.row(ok))
	}
	_, _ = fmt.Fprintln(o.out)
	if err := writeTable(o.out, rows); err != nil {
		return err
	}
	if err := o.writeJSON(all); err != nil {
		return err
	}
	if broken {
		return errBroken
	}
	return nil
}

func (o *options) writeJSON(all []*figures) error {
	if o.json == "" {
		return writeJSON(o.out, all)
	}
	file, err := os.Create(o.json)
	if err != nil {
		return err
	}
	return errors.Join(writeJSON(file, all), file.Close())
}

// packageDir is where the JavaScript of this package is.
func packageDir(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/antchat/antchat/server/e2e/faults").Output()
	if err != nil {
		return "", fmt.Errorf("find this package: %w", err)
	}
	return filepath.Clean(strings.TrimSpace(string(out))), nil
}
