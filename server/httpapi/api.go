package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/identity"
)

// Prefix is where the API is.
const Prefix = "/api/v1"

// Options of the API. The zero value of a field means its default.
type Options struct {
	// Keys let back ends in; at most MaxKeys.
	Keys []Key
	// Tokens, when not nil, lets in whoever's token has scopes in Claim: a list of
	// texts, or one text with spaces between; or an object with these as scopes and, as
	// rooms, a list of what Key.Rooms is.
	Tokens identity.Authenticator
	Claim  string
	// TokenLeeway is how long after its end a token is good for more pages of an
	// export. 0.
	TokenLeeway time.Duration
	// MaxBody bounds a request's body in bytes. 1 MiB.
	MaxBody int64
	// MaxBatch bounds the messages of one request. 100.
	MaxBatch int
	// Rate and Burst bound the requests of one caller on this node, each message
	// counting as one. 500 a second, 2,000 at once.
	Rate  float64
	Burst int
	// BodyTimeout bounds the wait for a request's body. 20 s.
	BodyTimeout time.Duration
	// Timeout bounds a whole request, but for exports. 30 s.
	Timeout time.Duration
	// PageTimeout bounds how long a client may take to read a page of an export. 30 s.
	PageTimeout time.Duration
	// MaxRequests and MaxExports bound what is under way at a time. 256 and 8.
	MaxRequests, MaxExports int
	// Address says who a client is. Required.
	Address func(*http.Request) string
	// OpenAPI is the document that is served as it is.
	OpenAPI []byte
	// Logger for what an operator should know. Nothing is logged without it.
	Logger *slog.Logger
	Hooks  Hooks
}

// NoRate as Options.Rate and Options.Burst is no limit.
const NoRate = 1 << 30

// Hooks tell what happens. Any of them may be nil; they must be fast.
type Hooks struct {
	// Served: a request was answered, with a code if it was refused. operation is
	// one of Operations, "" for what is none of them.
	Served func(operation string, code Code)
}

// Attempts that are refused, per network: so many at once, and then one in two
// seconds is told so; the others are told to wait.
const (
	attemptsBurst = 20
	attemptsRate  = 0.5
)

// API serves requests below Prefix. Safe for concurrent use.
type API struct {
	// Immutable.
	chat     *chatapi.API
	options  Options
	keys     []key
	routes   []route
	page     []byte
	attempts *buckets // by network
	callers  *buckets // by caller
	requests chan struct{}
	exports  chan struct{}

	closing context.Context // ends with Close
	close   context.CancelFunc

	mu     sync.Mutex
	closed bool           // guarded by mu
	served sync.WaitGroup // Add with mu held
}

// New checks the options; the error says what is wrong with a key.
func New(chat *chatapi.API, o Options) (*API, error) {
	if o.Address == nil {
		panic("httpapi: no Address")
	}
	o.MaxBody = cmp.Or(o.MaxBody, 1<<20)
	o.MaxBatch = cmp.Or(o.MaxBatch, 100)
	o.Rate, o.Burst = cmp.Or(o.Rate, 500), cmp.Or(o.Burst, 2000)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, 20*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.PageTimeout = cmp.Or(o.PageTimeout, 30*time.Second)
	o.MaxRequests, o.MaxExports = cmp.Or(o.MaxRequests, 256), cmp.Or(o.MaxExports, 8)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{
		chat: chat, options: o, routes: routes,
		attempts: newBuckets(attemptsRate, attemptsBurst),
		callers:  newBuckets(rate.Limit(o.Rate), o.Burst),
		requests: make(chan struct{}, o.MaxRequests), exports: make(chan struct{}, o.MaxExports),
	}
	if err := a.readKeys(); err != nil {
		return nil, err
	}
	a.page = docsPage()
	a.closing, a.close = context.WithCancel(context.Background())
	return a, nil
}

// Close ends exports, refuses requests and waits for those under way.
func (a *API) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.served.Wait() // each is bounded by Timeout
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close api: %w", ctx.Err())
	}
}

// begin notes a request that Close waits for.
func (a *API) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.served.Add(1)
	return true
}

// call is one request.
type call struct {
	api    *API
	w      http.ResponseWriter
	r      *http.Request
	route  *route
	caller *caller // nil where no key is asked for
	vars   map[string]string
	query  url.Values
}

// ServeHTTP implements http.Handler, for paths below Prefix.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	operation, err := a.serve(w, r)
	var code Code
	if err != nil {
		code = refuse(w, err)
		if code == CodeInternal {
			a.options.Logger.Error("api request failed", "operation", operation, "err", err)
		}
	}
	if h := a.options.Hooks.Served; h != nil {
		h(operation, code)
	}
}

// errTold: the answer has begun, and what went wrong stands in it.
type errTold struct{ error }

func (e errTold) Unwrap() error { return e.error }

func (a *API) serve(w http.ResponseWriter, r *http.Request) (operation string, err error) {
	control, now := http.NewResponseController(w), time.Now()
	deadline := errors.Join(control.SetReadDeadline(now.Add(a.options.BodyTimeout)), control.SetWriteDeadline(now.Add(a.options.Timeout+a.options.BodyTimeout)))
	if deadline != nil && !errors.Is(deadline, http.ErrNotSupported) { // a test's writer has nothing to bound
		return "", fmt.Errorf("set deadlines: %w", deadline)
	}
	if !a.begin() {
		return "", failure{code: CodeUnavailable, detail: "the node is stopping; try again", retryAfter: time.Second}
	}
	defer a.served.Done()
	c := &call{api: a, w: w, r: r}
	if c.route, c.vars, err = a.find(r); err != nil {
		if other, ok := errors.AsType[methodError](err); ok {
			w.Header().Set("Allow", other.allow)
			err = failure{code: CodeMethodNotAllowed, detail: "allowed is " + other.allow}
		}
		return "", err
	}
	operation = c.route.operation
	if c.route.scope != 0 {
		if c.caller, err = a.admit(r); err != nil {
			return operation, err
		}
		if c.caller.scopes&c.route.scope == 0 {
			return operation, failure{code: CodeScopeMissing, detail: "the scope " + c.route.scope.String() + " is needed"}
		}
		select {
		case a.requests <- struct{}{}:
			defer func() { <-a.requests }()
		default:
			return operation, failure{code: CodeOverloaded, detail: "too many requests are under way", retryAfter: time.Second}
		}
		if err := a.charge(c.caller, 1); err != nil {
			return operation, err
		}
	}
	if c.query, err = c.route.readQuery(r.URL.RawQuery); err != nil {
		return operation, err
	}
	if c.route.body == nil {
		defer c.unlimited()()
	}
	if c.route.stream != nil {
		return operation, c.route.stream(c)
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.options.Timeout)
	defer cancel()
	status, answer, err := c.route.serve(ctx, c)
	if err != nil {
		return operation, err
	}
	writeJSON(w, status, answer)
	return operation, nil
}

// unlimited takes the limit of reading back: net/http reads on to notice that the
// client has left, and would take a limit that passes for that. What it returns
// sets it again, for what net/http reads of a body that nobody wanted.
func (c *call) unlimited() (limited func()) {
	control := http.NewResponseController(c.w)
	set := func(t time.Time) {
		if err := control.SetReadDeadline(t); err != nil && !errors.Is(err, http.ErrNotSupported) {
			c.api.options.Logger.Debug("read deadline", "err", err) // the connection is gone
		}
	}
	set(time.Time{})
	return func() { set(time.Now().Add(c.api.options.BodyTimeout)) }
}

// charge takes n from a caller's bucket.
func (a *API) charge(c *caller, n int) error {
	if wait := a.callers.take(c.name, n, time.Now()); wait > 0 {
		return failure{code: CodeRateLimited, detail: "too many requests", retryAfter: wait}
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	if answer == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(answer) // the client may be gone
}

// methodError: the path is there, for other methods.
type methodError struct{ allow string }

func (methodError) Error() string { return "httpapi: method not allowed" }

// find is the route of a request. Each part of the path is unescaped by itself, so
// that a room's name may have a slash (%2F).
func (a *API) find(r *http.Request) (*route, map[string]string, error) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), Prefix)
	if !ok {
		return nil, nil, failure{code: CodeNotFound, detail: "there is nothing here"}
	}
	parts := strings.Split(path, "/")
	var allow []string
	for i := range a.routes {
		vars, ok := a.routes[i].match(parts)
		switch {
		case !ok:
		case a.routes[i].method == r.Method:
			return &a.routes[i], vars, nil
		case !slices.Contains(allow, a.routes[i].method):
			allow = append(allow, a.routes[i].method)
		}
	}
	if allow != nil {
		return nil, nil, methodError{strings.Join(allow, ", ")}
	}
	return nil, nil, failure{code: CodeNotFound, detail: "there is nothing here; " + Prefix + "/docs lists all"}
}
