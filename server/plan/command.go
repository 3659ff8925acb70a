package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// FlagError is a wrong flag, in one line.
type FlagError struct {
	Flag    string // with its dashes, or "argument"
	Problem string
}

func (e *FlagError) Error() string {
	return strings.Join(strings.Fields(e.Flag+": "+e.Problem), " ")
}

// Plan is what the command says, and its JSON.
type Plan struct {
	Load     Load            `json:"load"`
	Busy     float64         `json:"busy"`
	Prices   string          `json:"prices_of"` // their date
	Needs    map[string]Need `json:"needs"`     // by place
	Bills    []Bill          `json:"bills"`
	TurnFrom float64         `json:"cloud_run_cheapest_up_to_users"`
}

// numbers are the flags that take a number.
var numbers = []struct {
	name        string
	least, most float64
	initial     float64
	about       string
	of          func(*Plan, *float64) *float64 // second: engine.max_sessions
}{
	{"users", 1, 1e9, 10_000, "users connected at the same time", func(p *Plan, _ *float64) *float64 { return &p.Load.Users }},
	{"rooms", 1, 1e9, 1000, "rooms that exist", func(p *Plan, _ *float64) *float64 { return &p.Load.Rooms }},
	{"rate", 0, 1e9, 100, "messages a second, of all users together", func(p *Plan, _ *float64) *float64 { return &p.Load.Rate }},
	{"joined", 0, 1000, 1, "rooms that a user is in", func(p *Plan, _ *float64) *float64 { return &p.Load.Joined }},
	{"text", 1, 65_536, textMeasured, "bytes of a message's text", func(p *Plan, _ *float64) *float64 { return &p.Load.Text }},
	{"typing", 0, 100, 0.5, "typing events for each message: delivered, not kept", func(p *Plan, _ *float64) *float64 { return &p.Load.Typing }},
	{"requests", 0, 100, 0.4, "joins, leaves and pages of history for each message", func(p *Plan, _ *float64) *float64 { return &p.Load.Requests }},
	{"connects", 0, 3600, 1.1, "connects of a user in an hour; Cloud Run alone makes 1", func(p *Plan, _ *float64) *float64 { return &p.Load.Connects }},
	{"last", 1, 1e8, 10_000, "messages kept of a room: log.max_messages", func(p *Plan, _ *float64) *float64 { return &p.Load.Last }},
	{"busy", 0.05, 1, 0.6, "share of the nodes' processors that may be used", func(p *Plan, _ *float64) *float64 { return &p.Busy }},
	{"sessions", 1, 1e7, maxSessions, "connections of a node: engine.max_sessions, and its open files", func(_ *Plan, s *float64) *float64 { return s }},
}

// Command is "antchat plan": args follow that word. An error is a *FlagError,
// or the writer's.
func Command(args []string, w io.Writer) error {
	p, sessions := &Plan{}, 0.0
	f := flag.NewFlagSet("plan", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	for _, n := range numbers {
		value := n.of(p, &sessions)
		*value = n.initial
		f.Func(n.name, "", func(text string) error {
			v, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
			if err != nil || !(v >= n.least && v <= n.most) {
				return fmt.Errorf("allowed is a number from %s to %s", group(n.least), group(n.most))
			}
			*value = v
			return nil
		})
	}
	keep := f.Duration("keep", 7*24*time.Hour, "")
	file := f.String("prices", "", "")
	asJSON := f.Bool("json", false, "")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return help(w)
	} else if err != nil {
		return &FlagError{"plan", err.Error() + "; antchat plan --help lists all"}
	}
	if f.NArg() > 0 {
		return &FlagError{"argument", fmt.Sprintf("%q is not allowed: plan takes flags only; antchat plan --help lists them", f.Arg(0))}
	}
	if *keep < 0 || *keep > 10*365*24*time.Hour {
		return &FlagError{"--keep", "allowed is a time from 0s to 87600h"}
	}
	p.Load.Keep = keep.Seconds()
	if p.Load.Joined > p.Load.Rooms {
		return &FlagError{"--joined", "nobody is in more rooms than there are"}
	}
	prices, err := openPrices(*file)
	if err != nil {
		return &FlagError{"--prices", err.Error()}
	}
	p.make(prices, sessions)
	if *asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(p)
	}
	return p.write(w)
}

func openPrices(name string) (*Prices, error) {
	if name == "" {
		return ReadPrices(bytes.NewReader(ours))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	prices, err := ReadPrices(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return prices, nil
}

func (p *Plan) make(prices *Prices, sessions float64) {
	p.Prices, p.Needs = prices.Date, make(map[string]Need)
	for _, at := range prices.places(p.Busy, sessions) {
		b, n := prices.bill(&p.Load, &at)
		p.Bills = append(p.Bills, b)
		p.Needs[at.name] = *n
	}
	p.TurnFrom = prices.Turn(&p.Load, p.Busy, sessions)
}

func help(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Usage: antchat plan --users N --rooms N --rate N [options]\n\nSays what a fleet needs, and what that costs a month (docs/capacity.md).\n\n")
	for _, n := range numbers {
		fmt.Fprintf(&b, "  --%-9s %s\n              (from %s to %s, default %s)\n", n.name, n.about, group(n.least), group(n.most), group(n.initial))
	}
	b.WriteString("  --keep      how long messages are kept: log.max_age (default 168h)\n" +
		"  --prices    YAML file of prices; by default the program's own, which are\n              assumptions\n" +
		"  --json      write JSON\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// write is the plan for people.
func (p *Plan) write(w io.Writer) error {
	l := &p.Load
	var b strings.Builder
	vm := p.Needs["VMs"]
	fmt.Fprintf(&b, "%s users in %s rooms (%s members each), %s messages a second: %s deliveries and %s connects a second\n\n",
		group(l.Users), group(l.Rooms), group(vm.Members), group(l.Rate), group(vm.Deliveries), group(vm.Connects))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(what string, value func(b *Bill, n *Need) string) {
		_, _ = fmt.Fprint(t, what)
		for i := range p.Bills {
			n := p.Needs[p.Bills[i].Place]
			_, _ = fmt.Fprint(t, "\t", value(&p.Bills[i], &n))
		}
		_, _ = fmt.Fprintln(t)
	}
	row("", func(b *Bill, _ *Need) string { return b.Place })
	row("nodes", func(_ *Bill, n *Need) string { return group(n.Nodes) })
	row("  bound by", func(_ *Bill, n *Need) string { return n.Bound })
	row("  by CPU / memory / connections", func(_ *Bill, n *Need) string {
		return group(n.ByCPU) + " / " + group(n.ByMem) + " / " + group(n.ByConns)
	})
	row("  cores in use, all nodes", func(_ *Bill, n *Need) string { return fmt.Sprintf("%.2f", n.NodeCPU) })
	row("  memory of each, MiB", func(_ *Bill, n *Need) string { return group(n.NodeMemory / (1 << 20)) })
	row("nodes that a message goes to", func(_ *Bill, n *Need) string { return fmt.Sprintf("%.1f", n.Copies) })
	row("  a node's work for one, ms", func(_ *Bill, n *Need) string { return fmt.Sprintf("%.2f", 1000*n.Fanout) })
	row("Redis primaries", func(_ *Bill, n *Need) string { return group(n.Shards) })
	row("  bound by", func(_ *Bill, n *Need) string { return n.ShardBound })
	row("  core in use, each", func(_ *Bill, n *Need) string { return fmt.Sprintf("%.2f", n.RedisCPU) })
	row("  used memory, all, GiB", func(_ *Bill, n *Need) string { return fmt.Sprintf("%.2f", n.RedisUsed/(1<<30)) })
	row("  memory to provide, each, GiB", func(_ *Bill, n *Need) string { return fmt.Sprintf("%.1f", n.RedisGiB) })
	row("to clients, Mbit/s", func(_ *Bill, n *Need) string { return group(n.Network.Out * 8 / 1e6) })
	row("from clients, Mbit/s", func(_ *Bill, n *Need) string { return group(n.Network.In * 8 / 1e6) })
	row("nodes and Redis, Mbit/s", func(_ *Bill, n *Need) string { return group(n.Network.Redis * 8 / 1e6) })
	row("dollars a month: machines", func(b *Bill, _ *Need) string { return group(b.Machines) })
	row("  Redis", func(b *Bill, _ *Need) string { return group(b.Redis) })
	row("  traffic to clients", func(b *Bill, _ *Need) string { return group(b.Egress) })
	row("  together", func(b *Bill, _ *Need) string { return group(b.Total) })
	_ = t.Flush() // to memory
	fmt.Fprintf(&b, "\nPrices as assumed on %s. ", p.Prices)
	switch {
	case p.TurnFrom == 0:
		b.WriteString("VMs are never dearer than Cloud Run.\n")
	case p.TurnFrom*turnStep >= turnTo:
		fmt.Fprintf(&b, "Cloud Run costs no more than VMs up to %s users, which is as far as was looked.\n", group(turnTo))
	default:
		fmt.Fprintf(&b, "If each user does the same, Cloud Run costs no more than VMs up to %s users.\n", group(p.TurnFrom))
	}
	for _, text := range vm.Warnings {
		fmt.Fprintf(&b, "WARNING: %s\n", text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// group writes a number with commas, and with a digit behind the point when it
// is small.
func group(v float64) string {
	if v < 10 && v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	text := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
