package observe

import (
	"net/http"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// namespace begins the name of every metric of ours.
const namespace = "antchat"

// Metrics are a node's. The methods that return hooks may be called once each,
// before the server starts; what they return may be called concurrently.
type Metrics struct {
	registry *prometheus.Registry

	// What the summary at the end names; nil until the hooks are asked for.
	opened, slow, refused, panics []prometheus.Counter
	official                      map[string]prometheus.Counter
}

// New makes metrics without any hooks filled: Go's runtime, the process, the
// build. version is the program's own.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build)
	return m
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.InstrumentMetricHandler(m.registry, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry,
		// One after the other: each asks every connection for its queue.
		MaxRequestsInFlight: 1,
	}))
}

// counter, gauge and histogram make a metric that counts from now on.
func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

// tally is a counter with one label whose values are known; all others count as
// "other".
type tally struct {
	known map[string]prometheus.Counter
	other prometheus.Counter
}

// tally makes one. values are texts as the hooks give them; the label has them in
// lower case with underscores for spaces.
func (m *Metrics) tally(name, help, label string, values ...string) *tally {
	vec := m.counters(name, help, label)
	t := &tally{known: make(map[string]prometheus.Counter, len(values)), other: vec.WithLabelValues(other)}
	for _, v := range values {
		t.known[v] = vec.WithLabelValues(labelled(v))
	}
	return t
}

func (t *tally) inc(value string) { t.of(value).Inc() }

func (t *tally) of(value string) prometheus.Counter {
	if c := t.known[value]; c != nil {
		return c
	}
	return t.other
}

// all are the tally's counters.
func (t *tally) all() []prometheus.Counter {
	list := []prometheus.Counter{t.other}
	for _, c := range t.known {
		list = append(list, c)
	}
	return list
}

// other is the label of what is in no closed set.
const other = "other"

// labelled makes a label's value of a text; names of events may be any bytes.
func labelled(text string) string {
	return strings.ReplaceAll(strings.ToLower(strings.ToValidUTF8(text, "?")), " ", "_")
}

// outcome is an index into outcomes.
func outcome(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// outcomes are the values of a label that tells success from failure.
var outcomes = [2]string{"ok", "error"}

// Buckets, in seconds unless they say otherwise.
var (
	// quick is for what takes from a disk's sync to a client's patience.
	quick = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	// life is for connections.
	life = []float64{1, 10, 60, 300, 900, 1800, 3600, 4 * 3600, 24 * 3600}
	// sizes counts things.
	sizes = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000}
)

// total is the sum of counters.
func total(list ...prometheus.Counter) int64 {
	var sum float64
	for _, c := range list {
		var now dto.Metric
		if c.Write(&now) == nil { // a counter always can be
			sum += now.GetCounter().GetValue()
		}
	}
	return int64(sum)
}
