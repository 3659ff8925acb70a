package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	sampleEvery = 10 * time.Second
	// metricsBytes bounds what a node's /metrics may say.
	metricsBytes = 8 << 20
)

// soakSample is what there is at a moment. Nodes are the spared ones, in sum.
type soakSample struct {
	Seconds    float64 `json:"t"`
	Heap       float64 `json:"heap_bytes"` // live after the last collection, and since
	Resident   float64 `json:"resident_bytes"`
	Goroutines float64 `json:"goroutines"`
	Files      float64 `json:"files"`
	Sessions   float64 `json:"sessions"` // connections; those of the killed nodes come here
	Keys       float64 `json:"redis_keys"`
	RedisBytes float64 `json:"redis_bytes"`
	// RedisData is RedisBytes without connections' buffers and without what waits
	// for the append-only file: those come and go with the load.
	RedisData    float64 `json:"redis_data_bytes"`
	RedisScripts float64 `json:"redis_script_bytes"`
	// Classes are the keys by kind; nil in most samples.
	Classes map[string]keyClass `json:"classes,omitempty"`
}

// look samples the spared nodes and Redis, on demand with every key by kind;
// nil while Redis is away.
func (w *world) look(ctx context.Context, weigh bool) (*soakSample, error) {
	var s soakSample
	for _, n := range w.servers[:w.spared] {
		got, err := n.metrics(ctx)
		if err != nil {
			return nil, err
		}
		s.Heap += got["go_memstats_heap_alloc_bytes"]
		s.Resident += got["process_resident_memory_bytes"]
		s.Goroutines += got["go_goroutines"]
		s.Files += got["process_open_fds"]
		s.Sessions += got["antchat_engineio_sessions"]
	}
	keys, err := w.store.Do("DBSIZE")
	if err != nil {
		return nil, nil // it is its turn to be hurt
	}
	if s.Keys, err = strconv.ParseFloat(keys, 64); err != nil {
		return nil, fmt.Errorf("DBSIZE answers %q", keys)
	}
	memory, err := w.store.Do("INFO", "memory")
	if err != nil {
		return nil, nil
	}
	m, err := parseMemory(memory)
	if err != nil {
		return nil, err
	}
	s.RedisBytes, s.RedisData, s.RedisScripts = m.used, m.data, m.scripts
	if weigh {
		s.Classes, _ = w.store.weigh(ctx) // without, it was its turn
	}
	return &s, nil
}

// metrics reads a node's /metrics: the sum over the labels of each name.
func (s *server) metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	// Not as child.Answers does, whose patience is a balancer's.
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", s.Name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, metricsBytes))
	if err != nil {
		return nil, fmt.Errorf("metrics of %s: %w", s.Name, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics of %s: %s", s.Name, resp.Status)
	}
	return parseMetrics(string(text)), nil
}

// parseMetrics reads Prometheus's text format, as far as its simple lines go.
func parseMetrics(text string) map[string]float64 {
	sums := make(map[string]float64)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(line[:i], "{")
		if v, err := strconv.ParseFloat(line[i+1:], 64); err == nil {
			sums[name] += v
		}
	}
	return sums
}

// trend is a straight line through samples.
type trend struct {
	What  string  `json:"what"`
	First float64 `json:"first"` // of the samples that count
	Mean  float64 `json:"mean"`
	Last  float64 `json:"last"`
	// Slope is what is added in an hour; Error is half of the interval that
	// holds it with 95 %.
	Slope float64 `json:"slope_per_hour"`
	Error float64 `json:"slope_error"`
	N     int     `json:"samples"`
	// Few: too few samples for a slope.
	Few bool `json:"too_few,omitempty"`
}

// grows says whether growth beyond what is allowed is certain.
func (t *trend) grows() bool { return !t.Few && t.Slope-t.Error > soakGrowth*math.Abs(t.Mean) }

// trendsOf leaves out the first fifth: a fleet warms up, and Redis fills until
// the oldest that it keeps is due.
func trendsOf(samples []soakSample) []trend {
	if len(samples) == 0 {
		return nil
	}
	from := samples[len(samples)-1].Seconds / 5
	var at []float64
	names := []string{"heap, bytes", "resident, bytes", "goroutines", "descriptors", "connections", "Redis keys", "Redis bytes", "Redis data, bytes", "Redis scripts, bytes"}
	values := make([][]float64, len(names))
	for _, s := range samples {
		if s.Seconds < from {
			continue
		}
		at = append(at, s.Seconds/3600)
		for i, v := range []float64{s.Heap, s.Resident, s.Goroutines, s.Files, s.Sessions, s.Keys, s.RedisBytes, s.RedisData, s.RedisScripts} {
			values[i] = append(values[i], v)
		}
	}
	var all []trend
	for i, what := range names {
		t := fit(at, values[i])
		t.What = what
		all = append(all, t)
	}
	return all
}

// fit is least squares. Samples that follow each other are alike, so they count
// for fewer than they are: n (1-r)/(1+r), where r is the correlation of what
// remains beside the line with its neighbour.
func fit(x, y []float64) trend {
	n := float64(len(x))
	t := trend{N: len(x)}
	if t.Few = len(x) < 4; t.Few {
		return t
	}
	t.First, t.Last = y[0], y[len(y)-1]
	var mx, my float64
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
	}
	t.Mean = my
	var xx, xy float64
	for i := range x {
		xx += (x[i] - mx) * (x[i] - mx)
		xy += (x[i] - mx) * (y[i] - my)
	}
	if t.Few = xx == 0; t.Few {
		return t
	}
	t.Slope = xy / xx
	var rest, beside, last float64
	for i := range x {
		e := y[i] - my - t.Slope*(x[i]-mx)
		rest += e * e
		if i > 0 {
			beside += e * last
		}
		last = e
	}
	if rest == 0 {
		return t
	}
	r := min(max(beside/rest, 0), 0.99)
	worth := n * (1 - r) / (1 + r)
	t.Error = 2 * math.Sqrt(rest/(n-2)/xx*n/worth)
	return t
}

func writeTrends(w io.Writer, all []trend) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(tw, "\tfirst\tmean\tlast\tslope an hour\t± (95 %)\tof the mean\t")
	for _, t := range all {
		share := "-"
		if t.Mean != 0 && !t.Few {
			share = fmt.Sprintf("%+.1f ± %.1f %%", 100*t.Slope/t.Mean, 100*t.Error/t.Mean)
		}
		_, _ = fmt.Fprintf(tw, "%s\t%.0f\t%.0f\t%.0f\t%+.0f\t%.0f\t%s\t\n", t.What, t.First, t.Mean, t.Last, t.Slope, t.Error, share)
	}
	return tw.Flush()
}

// soakReport is a soak's JSON: samples, and what the load tool found.
type soakReport struct {
	Seed    uint64          `json:"seed"`
	Trends  []trend         `json:"trends"`
	Keys    []keyTrend      `json:"keys"`
	Samples []soakSample    `json:"samples"`
	Load    json.RawMessage `json:"load"`
}

// writeSoak writes the JSON where the options say, if they do.
func (o *options) writeSoak(samples []soakSample, load string) error {
	if o.json == "" {
		return nil
	}
	text, err := os.ReadFile(load)
	if err != nil {
		return err
	}
	file, err := os.Create(o.json)
	if err != nil {
		return err
	}
	e := json.NewEncoder(file)
	e.SetIndent("", "  ")
	return errors.Join(e.Encode(soakReport{o.seed, trendsOf(samples), keyTrendsOf(samples), samples, text}), file.Close())
}
