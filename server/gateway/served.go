package gateway

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"time"
)

// Hooks tell what happens. Any of them may be nil; they must be quick.
type Hooks struct {
	// Served: a request has been answered. For a WebSocket that is when it was
	// opened, with status 101.
	Served func(r *http.Request, s Served)
}

// Route is what a request was for.
type Route int

// The routes.
const (
	RouteEndpoint Route = iota // Engine.IO
	RouteClient                // the browser client's bundles
	RouteHealth                // /healthz, /readyz
	RouteAPI                   // below /api/v1/, if there is an API
	RoutePage                  // all else
)

// Routes are their names, by Route.
var Routes = [...]string{RouteEndpoint: "endpoint", RouteClient: "client", RouteHealth: "health", RouteAPI: "api", RoutePage: "page"}

// Served is how a request was answered.
type Served struct {
	Route  Route
	Status int
	Bytes  int64 // of the body
	Took   time.Duration
}

func (g *Gateway) routeOf(path string) Route {
	switch {
	case path == g.path || path == g.path[:len(g.path)-1]:
		return RouteEndpoint
	case strings.HasPrefix(path, g.path):
		return RouteClient
	case path == "/healthz" || path == "/readyz":
		return RouteHealth
	case g.api != nil && strings.HasPrefix(path, apiPath):
		return RouteAPI
	}
	return RoutePage
}

// watched serves a request and tells of it.
func (g *Gateway) watched(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	a := &answer{ResponseWriter: w}
	g.serve(a, r)
	status := a.status
	if status == 0 {
		// Nothing was written: net/http says 200, unless a WebSocket took the
		// connection over.
		status = http.StatusOK
		if a.taken {
			status = http.StatusSwitchingProtocols
		}
	}
	g.hooks.Served(r, Served{Route: g.routeOf(r.URL.Path), Status: status, Bytes: a.bytes, Took: time.Since(began)})
}

// answer notes what passes. http.ResponseController finds what is beneath.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
	taken  bool
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Hijack is http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	a.taken = err == nil
	return c, rw, err
}

// WriteHeader is http.ResponseWriter's.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 { // others come before the answer
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write is http.ResponseWriter's.
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}
