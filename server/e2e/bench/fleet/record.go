package main

import (
	"fmt"
	"slices"
	"strings"
)

// record is a run; docs/fleet.json is the last one that was recorded, and
// docs/fleet.md is made of it.
type record struct {
	Date      string    `json:"date"`
	Commit    string    `json:"commit"`
	Machine   string    `json:"machine"`
	Go        string    `json:"go"`
	Arguments []string  `json:"arguments"`
	Took      float64   `json:"took_s"`
	Nodes     int       `json:"nodes"`
	Processes int       `json:"load_processes"`
	Load      result    `json:"load"`
	Redis     redisInfo `json:"redis"`
	Empty     memory    `json:"machine_empty"` // with all servers started
	Full      memory    `json:"machine_full"`  // at most
}

// result is what of the load tool's is told here.
type result struct {
	Options struct {
		Clients  int     `json:"clients"`
		Rooms    int     `json:"rooms"`
		Rate     float64 `json:"rate"`
		Duration float64 `json:"duration_ns"`
	} `json:"options"`
	Counts struct {
		Connects    int            `json:"connects"`
		Reconnects  int            `json:"reconnects"`
		Recovered   int            `json:"recovered"`
		Joins       int            `json:"joins"`
		Leaves      int            `json:"leaves"`
		Sent        int            `json:"sent"`
		Acked       int            `json:"acked"`
		Deliveries  int            `json:"deliveries"`
		Typing      int            `json:"typing"`
		Scrolls     int            `json:"scrolls"`
		Drops       int            `json:"drops"`
		Unavailable int            `json:"answered_retryable"`
		Unexpected  int            `json:"closed_unexpectedly"`
		Unproven    int            `json:"joins_unproven"`
		Away        int            `json:"away_at_the_end"`
		Refused     map[string]int `json:"refused"`
		Closed      map[string]int `json:"closed"`
	} `json:"counts"`
	Verdicts struct {
		Lost      int `json:"lost"`
		Repeated  int `json:"repeated"`
		Reordered int `json:"reordered"`
	} `json:"verdicts"`
	Rates struct {
		Connects   float64 `json:"connects"`
		Sent       float64 `json:"sent"`
		Deliveries float64 `json:"deliveries"`
	} `json:"rates"`
	Delivery latency  `json:"delivery_ms"`
	Ack      latency  `json:"ack_ms"`
	Servers  []server `json:"servers"`
	Self     struct {
		Cores float64 `json:"cores"`
		RSS   int64   `json:"rss_bytes"`
	} `json:"load_itself"`
	Samples []struct {
		Ready int `json:"ready"`
	} `json:"samples"`
}

// latency in ms.
type latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
}

// server is Redis, the first one, or a node.
type server struct {
	ConnectCPU float64 `json:"connect_cpu_s"`
	CPU        float64 `json:"cpu_s"`
	RSS        int64   `json:"rss_bytes"`
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
	seconds := l.Options.Duration / 1e9
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
`, thousands(l.Options.Clients), r.Nodes, r.Machine, thousands(l.Options.Rooms), seconds, l.Options.Rate,
		r.Date, r.Commit, r.Go, r.Redis.Version, r.Took, r.Processes)
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	row("clients that were there at one time", "%s", thousands(r.mostReady()))
	row("connects a second, with CONNECT and join", "%.0f", l.Rates.Connects)
	row("… nodes' CPU, ms per 1,000", "%.0f", 1e6*connectCPU/float64(l.Options.Clients))
	row("… Redis' CPU, ms per 1,000", "%.0f", 1e6*l.Servers[0].ConnectCPU/float64(l.Options.Clients))
	row("lost, repeated, reordered", "%d, %d, %d", l.Verdicts.Lost, l.Verdicts.Repeated, l.Verdicts.Reordered)
	row("closed unexpectedly, away at the end", "%d, %d", l.Counts.Unexpected, l.Counts.Away)
	row("messages a second, all logged and acknowledged", "%.0f", l.Rates.Sent)
	row("deliveries a second", "%.0f", l.Rates.Deliveries)
	row("joins, leaves, looks back, typing", "%s, %s, %s, %s", thousands(l.Counts.Joins), thousands(l.Counts.Leaves), thousands(l.Counts.Scrolls), thousands(l.Counts.Typing))
	row("connections lost, recovered", "%s, %s", thousands(l.Counts.Drops), thousands(l.Counts.Recovered))
	row("delivery, ms: p50, p90, p99", "%.1f, %.1f, %.1f", l.Delivery.P50, l.Delivery.P90, l.Delivery.P99)
	row("acknowledgement, ms: p50, p90, p99", "%.1f, %.1f, %.1f", l.Ack.P50, l.Ack.P90, l.Ack.P99)
	row("nodes' CPU meanwhile, cores", "%.2f", cpu/seconds)
	row("Redis' CPU meanwhile, cores", "%.2f", l.Servers[0].CPU/seconds)
	row("load tool's CPU meanwhile, cores", "%.2f", l.Self.Cores)
	row("resident memory of a node, MiB: least, median, most", "%d, %d, %d", rss[0]>>20, rss[len(rss)/2]>>20, rss[len(rss)-1]>>20)
	row("… of all, bytes per client", "%.0f", float64(all)/float64(l.Options.Clients))
	row("Redis at most: MiB, keys at the end", "%d, %s", r.Redis.PeakMemory>>20, thousands(int(r.Redis.Keys)))
	row("the kernel's own memory for a connection, both ends, bytes", "%.0f", float64(r.Full.Slab-r.Empty.Slab)/float64(l.Options.Clients))
	row("TCP sockets", "%s", thousands(int(r.Full.Sockets)))
	row("the machine's memory in use at most, GiB", "%.1f", float64(r.Full.Used)/(1<<30))
	return b.String()
}

// thousands writes 250000 as 250,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
