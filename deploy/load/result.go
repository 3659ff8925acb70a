package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/antchat/antchat/deploy/load/result"
)

// counts are the run's, and those since the last sample.
type counts struct {
	result.Counts
	connectsTick, deliveriesTick, sentTick int
}

func newCounts() result.Counts {
	return result.Counts{Refused: map[string]int{}, Closed: map[string]int{}}
}

func summarize(h *hdr.Histogram) *result.Latency {
	if h.TotalCount() == 0 {
		return nil
	}
	return &result.Latency{
		Count: h.TotalCount(), P50: millis(h, 50), P90: millis(h, 90), P99: millis(h, 99), P999: millis(h, 99.9), Max: float64(h.Max()) / 1000,
	}
}

// millis is a percentile of a histogram of µs, in ms; 0 when it is empty.
func millis(h *hdr.Histogram, percent float64) float64 {
	if h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtQuantile(percent)) / 1000
}

// printRun writes the result for people.
func printRun(w io.Writer, r *result.Run) error {
	var b strings.Builder
	c, o := r.Counts, r.Options
	fmt.Fprintf(&b, "mode %s: %d clients, %d rooms, revision %s over %s, %d servers\n", o.Mode, o.Clients, o.Rooms, o.Revision, o.Transport, len(o.Targets))
	fmt.Fprintf(&b, "connected   %.0f a second%s\n", r.Rate.Connects, ms(r.Connect))
	if c.Sent > 0 {
		fmt.Fprintf(&b, "sent        %.1f a second (%d)\n", r.Rate.Sent, c.Sent)
	}
	if r.Delivery != nil {
		fmt.Fprintf(&b, "delivered   %.0f a second (%d)%s\n", r.Rate.Deliveries, c.Deliveries, ms(r.Delivery))
	}
	for _, l := range []struct {
		what string
		of   *result.Latency
	}{{"acked", r.Ack}, {"history", r.History}} {
		if l.of != nil {
			fmt.Fprintf(&b, "%-11s %d%s\n", l.what, l.of.Count, ms(l.of))
		}
	}
	if o.Mode == "chat" || o.Mode == "storm" {
		fmt.Fprintf(&b, "people      %d joins, %d leaves, %d typing, %d dropped, %d reconnects, %d recovered, %d answered retryable, %d unproven\n",
			c.Joins, c.Leaves, c.Typing, c.Drops, c.Reconnects, c.Recovered, c.Unavailable, c.Unproven)
	}
	if o.Mode == "storm" {
		fmt.Fprintf(&b, "storm       %d cut, whole after %.1f s; peak %.0f connects a second, %.1f cores; %.2f s CPU until then\n", r.Storm.Cut, r.Storm.WholeSeconds, r.Storm.PeakConnects, r.Storm.PeakCPU, r.Storm.CPU)
	}
	fmt.Fprintf(&b, "checked     %d lost, %d repeated, %d reordered; %d closed unexpectedly\n", r.Verdicts.Lost, r.Verdicts.Repeated, r.Verdicts.Reordered, c.Unexpected)
	for _, m := range []map[string]int{c.Closed, c.Refused} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&b, "            %d × %s\n", m[k], k)
		}
	}
	for _, s := range r.Servers {
		fmt.Fprintf(&b, "server %-6d %s: connecting %.2f s CPU (%.0f ms per 1,000), measured %.2f s", s.PID, s.Name, s.ConnectCPU, 1e6*s.ConnectCPU/float64(o.Clients), s.CPU)
		if s.CPUPerMillion > 0 {
			fmt.Fprintf(&b, " (%.2f s per million deliveries)", s.CPUPerMillion)
		}
		fmt.Fprintf(&b, "; %d MiB, %.0f bytes for each client\n", s.RSS>>20, s.RSSPerClient)
	}
	if r.Self != nil {
		fmt.Fprintf(&b, "load itself %.2f of a core, %d MiB\n", r.Self.Cores, r.Self.RSS>>20)
	}
	if bad := r.Bad(); bad != "" {
		fmt.Fprintf(&b, "FAILED      %s\n", bad)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func ms(l *result.Latency) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("; p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, most %.1f ms", l.P50, l.P90, l.P99, l.P999, l.Max)
}
