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
	connects := m.counters("chat_connects_refused_total", "CONNECTs refused by the chat, by code.", "code")
	ended := m.counters("chat_sessions_ended_total", "Sockets that the chat ended, by code.", "code")
	connectBy, endedBy := make(map[chatapi.Code]prometheus.Counter), make(map[chatapi.Code]prometheus.Counter)
	for _, code := range chatapi.Codes {
		connectBy[code], endedBy[code] = connects.WithLabelValues(string(code)), ended.WithLabelValues(string(code))
	}
	limited := m.counters("chat_rate_limited_total", "Requests and CONNECTs that a bucket refused, by kind and by whose bucket.", "kind", "scope")
	limitedBy := make(map[chatapi.Kind]map[chatapi.Scope]prometheus.Counter)
	for _, kind := range chatapi.Kinds {
		limitedBy[kind] = make(map[chatapi.Scope]prometheus.Counter)
		for _, scope := range chatapi.Scopes {
			limitedBy[kind][scope] = limited.WithLabelValues(kind.String(), scope.String())
		}
	}
	slowed := m.counter("chat_slowed_total", "Refused requests that waited, and their connections with them, since their sockets ask faster than fairness.refusals_socket.")
	rooms := m.counters("chat_too_many_rooms_total", "Joins refused since a socket, or a user over all of them, was in as many rooms as it may be.", "scope")
	roomsBy := map[chatapi.Scope]prometheus.Counter{}
	for _, scope := range []chatapi.Scope{chatapi.ScopeSocket, chatapi.ScopeUser} {
		roomsBy[scope] = rooms.WithLabelValues(scope.String())
	}
	return chatapi.Hooks{
		TooManyRooms: func(scope chatapi.Scope) { roomsBy[scope].Inc() },
		ConnectRefused: func(code chatapi.Code) {
			if c := connectBy[code]; c != nil {
				c.Inc()
			}
		},
		Ended: func(code chatapi.Code) {
			if c := endedBy[code]; c != nil {
				c.Inc()
			}
		},
		Limited: func(kind chatapi.Kind, scope chatapi.Scope) {
			limitedBy[kind][scope].Inc()
		},
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
		Named:    named.Inc,
		Slowed:   slowed.Inc,
		Unlisted: m.counter("chat_direct_rooms_unlisted_total", "Direct rooms that somebody began with a person in whose list there was no place for it.").Inc,
	}
}
