package observe

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/adapter/redis"
)

// appends is how long a message takes into its room's log, whatever the store.
func (m *Metrics) appends() func(took time.Duration, err error) {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "store_append_duration_seconds", Buckets: quick,
		Help: "From an append's call until the store had it, or had not; waiting for its turn included.",
	}, []string{"outcome"})
	m.registry.MustRegister(vec)
	both := [2]prometheus.Observer{vec.WithLabelValues(outcomes[0]), vec.WithLabelValues(outcomes[1])}
	return func(took time.Duration, err error) { both[outcome(err)].Observe(took.Seconds()) }
}

// Local fills the hooks of the embedded store.
func (m *Metrics) Local() local.Hooks {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "local_commit_duration_seconds", Buckets: quick,
		Help: "Commits of the embedded store, synced to disk, by outcome.",
	}, []string{"outcome"})
	m.registry.MustRegister(vec)
	took := [2]prometheus.Observer{vec.WithLabelValues(outcomes[0]), vec.WithLabelValues(outcomes[1])}
	entries := m.histogram("local_commit_entries", "Messages that a commit held.", sizes)
	trimmed := m.counter("local_trimmed_entries_total", "Messages that went since their room's log was full or they were too old.")
	return local.Hooks{
		Appended: m.appends(),
		Commit: func(n int, d time.Duration, err error) {
			took[outcome(err)].Observe(d.Seconds())
			entries.Observe(float64(n))
		},
		Trimmed: func(n int) { trimmed.Add(float64(n)) },
	}
}

// Redis fills the hooks of the fleet's store.
func (m *Metrics) Redis() redis.Hooks {
	trips := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "redis_round_trip_duration_seconds", Buckets: quick,
		Help: "Round trips to Redis, by kind: batch (what is written, many commands at once), call (reads, joins, leases).",
	}, []string{"kind", "outcome"})
	m.registry.MustRegister(trips)
	var batch, call [2]prometheus.Observer
	for i, o := range outcomes {
		batch[i], call[i] = trips.WithLabelValues("batch", o), trips.WithLabelValues("call", o)
	}
	commands := m.histogram("redis_batch_commands", "Commands in one batch to Redis.", sizes)
	lost := m.counter("redis_links_lost_total", "Times that a lane's subscriber connection was lost.")
	repaired := m.histogram("redis_link_repair_duration_seconds", "How long it took to read what a lost link had missed, once Redis was there.", quick)
	missed := m.counter("redis_link_repaired_events_total", "Events that a link had missed, and its repair brought.")
	gaps := m.counter("redis_gap_messages_total", "Messages lost for good in Redis, of which members were told.")
	dropped := m.tally("redis_dropped_total", "Events given up: ephemeral ones whose fate is unknown, and what made no sense.", "reason", dropReasons...)
	fenced := m.counter("redis_fenced_total", "Times that this node had been taken for dead by others, and closed its connections.")
	return redis.Hooks{
		Appended: m.appends(),
		Batch: func(n int, d time.Duration, err error) {
			batch[outcome(err)].Observe(d.Seconds())
			commands.Observe(float64(n))
		},
		Call:     func(d time.Duration, err error) { call[outcome(err)].Observe(d.Seconds()) },
		LinkLost: func(int, string) { lost.Inc() },
		Repaired: func(_ int, d time.Duration, events int) {
			repaired.Observe(d.Seconds())
			missed.Add(float64(events))
		},
		Gap:     func(n uint64) { gaps.Add(float64(n)) },
		Dropped: dropped.inc,
		Fenced:  fenced.Inc,
	}
}

// dropReasons is every reason that the Redis adapter gives to Dropped.
var dropReasons = []string{
	"ephemeral event, outcome unknown", "malformed reply", "a peer's reply was too large", "malformed request", "malformed fence", "malformed message", "unknown message",
	"malformed request", "malformed entry",
}
