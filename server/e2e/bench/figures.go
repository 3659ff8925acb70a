package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// figures has one value per measurement, server and run: by key, then by server.
type figures map[string]map[string][]float64

func newFigures() figures { return figures{} }

func (f figures) add(key, peer string, value float64) {
	if f[key] == nil {
		f[key] = map[string][]float64{}
	}
	f[key][peer] = append(f[key][peer], value)
}

// derive makes the figures that follow from others, run by run: what the fleet
// adds to one node's latency, and what a logged message costs beside a broadcast.
func (f figures) derive() {
	for key := range f {
		if derived(key) {
			delete(f, key)
		}
	}
	each := func(key, a, b string, of func(a, b float64) float64) {
		for peer, v := range f[a] {
			for i := range min(len(v), len(f[b][peer])) {
				f.add(key, peer, of(v[i], f[b][peer][i]))
			}
		}
	}
	for _, of := range []string{"p50", "p99", "first p50"} {
		each("added "+of, "fleet-paced "+of, "alone "+of, func(a, b float64) float64 { return a - b })
	}
	each("times cpu", "logged cpu", "plain cpu", func(a, b float64) float64 { return a / b })
}

func derived(key string) bool {
	return strings.HasPrefix(key, "added ") || strings.HasPrefix(key, "times ")
}

// rows is the table: what a key means, its printed digits, and how much of
// Node's figure ours may be, or what ours must stay below (0: no target).
type row struct {
	key, label    string
	digits        int
	target, limit float64
	// bare is how much of the bare writes' figure ours may be.
	bare float64
	// guard has -check compare ours with the others'. Less is better in all of
	// them: they are CPU and memory, which other work on the machine hardly moves.
	guard bool
}

var rows = []row{
	{key: "saturated cpu", label: "room of 1,000, saturated: CPU s per million deliveries", digits: 2, target: 0.35, guard: true},
	{key: "saturated user", label: "  of which user time", digits: 2},
	{key: "saturated rate", label: "  deliveries a second"},
	{key: "saturated p50", label: "  p50 ms", digits: 1},
	{key: "saturated p99", label: "  p99 ms", digits: 1},
	{key: "paced cpu", label: "room of 1,000, 20 messages a second: CPU s per million deliveries", digits: 2, target: 0.75, bare: 1.15, guard: true},
	{key: "paced user", label: "  of which user time", digits: 2},
	{key: "paced rate", label: "  deliveries a second"},
	{key: "paced p50", label: "  p50 ms", digits: 1, bare: 1.3},
	{key: "paced p99", label: "  p99 ms", digits: 1, bare: 1.3},
	{key: "many-saturated cpu", label: "10,000 clients in 1,000 rooms, saturated: CPU s per million deliveries", digits: 2, target: 0.35, guard: true},
	{key: "many-saturated user", label: "  of which user time", digits: 2},
	{key: "many-saturated rate", label: "  deliveries a second"},
	{key: "many-saturated p50", label: "  p50 ms", digits: 1},
	{key: "many-saturated p99", label: "  p99 ms", digits: 1},
	{key: "many-paced cpu", label: "10,000 clients in 1,000 rooms, 1,000 messages a second: CPU s per million deliveries", digits: 2, target: 0.4, guard: true},
	{key: "many-paced user", label: "  of which user time", digits: 2},
	{key: "many-paced p50", label: "  p50 ms", digits: 1},
	{key: "many-paced p99", label: "  p99 ms", digits: 1},
	{key: "idle bytes", label: "idle: resident bytes per connection", target: 0.3, guard: true},
	{key: "idle connect cpu", label: "  connecting: CPU ms per 1,000", target: 0.3, guard: true},
	{key: "idle connect rate", label: "  connects a second"},
	{key: "lobby bytes", label: "the program, all in the lobby, after a minute: resident bytes per connection", limit: 2000, guard: true},
	{key: "lobby files", label: "  of which pages of files: the log, the program"},
	{key: "lobby cpu", label: "  CPU s of that minute for 10,000", digits: 2, limit: 0.5, guard: true},
	{key: "lobby connect cpu", label: "  connecting: CPU ms per 1,000", target: 1.0 / 3},
	{key: "lobby connect rate", label: "  connects a second"},
	{key: "alone cpu", label: "room of 1,000, 15 messages a second: CPU s per million deliveries", digits: 2},
	{key: "alone p50", label: "  p50 ms", digits: 1},
	{key: "alone p99", label: "  p99 ms", digits: 1},
	{key: "alone first p50", label: "  to the first member, p50 ms", digits: 2},
	{key: "alone first p99", label: "  to the first member, p99 ms", digits: 2},
	{key: "fleet-saturated cpu", label: "two nodes, room of 2 x 500, saturated: CPU s per million deliveries", digits: 2, target: 0.35, guard: true},
	{key: "fleet-saturated user", label: "  of which user time", digits: 2},
	{key: "fleet-saturated redis", label: "  Redis: CPU s per million deliveries", digits: 3},
	{key: "fleet-saturated rate", label: "  deliveries a second"},
	{key: "fleet-saturated p50", label: "  p50 ms", digits: 1},
	{key: "fleet-saturated p99", label: "  p99 ms", digits: 1},
	{key: "fleet-paced cpu", label: "two nodes, 15 messages a second: CPU s per million deliveries", digits: 2, target: 0.75, guard: true},
	{key: "fleet-paced user", label: "  of which user time", digits: 2},
	{key: "fleet-paced redis", label: "  Redis: CPU s per million deliveries", digits: 3},
	{key: "fleet-paced rate", label: "  deliveries a second"},
	{key: "fleet-paced p50", label: "  p50 ms", digits: 1},
	{key: "fleet-paced p99", label: "  p99 ms", digits: 1},
	{key: "fleet-paced first p50", label: "  to the first member, p50 ms", digits: 2},
	{key: "fleet-paced first p99", label: "  to the first member, p99 ms", digits: 2},
	{key: "added p50", label: "  added to one node's p50 (without Redis), ms", digits: 1},
	{key: "added p99", label: "  added to one node's p99, ms", digits: 1},
	{key: "added first p50", label: "  added to one node's p50 to the first member, ms", digits: 2},
	{key: "rooms quiet others", label: "1,000 rooms on four nodes, all quiet: % of a core, each of three nodes", digits: 2},
	{key: "rooms quiet last", label: "  the last node", digits: 2},
	{key: "rooms busy others", label: "750 rooms of three nodes busy: % of a core, each of the three", digits: 2},
	{key: "rooms busy last", label: "  the last node, without a member in them", digits: 2, limit: 1},
	{key: "rooms own others", label: "250 rooms of the last node busy: % of a core, each of the three others", digits: 2, limit: 1},
	{key: "rooms own last", label: "  the last node", digits: 2},
	{key: "plain cpu", label: "two nodes, 1,000 rooms of 10, 1,000 broadcasts a second to the 9 others: CPU s per million deliveries", digits: 2},
	{key: "plain user", label: "  of which user time", digits: 2},
	{key: "plain redis", label: "  Redis: CPU s per million deliveries", digits: 2},
	{key: "plain p50", label: "  p50 ms", digits: 2},
	{key: "plain p99", label: "  p99 ms", digits: 1},
	{key: "logged cpu", label: "the program there, new message instead, logged and acknowledged: CPU s per million deliveries", digits: 2},
	{key: "times cpu", label: "  times the broadcasts' CPU", digits: 2, limit: 1.25},
	{key: "logged user", label: "  of which user time", digits: 2},
	{key: "logged redis", label: "  Redis, whose file is synced each second: CPU s per million deliveries", digits: 2},
	{key: "logged ack p50", label: "  acknowledged, p50 ms", digits: 2},
	{key: "logged ack p99", label: "  acknowledged, p99 ms", digits: 1, limit: 10},
	{key: "logged p50", label: "  delivered, p50 ms", digits: 2},
	{key: "logged p99", label: "  delivered, p99 ms", digits: 1},
	{key: "always cpu", label: "the same, Redis's file synced before each answer: CPU s per million deliveries", digits: 2},
	{key: "always redis", label: "  Redis: CPU s per million deliveries", digits: 2},
	{key: "always ack p50", label: "  acknowledged, p50 ms", digits: 2},
	{key: "always ack p99", label: "  acknowledged, p99 ms", digits: 1},
	{key: "always p99", label: "  delivered, p99 ms", digits: 1},
	{key: "slow calm p99", label: "room of 1,000, 3,000 bytes, 20 messages a second, all read: p99 ms of 900 of them", digits: 1},
	{key: "slow p99", label: "  the other 100 never read, until each is closed: p99 ms of the 900", digits: 1},
	{key: "slow change", label: "    change, %", digits: 1, limit: 10},
	{key: "slow closed", label: "    of the 100 were closed"},
	{key: "slow after", label: "    the last of them after, s", digits: 1},
	{key: "slow kib", label: "    resident memory that came with them at most, KiB each", digits: 0, limit: 1024},
	{key: "storm whole", label: "four nodes, one with 15,000 clients is killed: s until all are back", digits: 1},
	{key: "storm recovered", label: "  sessions recovered, with all they missed, of 100 clients (more: some came back twice)", digits: 1},
	{key: "storm connects", label: "  connects a second at most"},
	{key: "storm peak", label: "  CPU of the three others at most, cores (they share one)", digits: 2},
	{key: "storm cpu", label: "  CPU ms per 1,000 that came back", digits: 0},
	{key: "storm p99", label: "  deliveries meanwhile, those missed included: p99 ms", digits: 0},
	{key: "abuse calm p50", label: "the program, 200 people in the lobby, 50 messages a second: p50 ms", digits: 1},
	{key: "abuse calm p99", label: "  p99 ms", digits: 1},
	{key: "abuse calm cpu", label: "  CPU, % of a core", digits: 1},
	{key: "abuse flood p99", label: "  one more asks 1,000 times a second to write there: p99 ms", digits: 1},
	{key: "abuse flood cpu", label: "    CPU, % of a core", digits: 1},
	{key: "abuse flood answered", label: "    of its requests read and refused, a second"},
	{key: "abuse flood change", label: "    change of the others' p99, %", digits: 1, limit: 20},
	{key: "abuse elsewhere p99", label: "  one more asks 1,000 times a second in another room: p99 ms", digits: 1},
	{key: "abuse elsewhere cpu", label: "    CPU, % of a core", digits: 1},
	{key: "abuse elsewhere answered", label: "    of its requests read and refused, a second"},
	{key: "abuse elsewhere change", label: "    change of the others' p99, %", digits: 1, limit: 20},
	{key: "abuse fair p99", label: "  one more writes there as much as it may, 10 a second: p99 ms", digits: 1},
	{key: "abuse fair cpu", label: "    CPU, % of a core", digits: 1},
	{key: "abuse fair change", label: "    change of the others' p99, %", digits: 1},
}

// print writes the table of those peers that were measured.
func (f figures) print(w io.Writer, names []string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "what"
	for _, p := range peers {
		if slices.Contains(names, p.name) {
			head += "\t" + p.label
		}
	}
	// Flush returns the error of any write before it.
	_, _ = fmt.Fprintln(table, head+"\tof Node's\ttarget\tof bare writes'\ttarget")
	for _, r := range rows {
		byPeer := f[r.key]
		if byPeer == nil {
			continue
		}
		line := r.label
		for _, p := range peers {
			if slices.Contains(names, p.name) {
				line += "\t" + span(byPeer[p.name], r.digits)
			}
		}
		node, nodeTarget, bare, bareTarget := r.verdict(byPeer)
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", line, node, nodeTarget, bare, bareTarget)
	}
	return table.Flush()
}

// verdict is ours in relation to Node's and to the bare writes, and whether that
// meets the targets.
func (r row) verdict(byPeer map[string][]float64) (node, nodeTarget, bare, bareTarget string) {
	ours := byPeer["antchat"]
	node, nodeTarget = compare(ours, byPeer["node"], r.target)
	if r.limit > 0 && len(ours) > 0 {
		nodeTarget = fmt.Sprintf("< %g, met", r.limit)
		if median(ours) >= r.limit {
			nodeTarget = fmt.Sprintf("< %g, MISSED", r.limit)
		}
	}
	bare, bareTarget = compare(ours, byPeer["bare"], r.bare)
	return node, nodeTarget, bare, bareTarget
}

// compare puts ours in relation to another's, which it may be up to most of (0:
// no target).
func compare(ours, other []float64, most float64) (ratio, target string) {
	if len(ours) == 0 || len(other) == 0 || median(ours) <= 0 || median(other) <= 0 {
		return "", ""
	}
	got := median(ours) / median(other)
	switch {
	case most == 0:
	case got > most:
		target = fmt.Sprintf("≤ %.2f, MISSED", most)
	default:
		target = fmt.Sprintf("≤ %.2f, met", most)
	}
	return fmt.Sprintf("%.2f", got), target
}

func span(v []float64, digits int) string {
	if len(v) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, median(v), digits, slices.Min(v), digits, slices.Max(v))
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
