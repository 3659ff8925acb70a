package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/server/chatapi"
)

// Chat fills the hooks of the chat. events are its requests.
func (m *Metrics) Chat(events []string) chatapi.Hooks {
	messages := m.counters("chat_messages_total", "Messages in their room's log: stored now, or found there since they were sent again.", "outcome")
	stored, duplicate := messages.WithLabelValues("stored"), messages.WithLabelValues("duplicate")
	named := m.counter("chat_names_total", "Times that a socket's person took a name.")
	refused := m.counters("chat_requests_refused_total", "Requests refused, by event and code (docs/protocol.md).", "event", "code")
	byEvent := make(map[string]map[chatapi.Code]prometheus.Counter, len(events)+1)
	for _, event := range append([]string{other}, events...) {
		byEvent[event] = make(map[chatapi.Code]prometheus.Counter, len(chatapi.Codes))
		for _, code := range chatapi.Codes {
			byEvent[event][code] = refused.WithLabelValues(labelled(event), string(code))
		}
	}
	return chatapi.Hooks{
		Sent: func(again bool) {
			if again {
				duplicate.Inc()
			} else {
				stored.Inc()
			}
		},
		Refused: func(event string, code chatapi.Code) {
			codes := byEvent[event]
			if codes == nil {
				codes = byEvent[other]
			}
			if c := codes[code]; c != nil { // the list of codes is closed
				c.Inc()
			}
		},
		Named: named.Inc,
	}
}
