package observe

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio"
)

// sockets holds the metrics of Socket.IO.
type sockets struct {
	connected    [2]prometheus.Gauge   // by protocol: 4, 5
	connects     [2]prometheus.Counter // new, recovered
	refused      *tally
	disconnected *tally
	handled      map[string]*handled // by event
	handledOther *handled
	fanOut       [3]prometheus.Histogram // by adapter.Class
	fanTime      prometheus.Histogram
	lag          prometheus.Histogram
	encoded      prometheus.Counter
	dropped      prometheus.Counter
	ackTime      prometheus.Histogram
	ackTimeouts  prometheus.Counter
	panics       *tally
	violations   *tally
}

// handled is one event's.
type handled struct {
	took     [2]prometheus.Observer // ok, error
	received prometheus.Counter
}

var classes = [3]string{adapter.Ephemeral: "ephemeral", adapter.Recoverable: "recoverable", adapter.Logged: "logged"}

// SocketIO fills the hooks of Socket.IO. events are those that have handlers;
// what else clients send counts as "other".
func (m *Metrics) SocketIO(events []string) socketio.Hooks {
	s := &sockets{handled: make(map[string]*handled, len(events))}
	connected := m.gauges("socketio_sockets", "Sockets connected now, one per client and namespace.", "protocol")
	s.connected = [2]prometheus.Gauge{connected.WithLabelValues("4"), connected.WithLabelValues("5")}
	connects := m.counters("socketio_connects_total", "Sockets accepted: new, or recovered with all that they had missed.", "kind")
	s.connects = [2]prometheus.Counter{connects.WithLabelValues("new"), connects.WithLabelValues("recovered")}
	s.refused = m.tally("socketio_connects_refused_total", "CONNECT packets answered with an error, by reason.", "reason", refusedConnects...)
	s.disconnected = m.tally("socketio_disconnects_total", "Sockets that ended, by reason.", "reason", disconnectReasons...)

	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "socketio_event_duration_seconds", Buckets: quick,
		Help: "From an event's turn until its acknowledgement was queued, by event and outcome.",
	}, []string{"event", "outcome"})
	m.registry.MustRegister(took)
	received := m.counters("socketio_event_bytes_total", "Bytes of events from clients, attachments included, by event.", "event")
	make1 := func(label string) *handled {
		return &handled{
			took:     [2]prometheus.Observer{took.WithLabelValues(label, outcomes[0]), took.WithLabelValues(label, outcomes[1])},
			received: received.WithLabelValues(label),
		}
	}
	for _, name := range events {
		s.handled[name] = make1(labelled(name))
	}
	s.handledOther = make1(other)

	fanOut := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "socketio_broadcast_recipients", Buckets: sizes,
		Help: "Sockets of this node that a broadcast was queued for; the sum is the number of deliveries.",
	}, []string{"class"})
	m.registry.MustRegister(fanOut)
	for class, label := range classes {
		s.fanOut[class] = fanOut.WithLabelValues(label).(prometheus.Histogram)
	}
	s.fanTime = m.histogram("socketio_broadcast_duration_seconds", "How long it took the sequencer to queue a broadcast for its recipients here.",
		[]float64{0.00001, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1})
	s.lag = m.histogram("socketio_delivery_lag_seconds",
		"From a message's place in its room's log until it was queued for all of its recipients here, by the store's clock and this node's.", quick)
	s.encoded = m.counter("socketio_broadcast_encodings_total", "Forms that broadcasts were encoded in.")
	s.dropped = m.counter("socketio_volatile_dropped_total", "Volatile events not sent since the connection was busy.")
	s.ackTime = m.histogram("socketio_client_ack_seconds", "How long clients took to acknowledge what the server asked them.", quick)
	s.ackTimeouts = m.counter("socketio_client_ack_timeouts_total", "Acknowledgements that clients did not give in time.")
	s.panics = m.tally("socketio_panics_total", "Panics of handlers and other functions of the application.", "in",
		append([]string{"connect", "disconnect", "server event", "error payload", "render", "gap", "presence", "outgoing"}, events...)...)
	m.panics = append(m.panics, s.panics.all()...)
	s.violations = m.tally("socketio_violations_total", "Connections closed because the client broke the protocol or a limit.", "what", violations...)
	return s.hooks()
}

// violations is every text that socketio gives to Violation.
var violations = []string{
	"malformed packet", "text from a msgpack client", "packet for a namespace the client is not in",
	"events not handled in time", "too much is arriving", "packet that only servers send", "too many CONNECT packets", "second CONNECT",
}

var disconnectReasons = []string{
	string(socketio.ReasonClientLeft), string(socketio.ReasonServerLeft), string(socketio.ReasonTransportClose),
	string(socketio.ReasonTransportError), string(socketio.ReasonPingTimeout), string(socketio.ReasonForcedClose),
	string(socketio.ReasonForcedServerClose), string(socketio.ReasonShutdown), string(socketio.ReasonParseError),
	string(socketio.ReasonSlowClient), string(socketio.ReasonMaxAge), string(socketio.ReasonTakenOver),
}

// refusedConnects are the refusals of socketio itself, by message, and two of
// ours: refusedByApp for those of connect middleware, refusedByFault for errors
// that are no refusals.
var refusedConnects = []string{"Invalid namespace", "Too many namespaces", "Auth payload too large", refusedByApp, refusedByFault}

const refusedByApp, refusedByFault = "application", "error"

func (s *sockets) refuse(_ string, err error) {
	var refusal *socketio.ConnectError
	switch {
	case !errors.As(err, &refusal):
		s.refused.inc(refusedByFault)
	case s.refused.known[refusal.Message] != nil:
		s.refused.inc(refusal.Message)
	default:
		s.refused.inc(refusedByApp)
	}
}

func (s *sockets) event(name string) *handled {
	if h := s.handled[name]; h != nil {
		return h
	}
	return s.handledOther
}

func protocol(s *socketio.Socket) int {
	if s.Protocol() == 5 {
		return 1
	}
	return 0
}

func (s *sockets) hooks() socketio.Hooks {
	return socketio.Hooks{
		Connected: func(c *socketio.Socket) {
			s.connected[protocol(c)].Inc()
			kind := 0
			if c.Recovered() {
				kind = 1
			}
			s.connects[kind].Inc()
		},
		Refused: s.refuse,
		Disconnected: func(c *socketio.Socket, reason socketio.DisconnectReason) {
			s.connected[protocol(c)].Dec()
			s.disconnected.inc(string(reason))
		},
		Received: func(_ *socketio.Socket, event string, size int) { s.event(event).received.Add(float64(size)) },
		Handled: func(_ *socketio.Socket, event string, took time.Duration, err error) {
			s.event(event).took[outcome(err)].Observe(took.Seconds())
		},
		Delivered: func(d *adapter.Delivery, recipients, encoded int, took time.Duration) {
			s.fanTime.Observe(took.Seconds())
			s.fanOut[d.Class].Observe(float64(recipients))
			s.encoded.Add(float64(encoded))
			if d.Class == adapter.Logged && recipients > 0 {
				s.lag.Observe(max(0, time.Since(d.Time).Seconds()))
			}
		},
		Dropped:     func(*socketio.Socket, string) { s.dropped.Inc() },
		Acked:       func(_ *socketio.Socket, took time.Duration) { s.ackTime.Observe(took.Seconds()) },
		AckTimedOut: func(*socketio.Socket) { s.ackTimeouts.Inc() },
		Panicked:    func(where string, _ any) { s.panics.inc(where) },
		Violation:   s.violations.inc,
	}
}
