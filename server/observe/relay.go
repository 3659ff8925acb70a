package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/server/engineio"
)

// relay holds the metrics of polling requests that pass between nodes: what this
// node asked others, and what it was asked.
type relay struct {
	asked, served relayed
	lost, words   prometheus.Counter
	moves         *tally
	moving        prometheus.Histogram
}

// relayed counts one direction.
type relayed struct {
	kinds    map[string]*tally
	bytes    prometheus.Counter
	duration map[string]prometheus.Observer
}

func (m *Metrics) relay() *relay {
	return &relay{
		asked: m.relayed("engineio_relayed", "Requests of other nodes' sessions, passed on, by what came of them.",
			[]string{"get", "post", "other"},
			engineio.RelayAnswered, engineio.RelayUnknown, engineio.RelayFailed, engineio.RelaySpared,
			engineio.RelayLeft, engineio.RelayBusy, engineio.RelayBad),
		served: m.relayed("engineio_relay_served", "Requests of own sessions that came by other nodes.",
			[]string{"get", "post", "other", "recall", "undelivered", "broken", "move"},
			engineio.ServedAnswered, engineio.ServedRepeat, engineio.ServedUnclear, engineio.ServedLost,
			engineio.ServedSpared, engineio.ServedNoted, engineio.ServedRefused),
		lost:  m.counter("engineio_relay_lost_total", "Sessions closed since what was taken for the client did not reach it by another node."),
		words: m.counter("engineio_move_words_lost_total", "Acknowledgements that came here for events of a client's former node, and did not reach it."),
		moves: m.tally("engineio_moves_total", "Upgrades of other nodes' sessions that were completed here, by whether the session came along.", "outcome",
			engineio.MoveDone, engineio.MoveNotHandedOver, engineio.MoveNotTakenUp, engineio.MoveNotConfirmed),
		moving: m.histogram("engineio_move_duration_seconds", "How long those took, from the WebSocket's request on.", quick),
	}
}

func (r *relay) moved(outcome string, took time.Duration) {
	r.moves.inc(outcome)
	r.moving.Observe(took.Seconds())
}

func (m *Metrics) relayed(name, help string, kinds []string, results ...string) relayed {
	total := m.counters(name+"_total", help, "kind", "outcome")
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name + "_duration_seconds", Help: "How long they took; of a get most is the hold.", Buckets: quick,
	}, []string{"kind"})
	m.registry.MustRegister(took)
	r := relayed{
		kinds: map[string]*tally{}, duration: map[string]prometheus.Observer{},
		bytes: m.counter(name+"_bytes_total", "Bytes of payload in them."),
	}
	for _, kind := range append(kinds, other) {
		t := &tally{known: map[string]prometheus.Counter{}, other: total.WithLabelValues(kind, other)}
		for _, o := range results {
			t.known[o] = total.WithLabelValues(kind, o)
		}
		r.kinds[kind] = t
		r.duration[kind] = took.WithLabelValues(kind)
	}
	return r
}

func (r *relayed) count(kind, outcome string, bytes int, took time.Duration) {
	if r.kinds[kind] == nil {
		kind = other
	}
	r.kinds[kind].inc(outcome)
	r.duration[kind].Observe(took.Seconds())
	r.bytes.Add(float64(bytes))
}
