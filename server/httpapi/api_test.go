package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/identity"
	"github.com/antchat/antchat/server/socketio"
)

const patience = 20 * time.Second

// store fails when told to.
type store struct {
	*local.Adapter
	failAfter atomic.Int64  // appends that succeed; below 0: all
	lost      []adapter.Gap // told to those who read on
}

func (s *store) Read(ctx context.Context, namespace, room string, q adapter.LogRead) (*adapter.LogSlice, error) {
	slice, err := s.Adapter.Read(ctx, namespace, room, q)
	if err == nil && q.After != nil {
		slice.Lost = s.lost
	}
	return slice, err
}

func (s *store) Append(ctx context.Context, a adapter.Append) (adapter.Appended, error) {
	if n := s.failAfter.Load(); n >= 0 && s.failAfter.Add(-1) < 0 {
		s.failAfter.Store(0)
		return adapter.Appended{}, fmt.Errorf("store: secret detail: %w", adapter.ErrUnavailable)
	}
	return s.Adapter.Append(ctx, a)
}

// tokens are subjects with scopes, "subject:scope scope", or with a claim in JSON.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, token string) (identity.Identity, error) {
	switch token {
	case "old":
		return identity.Identity{}, identity.ErrExpired
	case "away":
		return identity.Identity{}, identity.ErrUnavailable
	}
	subject, scopes, ok := strings.Cut(token, ":")
	if !ok {
		return identity.Identity{}, identity.ErrInvalid
	}
	id := identity.Identity{Subject: subject, Name: "Service", Claims: identity.Claims{"scopes": scopes}}
	if strings.HasPrefix(scopes, "{") {
		if err := json.Unmarshal([]byte(`{"scopes":`+scopes+`}`), &id.Claims); err != nil {
			return identity.Identity{}, identity.ErrInvalid
		}
	}
	if life, err := time.ParseDuration(subject); err == nil { // one that says how long it is good
		id.Expires = time.Now().Add(life)
	}
	return id, nil
}

// fixture is an API over a chat in memory, with a key for each scope and one for
// all.
type fixture struct {
	t     testing.TB
	api   *API
	chat  *chatapi.API
	store *store
	keys  map[string]string // text by name
	codes []string          // operation code, as the hook heard them
	from  string
}

func newFixture(t testing.TB, change func(*Options)) *fixture {
	t.Helper()
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, store: &store{Adapter: a}, keys: map[string]string{}, from: "192.0.2.1"}
	f.store.failAfter.Store(-1)
	sio := socketio.NewServer(a, socketio.Options{Recovery: true, Views: chatapi.Views, Secrets: chatapi.Secrets, ErrorPayload: chatapi.ErrorPayload})
	if f.chat, err = chatapi.New(sio.Of("/"), f.store, chatapi.Options{}); err != nil {
		t.Fatal(err)
	}
	o := Options{
		Tokens: tokens{}, Claim: "scopes", OpenAPI: []byte("openapi: 3.1.0\n"),
		Address: func(*http.Request) string { return f.from },
	}
	o.Hooks.Served = func(operation string, code Code) { f.codes = append(f.codes, operation+" "+string(code)) }
	for _, name := range []string{"read", "write", "moderate", "admin", "worker"} {
		text, hash := NewKey()
		scopes := []string{name}
		if name == "worker" {
			scopes = []string{"read", "write", "moderate", "admin"}
		}
		f.keys[name] = text
		o.Keys = append(o.Keys, Key{Name: name, Hash: hash, Scopes: scopes})
	}
	if change != nil {
		change(&o)
	}
	if f.api, err = New(f.chat, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, end := range []func(context.Context) error{f.api.Close, sio.Close, f.chat.Close, a.Close} {
			if err := end(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return f
}

// request makes one, as the worker unless headers say who.
func (f *fixture) request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, Prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+f.keys["worker"])
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r
}

func (f *fixture) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.api.ServeHTTP(w, f.request(method, path, body, headers...))
	return w
}

// answer decodes an answer of a status.
func answer[T any](f *fixture, status int, w *httptest.ResponseRecorder) (v T) {
	f.t.Helper()
	if w.Code != status {
		f.t.Fatalf("%d %s, not %d", w.Code, w.Body, status)
	}
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		f.t.Fatal(err)
	}
	return v
}

// refused holds an answer against a code.
func (f *fixture) refused(w *httptest.ResponseRecorder, code Code) Problem {
	f.t.Helper()
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code != code || p.Status != w.Code {
		f.t.Errorf("%d %s, not %s", w.Code, w.Body, code)
	}
	if w.Header().Get("Content-Type") != "application/problem+json" || p.Title == "" || p.Detail == "" || p.Type != Prefix+"/docs#"+string(code) {
		f.t.Errorf("no problem document: %v %s", w.Header(), w.Body)
	}
	if strings.Contains(w.Body.String(), "secret detail") {
		f.t.Errorf("internals: %s", w.Body)
	}
	if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
		f.t.Errorf("WWW-Authenticate with %d", w.Code)
	}
	if (w.Code == 429 || w.Code == 503) && w.Header().Get("Retry-After") == "" {
		f.t.Errorf("%d without Retry-After", w.Code)
	}
	return p
}

func TestRefusals(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxBody, o.MaxBatch = 4096, 2 })
	long := strings.Repeat("x", 200)
	other := strings.Repeat("A", 21) + "A"
	for _, tt := range []struct {
		method, path, body string
		headers            []string
		code               Code
	}{
		{"GET", "/nothing", "", nil, CodeNotFound},
		{"GET", "/rooms//messages", "", nil, CodeNotFound},
		{"PATCH", "/rooms", "", nil, CodeMethodNotAllowed},
		{"GET", "/rooms", "", []string{"Authorization", ""}, CodeUnauthorized},
		{"GET", "/rooms", "", []string{"Authorization", "Basic eDp5"}, CodeUnauthorized},
		{"GET", "/rooms", "", []string{"Authorization", "Bearer " + keyPrefix + "guess"}, CodeUnauthorized},
		{"GET", "/rooms", "", []string{"Authorization", "Bearer " + strings.Repeat("x", maxCredential+1)}, CodeTokenInvalid},
		{"GET", "/rooms", "", []string{"Authorization", "Bearer old"}, CodeTokenExpired},
		{"GET", "/rooms", "", []string{"Authorization", "Bearer away"}, CodeUnavailable},
		{"GET", "/rooms", "", []string{"Authorization", "Bearer ann:email"}, CodeScopeMissing},
		{"GET", "/rooms", "", []string{"Authorization", "Bearer ann:write"}, CodeScopeMissing},
		{"GET", "/rooms", "", []string{"Authorization", "Bearer " + f.keys["write"]}, CodeScopeMissing},
		{"POST", "/rooms/r/messages", `{"message":"x"}`, []string{"Authorization", "Bearer " + f.keys["read"]}, CodeScopeMissing},
		{"PUT", "/bans/sub:ann", "", []string{"Authorization", "Bearer " + f.keys["moderate"]}, CodeScopeMissing},
		{"DELETE", "/rooms/r/messages/1", "", []string{"Authorization", "Bearer " + f.keys["admin"]}, CodeScopeMissing},
		{"GET", "/rooms?page=2", "", nil, CodeBadRequest},
		{"GET", "/rooms?limit=1&limit=2", "", nil, CodeBadRequest},
		{"GET", "/rooms?limit=-1", "", nil, CodeBadRequest},
		{"GET", "/rooms?%zz", "", nil, CodeBadRequest},
		{"GET", "/rooms?after=%00", "", nil, CodeInvalidRoom},
		{"GET", "/rooms/r/messages?after=x", "", nil, CodeBadRequest},
		{"GET", "/rooms/r/messages?epoch=" + long, "", nil, CodeBadRequest},
		{"GET", "/rooms/" + long + "/messages", "", nil, CodeInvalidRoom},
		{"GET", "/rooms/@" + other + "." + "BAAAAAAAAAAAAAAAAAAAAA" + "/messages", "", nil, CodeForbidden},
		{"GET", "/rooms/r/export?cursor=x", "", nil, CodeBadRequest},
		{"GET", "/rooms/r/export?cursor=e.x", "", nil, CodeBadRequest},
		{"POST", "/rooms/r/messages", `{"message":"x"}`, []string{"Content-Type", "text/plain"}, CodeMediaType},
		{"POST", "/rooms/r/messages", `{"message":"x"}`, []string{"Content-Type", ""}, CodeMediaType},
		{"POST", "/rooms/r/messages", `{"message":"x"}`, []string{"Content-Encoding", "gzip"}, CodeMediaType},
		{"POST", "/rooms/r/messages", `{"message":"` + strings.Repeat("x", 5000) + `"}`, nil, CodeTooLarge},
		{"POST", "/rooms/r/messages", `{"messages":[{"message":"1"},{"message":"2"},{"message":"3"}]}`, nil, CodeTooLarge},
		{"POST", "/rooms/r/messages", `{"messages":[]}`, nil, CodeBadRequest},
		{"POST", "/rooms/r/messages", `{"messages":[{"message":"1"}],"message":"2"}`, nil, CodeBadRequest},
		{"POST", "/rooms/r/messages", `{"text":"x"}`, nil, CodeBadRequest},
		{"POST", "/rooms/r/messages", `null`, nil, CodeBadRequest},
		{"POST", "/rooms/r/messages", `["x"]`, nil, CodeBadRequest},
		{"POST", "/rooms/r/messages", `{"message":"x"}{}`, nil, CodeBadRequest},
		{"POST", "/rooms/r/messages", ``, []string{"Content-Type", "application/json"}, CodeBadRequest},
		{"POST", "/rooms/r/messages", `{}`, nil, CodeInvalidMessage},
		{"POST", "/rooms/r/messages", `{"message":"\u0000"}`, nil, CodeInvalidMessage},
		{"POST", "/rooms/r/messages", `{"message":"x","username":"` + long + `"}`, nil, CodeInvalidName},
		{"POST", "/rooms/r/messages", `{"message":"x","id":"` + long + `"}`, nil, CodeInvalidID},
		{"POST", "/rooms/r/messages", `{"message":"x"}`, []string{"Idempotency-Key", long}, CodeInvalidID},
		{"POST", "/rooms/r/messages", `{"message":"x"}`, []string{"Idempotency-Key", `""`}, CodeInvalidID},
		{"POST", "/rooms/@nobody/messages", `{"message":"x"}`, nil, CodeInvalidRoom},
		{"DELETE", "/rooms/r/messages/7", "", nil, CodeNoMessage},
		{"DELETE", "/rooms/r/messages/x", "", nil, CodeBadRequest},
		{"PUT", "/rooms/r/bans/nobody", "", nil, CodeBadRequest},
		{"PUT", "/rooms/r/bans/sub:ann", `{"for":-1}`, nil, CodeBadRequest},
		{"PUT", "/bans/nobody", "", nil, CodeBadRequest},
		{"POST", "/users/nobody/messages", `{"message":"x"}`, nil, CodeBadRequest},
		{"POST", "/announcements", `{"message":""}`, nil, CodeInvalidMessage},
		{"POST", "/announcements", `{"message":"x","username":"\n"}`, nil, CodeInvalidName},
	} {
		f.codes = nil
		p := f.refused(f.do(tt.method, tt.path, tt.body, tt.headers...), tt.code)
		if len(f.codes) != 1 || !strings.HasSuffix(f.codes[0], " "+string(p.Code)) {
			t.Errorf("%s %s: the hook heard %q", tt.method, tt.path, f.codes)
		}
	}
	if allow := f.do("PATCH", "/rooms/r/messages", "").Header().Get("Allow"); allow != "POST, GET" {
		t.Errorf("Allow: %s", allow)
	}
}

// A caller's bucket: each message counts, other callers do not.
func TestCallersBucket(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Rate, o.Burst = 0.001, 4 })
	answer[StoredList](f, 201, f.do("POST", "/rooms/r/messages", `{"messages":[{"message":"1"},{"message":"2"},{"message":"3"}]}`))
	answer[RoomList](f, 200, f.do("GET", "/rooms", ""))
	f.refused(f.do("GET", "/rooms", ""), CodeRateLimited)
	answer[RoomList](f, 200, f.do("GET", "/rooms", "", "Authorization", "Bearer "+f.keys["read"]))
}

// After Close nothing is begun.
func TestClosed(t *testing.T) {
	f := newFixture(t, nil)
	if err := f.api.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.refused(f.do("GET", "/rooms", ""), CodeUnavailable)
}
