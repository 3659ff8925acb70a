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
	only  string
	mixes int
	parts int
	json  string
	list  bool
	race  bool
	short bool
}

func command(ctx context.Context, args []string, out io.Writer) error {
	o := options{settings: settings{out: out}}
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.IntVar(&o.nodes, "nodes", 3, "server processes; 1 needs no Redis")
	flags.StringVar(&o.fsync, "fsync", "always", "Redis's appendfsync: always, everysec")
	flags.StringVar(&o.only, "only", "", "faults, separated by commas; none means all and the mixes")
	flags.IntVar(&o.mixes, "mixes", 2, "random mixes after the single faults")
	flags.IntVar(&o.parts, "parts", 6, "faults of a mix")
	flags.Uint64Var(&o.seed, "seed", 0, "of the random choices; 0 draws one")
	flags.StringVar(&o.json, "json", "", "file for the figures; none means the output")
	flags.BoolVar(&o.list, "list", false, "list the faults")
	flags.StringVar(&o.bin, "bin", "", "a server that was built already")
	flags.BoolVar(&o.race, "race", false, "build the server with the race detector")
	flags.BoolVar(&o.short, "short", false, "less load")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.nodes < 1 || o.nodes > 16 || o.mixes < 0 || o.parts < 1 || o.fsync != "always" && o.fsync != "everysec" {
		return errors.New("see -help")
	}
	if o.list {
		for _, f := range faults {
			fmt.Fprintf(out, "%-16s %s\n", f.name, f.about)
		}
		return nil
	}
	o.size = normal
	if o.short {
		o.size = short
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1e9
	}

	chosen, err := o.choose()
	if err != nil {
		return err
	}
	if o.bin == "" {
		dir, err := os.MkdirTemp("", "antchat-faults-bin-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if o.bin, err = buildServer(ctx, dir, o.race); err != nil {
			return err
		}
	}
	if o.here, err = packageDir(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "seed %d, %d nodes, %d connections, appendfsync %s\n", o.seed, o.nodes, o.size.goClients+o.size.nodeClients, o.fsync)
	return o.runAll(ctx, chosen)
}

// choose is which faults happen, in which order.
func (o *options) choose() ([]fault, error) {
	possible := faultsFor(o.nodes > 1, o.fsync)
	if o.only != "" {
		var chosen []fault
		for name := range strings.SplitSeq(o.only, ",") {
			i := slices.IndexFunc(possible, func(f fault) bool { return f.name == name })
			if i < 0 {
				return nil, fmt.Errorf("no fault %q with %d nodes and appendfsync %s: see -list", name, o.nodes, o.fsync)
			}
			chosen = append(chosen, possible[i])
		}
		return chosen, nil
	}
	random := rand.New(rand.NewPCG(o.seed, 2))
	chosen := slices.Clone(possible)
	for range o.mixes {
		chosen = append(chosen, mixed(possible, o.parts, random.IntN))
	}
	return chosen, nil
}

func (o *options) runAll(ctx context.Context, chosen []fault) error {
	var all []*figures
	var rows [][]string
	broken := false
	for _, f := range chosen {
		figures, err := run(ctx, o.settings, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if figures == nil {
			return err
		}
		ok := figures.kept(o.mayLose(f))
		broken = broken || !ok
		writeLine(o.out, figures, ok)
		all, rows = append(all, figures), append(rows, figures.row(ok))
	}
	fmt.Fprintln(o.out)
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

// mayLose: with everysec Redis answers before its file is safe.
func (s *settings) mayLose(f fault) bool { return f.loses || s.nodes > 1 && s.fsync != "always" }

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
