package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/server/httpapi"
)

// API fills the hooks of the HTTP API.
func (m *Metrics) API() httpapi.Hooks {
	vec := m.counters("api_requests_total", "Requests of back ends, by operation, and by code if they were refused (docs/http-api.md).", "operation", "code")
	byOperation := make(map[string]map[httpapi.Code]prometheus.Counter)
	for _, operation := range append([]string{""}, httpapi.Operations...) {
		codes := map[httpapi.Code]prometheus.Counter{"": vec.WithLabelValues(operationLabel(operation), "ok")}
		for _, known := range httpapi.Codes {
			codes[known.Code] = vec.WithLabelValues(operationLabel(operation), string(known.Code))
		}
		byOperation[operation] = codes
	}
	return httpapi.Hooks{Served: func(operation string, code httpapi.Code) {
		if c := byOperation[operation][code]; c != nil { // both lists are closed
			c.Inc()
		}
	}}
}

// operationLabel labels what is no operation.
func operationLabel(operation string) string {
	if operation == "" {
		return labelled(other)
	}
	return operation
}
