package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/server/webhook"
)

// Webhooks counts what becomes of events.
func (m *Metrics) Webhooks() func(webhook.Outcome) {
	vec := m.counters("webhook_events_total", "Events for webhooks, by what became of them; each hook counts.", "outcome")
	by := make(map[webhook.Outcome]prometheus.Counter)
	for _, outcome := range webhook.Outcomes {
		by[outcome] = vec.WithLabelValues(string(outcome))
	}
	return func(outcome webhook.Outcome) { by[outcome].Inc() }
}
