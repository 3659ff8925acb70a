package observe

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/server/gateway"
)

// statuses are the values of the label: a class of answers each, and the two that
// say what the others of their class do not.
var statuses = [...]string{"101", "2xx", "3xx", "4xx", "5xx", "503"}

func byStatus(code int) int {
	switch {
	case code == http.StatusSwitchingProtocols:
		return 0
	case code == http.StatusServiceUnavailable:
		return 5
	}
	return min(max(code/100-1, 1), 4)
}

// Gateway fills the hooks of the HTTP edge: requests are counted, and logged with
// level DEBUG, those that failed by the server's own fault with WARN. Neither
// has the request's query, which holds session ids and what clients authenticate
// with. address says who the client is.
func (m *Metrics) Gateway(logger *slog.Logger, address func(*http.Request) string) gateway.Hooks {
	vec := m.counters("http_requests_total", "Requests answered on the clients' address, by what they were for.", "route", "status")
	var counters [len(gateway.Routes)][len(statuses)]prometheus.Counter
	for route, name := range gateway.Routes {
		for i, status := range statuses {
			counters[route][i] = vec.WithLabelValues(name, status)
		}
	}
	return gateway.Hooks{Served: func(r *http.Request, s gateway.Served) {
		counters[s.Route][byStatus(s.Status)].Inc()
		level := slog.LevelDebug
		if s.Status >= 500 && s.Status != http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
		ctx := r.Context()
		if !logger.Enabled(ctx, level) {
			return
		}
		logger.LogAttrs(withTraceOf(ctx, r), level, "request", slog.Group("httpRequest",
			slog.String("requestMethod", r.Method),
			slog.String("requestUrl", short(r.URL.EscapedPath())),
			slog.Int("status", s.Status),
			slog.String("responseSize", strconv.FormatInt(s.Bytes, 10)), // an int64 in JSON is text there
			slog.String("userAgent", short(r.UserAgent())),
			slog.String("remoteIp", address(r)),
			slog.String("protocol", r.Proto),
			slog.String("latency", strconv.FormatFloat(s.Took.Seconds(), 'f', 6, 64)+"s"),
		))
	}}
}

// short bounds what a client chose.
func short(text string) string {
	const most = 256
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
