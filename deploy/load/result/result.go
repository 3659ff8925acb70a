// Package result is the form of what the load tool's -json writes.
package result

import (
	"fmt"
	"strings"
	"time"
)

// Run is what a run found.
type Run struct {
	Options  *Options `json:"options"`
	Started  string   `json:"started"` // RFC 3339
	Machine  string   `json:"machine"`
	Error    string   `json:"error,omitempty"` // why the run was cut short
	Counts   Counts   `json:"counts"`
	Verdicts Verdicts `json:"verdicts"`
	Rate     Rates    `json:"rates"`
	Delivery *Latency `json:"delivery_ms,omitempty"`
	Ack      *Latency `json:"ack_ms,omitempty"`
	Connect  *Latency `json:"connect_ms,omitempty"`
	History  *Latency `json:"history_ms,omitempty"`
	Servers  []Server `json:"servers,omitempty"`
	Self     *Self    `json:"load_itself,omitempty"`
	Storm    Storm    `json:"storm"`
	Samples  []Sample `json:"samples"`
}

// Rates are those of the measured time, a second; connects those of the first
// connecting.
type Rates struct {
	Connects   float64 `json:"connects"`
	Sent       float64 `json:"sent"`
	Deliveries float64 `json:"deliveries"`
	BytesIn    float64 `json:"bytes_received"`
	BytesOut   float64 `json:"bytes_sent"`
}

// Latency in ms.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// Server is what a server's process used.
type Server struct {
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

// Self is what the load tool itself used in the measured time: near a whole core,
// it measures itself.
type Self struct {
	CPU   float64 `json:"cpu_s"`
	Cores float64 `json:"cores"`
	RSS   int64   `json:"rss_bytes"`
}

// Storm is how a fleet took the mode storm.
type Storm struct {
	Cut          int     `json:"cut"`
	WholeSeconds float64 `json:"whole_after_s"`
	PeakConnects float64 `json:"peak_connects_a_second"`
	PeakCPU      float64 `json:"peak_cpu_cores"`
	CPU          float64 `json:"cpu_s"` // of the servers that live, until all are back
}

// Sample is one second.
type Sample struct {
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

// Options are what the run was asked for; see go run ./deploy/load -help.
type Options struct {
	Mode       string        `json:"mode"`
	Targets    []string      `json:"targets"`
	PIDs       []int         `json:"pids"`
	Clients    int           `json:"clients"`
	Rooms      int           `json:"rooms"`
	Rate       float64       `json:"rate"`
	Window     int           `json:"window"`
	Size       int           `json:"size"`
	WarmUp     time.Duration `json:"warm_up_ns"`
	Duration   time.Duration `json:"duration_ns"`
	Limit      time.Duration `json:"limit_ns"`
	Grace      time.Duration `json:"grace_ns"`
	Opening    int           `json:"opening"`
	Sources    int           `json:"sources"`
	Processes  int           `json:"processes"`
	Revision   string        `json:"revision"`
	Transport  string        `json:"transport"`
	Vocabulary string        `json:"vocabulary"`
	Slow       float64       `json:"slow"`
	Backoff    time.Duration `json:"backoff_ns"`
	Kill       int           `json:"kill"`
	OnKilled   int           `json:"on_killed"`
	Faults     bool          `json:"faults"`
	Spin       bool          `json:"spin"`
}

// Counts of the whole run, but for Deliveries and Sent, which count
// the measured time.
type Counts struct {
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
	Refused     map[string]int `json:"refused"`
	Closed      map[string]int `json:"closed"`
	Unexpected  int            `json:"closed_unexpectedly"`
	Unproven    int            `json:"joins_unproven"` // missed more than one answer holds
	Away        int            `json:"away_at_the_end"`
}

// Verdicts count what members found wrong with the numbers of their rooms.
type Verdicts struct {
	Lost      int `json:"lost"`
	Repeated  int `json:"repeated"`
	Reordered int `json:"reordered"`
}

// Bad says what makes a run fail: "" for a good one.
func (r *Run) Bad() string {
	var what []string
	if r.Verdicts != (Verdicts{}) {
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
