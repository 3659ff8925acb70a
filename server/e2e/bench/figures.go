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

// rows is the table: what a key means, its printed digits, and how much of
// Node's figure ours may be (0: no target).
var rows = []struct {
	key, label string
	digits     int
	target     float64
}{
	{"saturated cpu", "room of 1,000, saturated: CPU s per million deliveries", 2, 0.35},
	{"saturated user", "  of which user time", 2, 0},
	{"saturated rate", "  deliveries a second", 0, 0},
	{"saturated p50", "  p50 ms", 1, 0},
	{"saturated p99", "  p99 ms", 1, 0},
	{"paced cpu", "room of 1,000, 20 messages a second: CPU s per million deliveries", 2, 0.75},
	{"paced user", "  of which user time", 2, 0},
	{"paced rate", "  deliveries a second", 0, 0},
	{"paced p50", "  p50 ms", 1, 0},
	{"paced p99", "  p99 ms", 1, 0},
	{"idle bytes", "idle: resident bytes per connection", 0, 0.5},
	{"connect cpu", "connecting: CPU ms per 1,000", 0, 1.0 / 3},
	{"connect rate", "  connects a second", 0, 0},
}

func (f *figures) print(w io.Writer) error {
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
		if len(node) > 0 && len(ours) > 0 && median(node) > 0 {
			got := median(ours) / median(node)
			ratio = fmt.Sprintf("%.2f", got)
			if r.target > 0 {
				target = fmt.Sprintf("≤ %.2f, met", r.target)
				if got > r.target {
					target = fmt.Sprintf("≤ %.2f, MISSED", r.target)
				}
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
