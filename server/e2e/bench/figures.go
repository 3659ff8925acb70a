package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// figures collects one value per measurement, server and run.
type figures struct {
	values map[string]map[string][]float64 // by key, then by server
}

func newFigures() *figures { return &figures{values: map[string]map[string][]float64{}} }

func (f *figures) add(key, peer string, value float64) {
	if f.values[key] == nil {
		f.values[key] = map[string][]float64{}
	}
	f.values[key][peer] = append(f.values[key][peer], value)
}

// subtract makes a key of the differences of two others, run by run.
func (f *figures) subtract(key, from, what string) {
	for peer, v := range f.values[from] {
		for i := range min(len(v), len(f.values[what][peer])) {
			f.add(key, peer, v[i]-f.values[what][peer][i])
		}
	}
}

// rows is the table: what a key means, its printed digits, and how much of
// Node's figure ours may be, or what ours must stay below (0: no target).
var rows = []struct {
	key, label    string
	digits        int
	target, limit float64
}{
	{key: "saturated cpu", label: "room of 1,000, saturated: CPU s per million deliveries", digits: 2, target: 0.35},
	{key: "saturated user", label: "  of which user time", digits: 2},
	{key: "saturated rate", label: "  deliveries a second"},
	{key: "saturated p50", label: "  p50 ms", digits: 1},
	{key: "saturated p99", label: "  p99 ms", digits: 1},
	{key: "paced cpu", label: "room of 1,000, 20 messages a second: CPU s per million deliveries", digits: 2, target: 0.75},
	{key: "paced user", label: "  of which user time", digits: 2},
	{key: "paced rate", label: "  deliveries a second"},
	{key: "paced p50", label: "  p50 ms", digits: 1},
	{key: "paced p99", label: "  p99 ms", digits: 1},
	{key: "idle bytes", label: "idle: resident bytes per connection", target: 0.5},
	{key: "connect cpu", label: "connecting: CPU ms per 1,000", target: 1.0 / 3},
	{key: "connect rate", label: "  connects a second"},
	{key: "alone cpu", label: "room of 1,000, 15 messages a second: CPU s per million deliveries", digits: 2},
	{key: "alone p50", label: "  p50 ms", digits: 1},
	{key: "alone p99", label: "  p99 ms", digits: 1},
	{key: "alone first p50", label: "  to the first member, p50 ms", digits: 2},
	{key: "alone first p99", label: "  to the first member, p99 ms", digits: 2},
	{key: "fleet-saturated cpu", label: "two nodes, room of 2 x 500, saturated: CPU s per million deliveries", digits: 2, target: 0.35},
	{key: "fleet-saturated user", label: "  of which user time", digits: 2},
	{key: "fleet-saturated redis", label: "  Redis: CPU s per million deliveries", digits: 3},
	{key: "fleet-saturated rate", label: "  deliveries a second"},
	{key: "fleet-saturated p50", label: "  p50 ms", digits: 1},
	{key: "fleet-saturated p99", label: "  p99 ms", digits: 1},
	{key: "fleet-paced cpu", label: "two nodes, 15 messages a second: CPU s per million deliveries", digits: 2, target: 0.75},
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
}

func (f *figures) print(w io.Writer) error {
	for _, of := range []string{"p50", "p99", "first p50"} {
		f.subtract("added "+of, "fleet-paced "+of, "alone "+of)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	// Flush returns the error of any write before it.
	_, _ = fmt.Fprintln(table, "what\tNode socket.io (range)\tAntchat (range)\tratio\ttarget")
	for _, r := range rows {
		byPeer := f.values[r.key]
		if byPeer == nil {
			continue
		}
		node, ours := byPeer["node"], byPeer["antchat"]
		ratio, target := "", ""
		if len(node) > 0 && len(ours) > 0 && median(node) > 0 && median(ours) > 0 {
			got := median(ours) / median(node)
			ratio = fmt.Sprintf("%.2f", got)
			if r.target > 0 {
				target = fmt.Sprintf("≤ %.2f, met", r.target)
				if got > r.target {
					target = fmt.Sprintf("≤ %.2f, MISSED", r.target)
				}
			}
		}
		if r.limit > 0 && len(ours) > 0 {
			target = fmt.Sprintf("< %g, met", r.limit)
			if median(ours) >= r.limit {
				target = fmt.Sprintf("< %g, MISSED", r.limit)
			}
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.label, spread(node, r.digits), spread(ours, r.digits), ratio, target)
	}
	return table.Flush()
}

func spread(v []float64, digits int) string {
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
