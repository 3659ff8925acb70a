package main

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/antchat/antchat/deploy/load/result"
)

// record is a run; docs/fleet.json is the last one that was recorded, and
// docs/fleet.md is made of it.
type record struct {
	Date      string     `json:"date"`
	Commit    string     `json:"commit"`
	Machine   string     `json:"machine"`
	Go        string     `json:"go"`
	Arguments []string   `json:"arguments"`
	Took      float64    `json:"took_s"`
	Nodes     int        `json:"nodes"`
	Processes int        `json:"load_processes"`
	Load      result.Run `json:"load"`
	Redis     redisInfo  `json:"redis"`
	Empty     memory     `json:"machine_empty"` // with all servers started
	Full      memory     `json:"machine_full"`  // at most
}

// redisInfo is what Redis said at the end.
type redisInfo struct {
	Version    string `json:"version"`
	PeakMemory int64  `json:"used_memory_peak_bytes"`
	Channels   int64  `json:"channels"`
	Commands   int64  `json:"commands"`
	Keys       int64  `json:"keys"`
}

// memory is the machine's, in bytes. Used is what is not available any more,
// Slab the kernel's own, which connections are most of; Sockets are TCP's.
type memory struct {
	Used    int64 `json:"used_bytes"`
	Slab    int64 `json:"slab_bytes"`
	Sockets int64 `json:"sockets"`
}

// mostReady is how many clients were there at one time.
func (r *record) mostReady() (n int) {
	for _, s := range r.Load.Samples {
		n = max(n, s.Ready)
	}
	return n
}

// page is docs/fleet.md.
func (r *record) page() string {
	var b strings.Builder
	l := &r.Load
	nodes := l.Servers[1:]
	var connectCPU, cpu float64
	var rss []int64
	var all int64
	for _, s := range nodes {
		connectCPU, cpu = connectCPU+s.ConnectCPU, cpu+s.CPU
		rss = append(rss, s.RSS)
		all += s.RSS
	}
	slices.Sort(rss)
	seconds := l.Options.Duration.Seconds()
	fmt.Fprintf(&b, `# A whole fleet on one machine

%s clients of %d nodes over one Redis, on %s: all of them connected at one time, each in at least one of %s
rooms, whose members are spread over all nodes. For %.0f s they did what people do, %.0f things a second: they wrote, typed, joined, left, looked back,
lost their connections and came back; and everything that they received was checked.

`+"```sh\nmake fleet    # the same again, and this page\n```"+`

This is of %s, commit %s, %s, Redis %s (append-only file, `+"`everysec`"+`), all settings as they are by default; it took %.0f s. The load tool, %d processes
of it, had the same two cores: what it used is below, and latencies are those of a machine that does both.

![The run over time](fleet.svg)

| what | |
| --- | --- |
`, english.Sprint(l.Options.Clients), r.Nodes, r.Machine, english.Sprint(l.Options.Rooms), seconds, l.Options.Rate,
		r.Date, r.Commit, r.Go, r.Redis.Version, r.Took, r.Processes)
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	row("clients that were there at one time", "%s", english.Sprint(r.mostReady()))
	row("connects a second, with CONNECT and join", "%.0f", l.Rate.Connects)
	row("… nodes' CPU, ms per 1,000", "%.0f", 1e6*connectCPU/float64(l.Options.Clients))
	row("… Redis' CPU, ms per 1,000", "%.0f", 1e6*l.Servers[0].ConnectCPU/float64(l.Options.Clients))
	row("lost, repeated, reordered", "%d, %d, %d", l.Verdicts.Lost, l.Verdicts.Repeated, l.Verdicts.Reordered)
	row("closed unexpectedly, away at the end", "%d, %d", l.Counts.Unexpected, l.Counts.Away)
	row("messages a second, all logged and acknowledged", "%.0f", l.Rate.Sent)
	row("deliveries a second", "%.0f", l.Rate.Deliveries)
	row("joins, leaves, looks back, typing", "%s, %s, %s, %s", english.Sprint(l.Counts.Joins), english.Sprint(l.Counts.Leaves), english.Sprint(l.Counts.Scrolls), english.Sprint(l.Counts.Typing))
	row("connections lost, recovered", "%s, %s", english.Sprint(l.Counts.Drops), english.Sprint(l.Counts.Recovered))
	row("delivery, ms: p50, p90, p99", "%.1f, %.1f, %.1f", l.Delivery.P50, l.Delivery.P90, l.Delivery.P99)
	row("acknowledgement, ms: p50, p90, p99", "%.1f, %.1f, %.1f", l.Ack.P50, l.Ack.P90, l.Ack.P99)
	row("nodes' CPU meanwhile, cores", "%.2f", cpu/seconds)
	row("Redis' CPU meanwhile, cores", "%.2f", l.Servers[0].CPU/seconds)
	row("load tool's CPU meanwhile, cores", "%.2f", l.Self.Cores)
	row("resident memory of a node, MiB: least, median, most", "%d, %d, %d", rss[0]>>20, rss[len(rss)/2]>>20, rss[len(rss)-1]>>20)
	row("… of all, bytes per client", "%.0f", float64(all)/float64(l.Options.Clients))
	row("Redis at most: MiB, keys at the end", "%d, %s", r.Redis.PeakMemory>>20, english.Sprint(r.Redis.Keys))
	row("the kernel's own memory for a connection, both ends, bytes", "%.0f", float64(r.Full.Slab-r.Empty.Slab)/float64(l.Options.Clients))
	row("TCP sockets", "%s", english.Sprint(r.Full.Sockets))
	row("the machine's memory in use at most, GiB", "%.1f", float64(r.Full.Used)/(1<<30))
	return b.String()
}

// english writes 250000 as 250,000.
var english = message.NewPrinter(language.English)
