package gateway

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/rs/cors"
)

// Time limits of everything but the endpoint, which has its own: a poll may be
// held, a WebSocket lives on.
const (
	readLimit  = 10 * time.Second
	writeLimit = time.Minute
)

// apiPath begins the paths of Options.API.
const apiPath = "/api/v1/"

// preflightAge is how long a browser may remember an answer to OPTIONS, in
// seconds. Chromium caps it at two hours.
const preflightAge = 7200

// Options configures [New]. The zero value of each optional field means the
// default that it names.
type Options struct {
	// Endpoint serves Engine.IO. Required.
	Endpoint http.Handler
	// Path of the endpoint. It starts and ends with a slash. Default
	// "/socket.io/".
	Path string
	// Client holds the browser client's bundles, served under Path. Default:
	// none are served.
	Client fs.FS
	// Page holds the page, served at the root. It must not change. Default: no
	// page; / is not found.
	Page fs.FS
	// Dir is a directory with an operator's own page, served instead of Page.
	// Its files may change at any time. Names that start with a dot, and links
	// that lead out of it, are not found.
	Dir string
	// ContentSecurityPolicy of what Page or Dir hold. Default: one that lets
	// Page run and nothing else, and none for Dir. "off": none.
	ContentSecurityPolicy string
	// API serves what is below /api/v1/, with no CORS: it is for programs. It sets
	// its own time limits. Default: none.
	API http.Handler
	// Origins decides which pages may connect. Default: the server's own.
	Origins *Origins
	// Ready says why the node cannot take connections now, nil if it can.
	// Called per request to /readyz; it must not block. Default: always ready.
	Ready func() error
	// Warnings are what an operator should mend although the node is ready, a line
	// each; [Gateway.Operator] shows them, and clients never see them. It must not
	// block. Default: none.
	Warnings func() []string
	// Logger gets what goes wrong in reading Dir. Default: discard.
	Logger *slog.Logger
	Hooks  Hooks
}

// Gateway is the server's root handler.
type Gateway struct {
	endpoint http.Handler // with CORS
	path     string       // "/socket.io/"
	bundles  map[string]http.Handler
	page     http.Handler
	api      http.Handler // nil: none
	ready    func() error
	warnings func() []string
	close    func() error
	hooks    Hooks
}

// New makes the gateway. An error says that Dir cannot be read.
func New(o Options) (*Gateway, error) {
	if o.Endpoint == nil {
		panic("gateway: no Endpoint")
	}
	if o.Path == "" {
		o.Path = "/socket.io/"
	}
	if o.Origins == nil {
		o.Origins = NewOrigins(nil, false)
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Warnings == nil {
		o.Warnings = func() []string { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	share := cors.New(cors.Options{
		AllowOriginVaryRequestFunc: func(r *http.Request, _ string) (bool, []string) {
			return o.Origins.Allowed(r), nil // Vary: Origin is there already
		},
		AllowedMethods:       []string{http.MethodGet, http.MethodPost},
		AllowedHeaders:       []string{"*"}, // the clients' extraHeaders
		AllowCredentials:     true,
		MaxAge:               preflightAge,
		OptionsSuccessStatus: http.StatusNoContent,
	})

	g := &Gateway{
		endpoint: share.Handler(o.Endpoint),
		path:     o.Path,
		bundles:  map[string]http.Handler{},
		api:      o.API,
		ready:    o.Ready,
		warnings: o.Warnings,
		close:    func() error { return nil },
		hooks:    o.Hooks,
	}
	if o.Client != nil {
		assets, err := newAssets(o.Client)
		if err != nil {
			return nil, fmt.Errorf("read the client's bundles: %w", err)
		}
		for name, a := range assets {
			if strings.HasPrefix(name, "socket.io.") {
				g.bundles[name] = quick(share.Handler(a.cached("public, max-age=0")))
			}
		}
	}
	switch {
	case o.Dir != "":
		dir, err := openDir(o.Dir, o.Logger)
		if err != nil {
			return nil, err
		}
		g.close = dir.Close
		g.page = quick(pageHeaders(dir, ownPolicy(o.ContentSecurityPolicy, "")))
	case o.Page != nil:
		assets, err := newAssets(o.Page)
		if err != nil {
			return nil, fmt.Errorf("read the page: %w", err)
		}
		g.page = quick(pageHeaders(assets, ownPolicy(o.ContentSecurityPolicy, strictPolicy)))
	default:
		g.page = quick(http.HandlerFunc(notFound))
	}
	return g, nil
}

// Close releases the operator's directory. No request may be under way.
func (g *Gateway) Close() error { return g.close() }

// ServeHTTP routes by the path alone: http.ServeMux would answer a path that
// needs cleaning with a redirect, which Socket.IO clients do not follow.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.hooks.Served != nil {
		g.watched(w, r)
		return
	}
	g.serve(w, r)
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case path == g.path || path == g.path[:len(g.path)-1]:
		g.endpoint.ServeHTTP(w, r)
	case strings.HasPrefix(path, g.path):
		if bundle, ok := g.bundles[path[len(g.path):]]; ok {
			bundle.ServeHTTP(w, r)
			return
		}
		notFound(w, r)
	case path == "/healthz":
		quick(http.HandlerFunc(healthz)).ServeHTTP(w, r)
	case path == "/readyz":
		quick(g.readyz(nil)).ServeHTTP(w, r)
	case g.api != nil && strings.HasPrefix(path, apiPath):
		g.api.ServeHTTP(w, r)
	default:
		g.page.ServeHTTP(w, r)
	}
}

// Operator serves /healthz and /readyz to whoever runs the node: the second with
// warnings, which change nothing of its status.
func (g *Gateway) Operator() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", quick(http.HandlerFunc(healthz)))
	mux.Handle("/readyz", quick(g.readyz(g.warnings)))
	return mux
}

func healthz(w http.ResponseWriter, r *http.Request) {
	if readOnly(w, r) {
		say(w, http.StatusOK, "ok")
	}
}

// readyz says whether the node is ready, with warnings if they are given.
func (g *Gateway) readyz(warnings func() []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !readOnly(w, r) {
			return
		}
		if err := g.ready(); err != nil {
			say(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		text := "ready"
		if warnings != nil {
			for _, one := range warnings() {
				text += "\nwarning: " + one
			}
		}
		say(w, http.StatusOK, text)
	})
}

// quick bounds the time of a request that has nothing to wait for. net/http
// takes the limits back before the connection's next request.
func quick(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, now := http.NewResponseController(w), time.Now()
		// A writer without deadlines (a test's) has nothing to bound.
		if err := errors.Join(c.SetReadDeadline(now.Add(readLimit)), c.SetWriteDeadline(now.Add(writeLimit))); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return // the connection is gone
		}
		h.ServeHTTP(w, r)
	})
}

// readOnly answers every method but GET and HEAD itself.
func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	say(w, http.StatusMethodNotAllowed, "method not allowed")
	return false
}

func notFound(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusNotFound, "not found") }

// say answers with a line of text that nobody keeps.
func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // the client may be gone
}
