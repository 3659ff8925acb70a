package observe

import (
	"io"
	"net/http"
	"net/http/pprof"
)

// Admin is what an operator sees on an address apart from the clients': metrics,
// profiles, health. health is the gateway's handler of /healthz and /readyz for operators.
func Admin(metrics, health http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /healthz", health)
	mux.Handle("GET /readyz", health)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, adminIndex) // the client may be gone
	})
	return mux
}

const adminIndex = `<!doctype html>
<html lang="en"><title>Antchat</title>
<ul><li><a href="/metrics">metrics</a><li><a href="/readyz">ready</a><li><a href="/healthz">healthy</a><li><a href="/debug/pprof/">profiles</a></ul>
`
