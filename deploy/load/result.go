package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// result is what a run found, as -json writes it.
type result struct {
	Options  *options  `json:"options"`
	Started  string    `json:"started"` // RFC 3339
	Machine  string    `json:"machine"`
	Error    string    `json:"error,omitempty"` // why the run was cut short
	Counts   counts    `json:"counts"`
	Verdicts verdicts  `json:"verdicts"`
	Rate     rates     `json:"rates"`
	Delivery *latency  `json:"delivery_ms,omitempty"`
	Ack      *latency  `json:"ack_ms,omitempty"`
	Connect  *latency  `json:"connect_ms,omitempty"`
	History  *latency  `json:"history_ms,omitempty"`
	Servers  []server  `json:"servers,omitempty"`
	Self     *selfCost `json:"load_itself,omitempty"`
	Storm    storm     `json:"storm"`
	Samples  []sample  `json:"samples"`
}

// rates are those of the measured time, a second; connects those of the first
// connecting.
type rates struct {
	Connects   float64 `json:"connects"`
	Sent       float64 `json:"sent"`
	Deliveries float64 `json:"deliveries"`
	BytesIn    float64 `json:"bytes_received"`
	BytesOut   float64 `json:"bytes_sent"`
}

// latency in ms.
type latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// server is what a server's process used.
type server struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
	// ConnectCPU is for the first connecting, CPU for the measured time, in
	// seconds.
	ConnectCPU float64 `json:"connect_cpu_s"`
	CPU        float64 `json:"cpu_s"`
	// CPUPerMillion is of all deliveries, also those that other servers made.
	CPUPerMillion float64 `json:"cpu_s_per_million_deliveries,omitempty"`
	RSS           int64   `json:"rss_bytes"`
	// RSSPerClient is what the connecting added, spread over all clients.
	RSSPerClient float64 `json:"rss_bytes_per_client"`
	Killed       bool    `json:"killed,omitempty"`
}

// selfCost is what this program used in the measured time: near a whole core,
// it measures itself.
type selfCost struct {
	CPU   float64 `json:"cpu_s"`
	Cores float64 `json:"cores"`
	RSS   int64   `json:"rss_bytes"`
}

// storm is how a fleet took it.
type storm struct {
	Cut          int     `json:"cut"`
	WholeSeconds float64 `json:"whole_after_s"`
	PeakConnects float64 `json:"peak_connects_a_second"`
	PeakCPU      float64 `json:"peak_cpu_cores"`
	CPU          float64 `json:"cpu_s"` // of the servers that live, until all are back
	began        float64 // in seconds of the run
}

// sample is one second.
type sample struct {
	Seconds    float64 `json:"t"`
	Ready      int     `json:"ready"`
	Connects   float64 `json:"connects"`
	Sent       float64 `json:"sent"`
	Deliveries float64 `json:"deliveries"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	CPU        float64 `json:"cores"`
	RSS        int64   `json:"rss_bytes"`
}

func summarize(h *hdr.Histogram) *latency {
	if h.TotalCount() == 0 {
		return nil
	}
	return &latency{h.TotalCount(), millis(h, 50), millis(h, 90), millis(h, 99), millis(h, 99.9), float64(h.Max()) / 1000}
}

// millis is a percentile of a histogram of µs, in ms; 0 when it is empty.
func millis(h *hdr.Histogram, percent float64) float64 {
	if h.TotalCount() == 0 {
		return 0
	}
	return float64(h.ValueAtQuantile(percent)) / 1000
}

// bad says what makes a run fail: "" for a good one.
func (r *result) bad() string {
	var what []string
	if !r.Verdicts.clean() {
		what = append(what, fmt.Sprintf("%d lost, %d repeated, %d reordered", r.Verdicts.Lost, r.Verdicts.Repeated, r.Verdicts.Reordered))
	}
	if r.Counts.Unexpected > 0 {
		what = append(what, fmt.Sprintf("%d closed unexpectedly", r.Counts.Unexpected))
	}
	if r.Counts.Away > 0 {
		what = append(what, fmt.Sprintf("%d away at the end", r.Counts.Away))
	}
	return strings.Join(what, "; ")
}

// print writes the result for people.
func (r *result) print(w io.Writer) error {
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
		of   *latency
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
	if bad := r.bad(); bad != "" {
		fmt.Fprintf(&b, "FAILED      %s\n", bad)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func ms(l *latency) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("; p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, most %.1f ms", l.P50, l.P90, l.P99, l.P999, l.Max)
}

// counts of the whole run, but for Deliveries, Sent and Actions, which count
// the measured time.
type counts struct {
	Connects       int            `json:"connects"`
	Reconnects     int            `json:"reconnects"`
	Recovered      int            `json:"recovered"`
	Joins          int            `json:"joins"`
	Leaves         int            `json:"leaves"`
	Sent           int            `json:"sent"`
	Acked          int            `json:"acked"`
	Deliveries     int            `json:"deliveries"`
	Typing         int            `json:"typing"`
	Scrolls        int            `json:"scrolls"`
	Drops          int            `json:"drops"`
	Unavailable    int            `json:"answered_retryable"`
	Refused        map[string]int `json:"refused"`
	Closed         map[string]int `json:"closed"`
	Unexpected     int            `json:"closed_unexpectedly"`
	Unproven       int            `json:"joins_unproven"` // missed more than one answer holds
	Away           int            `json:"away_at_the_end"`
	connectsTick   int            // since the last sample
	deliveriesTick int
	sentTick       int
}
