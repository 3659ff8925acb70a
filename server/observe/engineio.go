package observe

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

// refusals are the label values of RefusalCode, by code.
var refusals = [...]string{
	engineio.RefusedTransport: "transport",
	engineio.RefusedSession:   "unknown_session",
	engineio.RefusedMethod:    "method",
	engineio.RefusedRequest:   "bad_request",
	engineio.RefusedForbidden: "forbidden",
	engineio.RefusedVersion:   "revision",
	engineio.RefusedCapacity:  "max_sessions",
	engineio.RefusedAddress:   "max_sessions_per_address",
	engineio.RefusedShutdown:  "shutting_down",
	engineio.RefusedSize:      "too_large",
	engineio.RefusedOverlap:   "overlap",
	engineio.RefusedPayload:   "payload",
	engineio.RefusedRelay:     "relay_failed",
	engineio.RefusedBusy:      "max_relayed",
	engineio.RefusedOverload:  "overloaded",
	engineio.RefusedCrowded:   "max_arriving",
	engineio.RefusedUnready:   "not_ready",
}

// engine holds the metrics of Engine.IO. Arrays are indexed by transport, and by
// revision.
type engine struct {
	sessions     [2][2]prometheus.Gauge
	opened       [2][2]prometheus.Counter
	closed       *tally
	lived        prometheus.Histogram
	upgraded     [2]prometheus.Counter
	unupgraded   *tally
	refused      [len(refusals)]prometheus.Counter
	refusedOther prometheus.Counter
	full, silent prometheus.Counter
	blocked      prometheus.Counter
	received     [2]traffic
	sent         [2]traffic
	polls        [2]prometheus.Counter // plain, compressed
	payload      prometheus.Counter
	wire         prometheus.Counter
	frames       *tally
	panics       prometheus.Counter
	relay        *relay
}

// traffic of one transport in one direction.
type traffic struct{ packets, bytes prometheus.Counter }

func (t *traffic) add(packets, bytes int) {
	t.packets.Add(float64(packets))
	t.bytes.Add(float64(bytes))
}

var (
	transports = [2]string{engineio.TransportPolling, engineio.TransportWebSocket}
	revisions  = [2]string{"3", "4"}
)

func byTransport(name string) int {
	if name == engineio.TransportWebSocket {
		return 1
	}
	return 0
}

func byRevision(n int) int {
	if n == 4 {
		return 1
	}
	return 0
}

// EngineIO fills the hooks of Engine.IO.
func (m *Metrics) EngineIO() engineio.Hooks {
	e := &engine{}
	sessions := m.gauges("engineio_sessions", "Connections now.", "transport", "revision")
	opened := m.counters("engineio_sessions_opened_total", "Connections accepted, by the transport that they began with.", "transport", "revision")
	packets := m.counters("engineio_packets_total", "Engine.IO packets that passed a transport.", "direction", "transport")
	bytes := m.counters("engineio_bytes_total", "Bytes of those packets, before polls are compressed.", "direction", "transport")
	for t, transport := range transports {
		for r, revision := range revisions {
			e.sessions[t][r] = sessions.WithLabelValues(transport, revision)
			e.opened[t][r] = opened.WithLabelValues(transport, revision)
			m.opened = append(m.opened, e.opened[t][r])
		}
		e.received[t] = traffic{packets.WithLabelValues("in", transport), bytes.WithLabelValues("in", transport)}
		e.sent[t] = traffic{packets.WithLabelValues("out", transport), bytes.WithLabelValues("out", transport)}
	}
	e.closed = m.tally("engineio_sessions_closed_total", "Connections that ended, by reason.", "reason", closeReasons...)
	e.lived = m.histogram("engineio_session_duration_seconds", "How long connections that ended had lived.", life)
	upgraded := m.counters("engineio_upgrades_total", "Connections that moved from polling to WebSocket.", "revision")
	for r, revision := range revisions {
		e.upgraded[r] = upgraded.WithLabelValues(revision)
	}
	e.unupgraded = m.tally("engineio_upgrades_failed_total", "WebSockets opened for an upgrade that did not take over.", "reason", upgradeFailures...)
	refused := m.counters("engineio_requests_refused_total", "Requests turned away, by reason.", "reason")
	for code, reason := range refusals {
		e.refused[code] = refused.WithLabelValues(reason)
		m.refused = append(m.refused, e.refused[code])
	}
	e.refusedOther = refused.WithLabelValues(other)
	m.refused = append(m.refused, e.refusedOther)
	slow := m.counters("engineio_slow_clients_total", "Clients closed because they did not read: their queue was full, or did not move in engine.write_timeout.", "cause")
	e.full, e.silent = slow.WithLabelValues("queue_full"), slow.WithLabelValues("write_timeout")
	m.slow = append(m.slow, e.full, e.silent)
	e.blocked = m.counter("engineio_blocked_writes_total", "Times that the kernel took no more for a client, so that its queue began to wait.")
	polls := m.counters("engineio_polls_total", "Polls answered.", "compressed")
	e.polls = [2]prometheus.Counter{polls.WithLabelValues("false"), polls.WithLabelValues("true")}
	e.payload = m.counter("engineio_poll_payload_bytes_total", "Bytes of payload in answers to polls, before compression.")
	e.wire = m.counter("engineio_poll_sent_bytes_total", "Bytes of payload in answers to polls, as sent.")
	e.frames = m.tally("engineio_frame_errors_total", "WebSockets closed with an error code.", "code", "1002", "1003", "1007", "1008", "1009", "1010", "1011", "1013")
	e.panics = m.counter("engineio_panics_total", "Panics of the layer above, each of which closed one connection.")
	m.panics = append(m.panics, e.panics)
	e.relay = m.relay()
	return e.hooks()
}

// closeReasons is every reason that a session is closed for, by the engine and by
// Socket.IO.
var closeReasons = []string{
	engineio.ReasonTransportClose, engineio.ReasonTransportError, engineio.ReasonPingTimeout, engineio.ReasonForcedClose,
	engineio.ReasonForcedServerClose, engineio.ReasonShutdown, engineio.ReasonParseError, engineio.ReasonSlowClient,
	engineio.ReasonMaxAge, engineio.ReasonMoved, string(socketio.ReasonTakenOver),
}

func (e *engine) hooks() engineio.Hooks {
	return engineio.Hooks{
		Opened: func(transport string, revision int) {
			t, r := byTransport(transport), byRevision(revision)
			e.opened[t][r].Inc()
			e.sessions[t][r].Inc()
		},
		Closed: func(transport string, revision int, reason string, lived time.Duration) {
			e.sessions[byTransport(transport)][byRevision(revision)].Dec()
			e.closed.inc(reason)
			e.lived.Observe(lived.Seconds())
		},
		Upgraded: func(revision int) {
			r := byRevision(revision)
			e.sessions[0][r].Dec()
			e.sessions[1][r].Inc()
			e.upgraded[r].Inc()
		},
		UpgradeFailed: e.unupgraded.inc,
		Refused: func(code engineio.RefusalCode) {
			if code < 0 || int(code) >= len(e.refused) {
				e.refusedOther.Inc()
				return
			}
			e.refused[code].Inc()
		},
		SlowClient: func(_, _ int, overflow bool) {
			if overflow {
				e.full.Inc()
			} else {
				e.silent.Inc()
			}
		},
		Blocked:  e.blocked.Inc,
		Received: func(transport string, packets, bytes int) { e.received[byTransport(transport)].add(packets, bytes) },
		Sent:     func(transport string, packets, bytes int) { e.sent[byTransport(transport)].add(packets, bytes) },
		Polled: func(bytes, sent int, compressed bool) {
			i := 0
			if compressed {
				i = 1
			}
			e.polls[i].Inc()
			e.payload.Add(float64(bytes))
			e.wire.Add(float64(sent))
		},
		Relayed:     e.relay.asked.count,
		RelayServed: e.relay.served.count,
		RelayLost:   e.relay.lost.Inc,
		Moved:       e.relay.moved,
		WordLost:    e.relay.words.Inc,
		FrameError:  func(code int) { e.frames.inc(strconv.Itoa(code)) },
		Panicked:    e.panics.Inc,
	}
}

// upgradeFailures is every reason that engineio gives to UpgradeFailed.
var upgradeFailures = []string{
	"timeout", "given up", engineio.MoveNotHandedOver, engineio.MoveNotTakenUp, engineio.MoveNotConfirmed, "session closed", "second upgrade", "write failed", "unexpected packet", "connection ended",
	engineio.ReasonTransportClose, engineio.ReasonTransportError, engineio.ReasonParseError,
}
