package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/adapter/redis"
	"github.com/antchat/antchat/server/engineio"
)

// Watched is what is asked for its figures at each scrape. Nil: not there.
type Watched struct {
	Engine *engineio.Server
	// MaxSessions is the limit that Engine was given.
	MaxSessions int
	Local       *local.Adapter
	Redis       interface{ Stats() redis.Stats }
}

// Watch adds the figures of w.
func (m *Metrics) Watch(w Watched) { m.registry.MustRegister(&watcher{w}) }

// watcher asks when it is scraped.
type watcher struct{ w Watched }

func figure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	queuedSessions = figure("engineio_queued_sessions", "Connections that something waits for.")
	queuedMessages = figure("engineio_queued_messages", "Messages that wait for all of them.")
	queuedBytes    = figure("engineio_queued_bytes", "Bytes that wait for all of them.")
	queuedLongest  = figure("engineio_longest_queue_bytes", "Bytes that wait for the connection that most waits for; engine.queue_bytes is the limit.")

	sequencerQueue = figure("adapter_sequencer_queue", "Events and changes that wait for the node's sequencer.")
	storeQueue     = figure("store_queue", "Writes that wait for their batch.")
	rooms          = figure("rooms", "Rooms that have sockets on this node.")
	present        = figure("presence_people", "People present in rooms through this node; somebody in two rooms counts twice.")

	limitUsed = figure("limit_used", "How much of a limit is used, by the setting that sets it.", "limit")
	limitMax  = figure("limit_max", "The limit.", "limit")
	storeSize = figure("local_bytes", "Bytes of the embedded store: the file's, or those of the messages in memory.")

	links         = figure("redis_links", "Lanes of the fleet, each with a link of its own.")
	linksLive     = figure("redis_links_live", "Links that are whole now; fewer than redis_links means that this node is not ready.")
	warnings      = figure("redis_warnings", "Things of Redis's settings that should be mended although the node works; its /readyz on admin.listen says which.")
	subscriptions = figure("redis_subscriptions", "Rooms whose channel this node listens to.")
)

// Describe sends nothing: what there is depends on what is watched.
func (w *watcher) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (w *watcher) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	limit := func(setting string, used, most int) {
		gauge(limitUsed, used, setting)
		gauge(limitMax, most, setting)
	}
	if e := w.w.Engine; e != nil {
		q := e.Queues()
		gauge(queuedSessions, q.Sessions)
		gauge(queuedMessages, q.Messages)
		gauge(queuedBytes, q.Bytes)
		gauge(queuedLongest, q.Longest)
		limit("engine.max_sessions", e.Sessions(), w.w.MaxSessions)
	}
	if a := w.w.Local; a != nil {
		s := a.Stats()
		gauge(sequencerQueue, s.Queued)
		gauge(storeQueue, s.Appends)
		gauge(rooms, s.Rooms)
		gauge(present, s.Presence)
		gauge(storeSize, int(s.Bytes))
		limit("log.max_rooms", s.LogRooms, s.MaxLogRooms)
		limit("dedupe.max_ids", s.Keys, s.MaxKeys)
		if s.MaxBytes > 0 {
			limit("data.max_bytes", int(s.Bytes), int(s.MaxBytes))
		}
	}
	if a := w.w.Redis; a != nil {
		s := a.Stats()
		gauge(sequencerQueue, s.Queued)
		gauge(storeQueue, s.Commands)
		gauge(rooms, s.Rooms)
		gauge(present, s.Presence)
		gauge(links, s.Links)
		gauge(linksLive, s.LiveLinks)
		gauge(subscriptions, s.Subscriptions)
		gauge(warnings, s.Warnings)
	}
}
