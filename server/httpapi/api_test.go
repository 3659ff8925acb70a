package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/identity"
	"github.com/antchat/antchat/server/socketio"
)

const patience = 20 * time.Second

// store fails when told to.
type store struct {
	*local.Adapter
	failAfter atomic.Int64 // appends that succeed; below 0: all
}

func (s *store) Append(ctx context.Context, a adapter.Append) (adapter.Appended, error) {
	if n := s.failAfter.Load(); n >= 0 && s.failAfter.Add(-1) < 0 {
		s.failAfter.Store(0)
		return adapter.Appended{}, fmt.Errorf("store: secret detail: %w", adapter.ErrUnavailable)
	}
	return s.Adapter.Append(ctx, a)
}

// tokens are subjects with scopes: "subject scope scope".
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
	return identity.Identity{Subject: subject, Name: "Service", Claims: identity.Claims{"scopes": scopes}}, nil
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

func decodeAll(f *fixture, list messages) (all []chat.Message) {
	f.t.Helper()
	for _, raw := range list {
		var m chat.Message
		if err := json.Unmarshal(raw, &m); err != nil {
			f.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// A message, its repetition, a batch that is repeated in part.
func TestPostAndRead(t *testing.T) {
	f := newFixture(t, nil)
	const path = "/rooms/a%2Fb%20c/messages"
	first := answer[Stored](f, 201, f.do("POST", path, `{"message":"one"}`, "Idempotency-Key", `"job 1"`))
	again := answer[Stored](f, 200, f.do("POST", path, `{"message":"one"}`, "Idempotency-Key", `job 1`))
	if first.Duplicate || !again.Duplicate || first.Seq != 1 || again.Seq != 1 || first.Room != "a/b c" || first.ID != "job 1" || first.Epoch == "" || first.TS == 0 {
		t.Errorf("%+v, then %+v", first, again)
	}
	f.refused(f.do("POST", path, `{"message":"another"}`, "Idempotency-Key", "job 1"), CodeIDConflict)
	const batch = `{"messages":[{"message":"two","username":"Build bot"},{"message":"three","id":"own"}]}`
	list := answer[StoredList](f, 201, f.do("POST", path, batch, "Idempotency-Key", "job 2"))
	if len(list.Messages) != 2 || list.Messages[0].Seq != 2 || list.Messages[0].ID != "job 2.0" || list.Messages[1].Seq != 3 || list.Messages[1].ID != "own" {
		t.Errorf("%+v", list)
	}
	list = answer[StoredList](f, 200, f.do("POST", path, batch, "Idempotency-Key", "job 2"))
	if !list.Messages[0].Duplicate || !list.Messages[1].Duplicate {
		t.Errorf("%+v", list)
	}

	page := answer[MessagePage](f, 200, f.do("GET", path, ""))
	all := decodeAll(f, page.Messages)
	if len(all) != 3 || all[0].Username != "worker" || all[1].Username != "Build bot" || all[0].User != all[1].User || page.First != 1 || page.Last != 3 || page.More {
		t.Errorf("%+v, %+v", page, all)
	}
	page = answer[MessagePage](f, 200, f.do("GET", path+"?after=1&limit=1&epoch="+page.Epoch, ""))
	if all = decodeAll(f, page.Messages); len(all) != 1 || all[0].Message != "two" || !page.More || page.Last != 2 {
		t.Errorf("%+v, %+v", page, all)
	}
	page = answer[MessagePage](f, 200, f.do("GET", path+"?before=3&limit=1", ""))
	if all = decodeAll(f, page.Messages); len(all) != 1 || all[0].Message != "two" || !page.More || page.First != 2 {
		t.Errorf("%+v, %+v", page, all)
	}
	answer[Stored](f, 201, f.do("POST", "/rooms/b/messages", `{"message":"x"}`))
	rooms := answer[RoomList](f, 200, f.do("GET", "/rooms?limit=1", ""))
	if len(rooms.Rooms) != 1 || rooms.Rooms[0].Room != "a/b c" || rooms.Rooms[0].Seq != 3 || !rooms.More {
		t.Errorf("%+v", rooms)
	}
	rooms = answer[RoomList](f, 200, f.do("GET", "/rooms?after=a%2Fb%20c", ""))
	if len(rooms.Rooms) != 1 || rooms.Rooms[0].Room != "b" || rooms.More {
		t.Errorf("%+v", rooms)
	}
	if m := answer[Members](f, 200, f.do("GET", "/rooms/b/members", "")); m.NumUsers != 0 || m.Users == nil || m.Room != "b" {
		t.Errorf("%+v", m)
	}
}

// The store goes away in the middle of a batch: what is stored is said, and a
// repetition stores the rest, once.
func TestBatchInterrupted(t *testing.T) {
	f := newFixture(t, nil)
	const batch = `{"messages":[{"message":"1"},{"message":"2"},{"message":"3"}]}`
	f.store.failAfter.Store(2)
	p := f.refused(f.do("POST", "/rooms/r/messages", batch, "Idempotency-Key", "k"), CodeUnavailable)
	if p.Index == nil || *p.Index != 2 || len(p.Stored) != 2 || p.Stored[1].Seq != 2 {
		t.Errorf("%+v", p)
	}
	f.store.failAfter.Store(-1)
	list := answer[StoredList](f, 201, f.do("POST", "/rooms/r/messages", batch, "Idempotency-Key", "k"))
	for i, s := range list.Messages {
		if s.Seq != uint64(i+1) || s.Duplicate != (i < 2) {
			t.Errorf("%d: %+v", i, s)
		}
	}
	// A bad one stops all of them before the first is stored.
	p = f.refused(f.do("POST", "/rooms/s/messages", `{"messages":[{"message":"1"},{"message":""}]}`), CodeInvalidMessage)
	if p.Index == nil || *p.Index != 1 || p.Stored != nil {
		t.Errorf("%+v", p)
	}
	if page := answer[MessagePage](f, 200, f.do("GET", "/rooms/s/messages", "")); len(page.Messages) != 0 || page.Messages == nil {
		t.Errorf("%+v", page)
	}
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

// Attempts are told to wait, per network; who has a key never is, because of them.
func TestAttempts(t *testing.T) {
	f := newFixture(t, nil)
	guess := []string{"Authorization", "Bearer " + keyPrefix + "guess"}
	for range attemptsBurst {
		f.refused(f.do("GET", "/rooms", "", guess...), CodeUnauthorized)
	}
	f.refused(f.do("GET", "/rooms", "", guess...), CodeRateLimited)
	f.refused(f.do("GET", "/rooms", "", "Authorization", "Bearer bad"), CodeRateLimited)
	answer[RoomList](f, 200, f.do("GET", "/rooms", ""))
	f.from = "192.0.2.2"
	f.refused(f.do("GET", "/rooms", "", guess...), CodeUnauthorized)
	answer[RoomList](f, 200, f.do("GET", "/rooms", "", "Authorization", "bearer ann:read"))
}

// A caller's bucket: each message counts, other callers do not.
func TestCallersBucket(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Rate, o.Burst = 0.001, 4 })
	answer[StoredList](f, 201, f.do("POST", "/rooms/r/messages", `{"messages":[{"message":"1"},{"message":"2"},{"message":"3"}]}`))
	answer[RoomList](f, 200, f.do("GET", "/rooms", ""))
	f.refused(f.do("GET", "/rooms", ""), CodeRateLimited)
	answer[RoomList](f, 200, f.do("GET", "/rooms", "", "Authorization", "Bearer "+f.keys["read"]))
}

func TestBadKeys(t *testing.T) {
	f := newFixture(t, nil)
	_, hash := NewKey()
	for name, k := range map[string][]Key{
		"hash":   {{Name: "x", Hash: "abc", Scopes: []string{"read"}}},
		"scope":  {{Name: "x", Hash: hash, Scopes: []string{"root"}}},
		"scopes": {{Name: "x", Hash: hash}},
		"name":   {{Name: "", Hash: hash, Scopes: []string{"read"}}},
		"twice":  {{Name: "x", Hash: hash, Scopes: []string{"read"}}, {Name: "y", Hash: hash, Scopes: []string{"read"}}},
	} {
		if _, err := New(f.chat, Options{Keys: k, Address: func(*http.Request) string { return "" }}); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// After Close nothing is begun.
func TestClosed(t *testing.T) {
	f := newFixture(t, nil)
	if err := f.api.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.refused(f.do("GET", "/rooms", ""), CodeUnavailable)
}

func TestModerate(t *testing.T) {
	f := newFixture(t, nil)
	s := answer[Stored](f, 201, f.do("POST", "/rooms/r/messages", `{"message":"bad"}`))
	e := answer[chatapi.Entry](f, 200, f.do("DELETE", fmt.Sprintf("/rooms/r/messages/%d?epoch=%s", s.Seq, s.Epoch), ""))
	if e.Seq != 2 || e.Room != "r" {
		t.Errorf("%+v", e)
	}
	page := answer[MessagePage](f, 200, f.do("GET", "/rooms/r/messages", ""))
	if all := decodeAll(f, page.Messages); len(all) != 1 || !all[0].Removed || all[0].Message != "" || len(page.Removed) != 1 || page.Last != 2 {
		t.Errorf("%+v", page)
	}
	ann := chatapi.UserOf("ann")
	for _, tt := range []struct{ method, path, body string }{
		{"PUT", "/rooms/r/mutes/" + ann, `{"for":60,"reason":"noise"}`}, {"DELETE", "/rooms/r/mutes/sub:ann", ""},
		{"POST", "/rooms/r/kicks/sub:ann", ""}, {"PUT", "/rooms/r/bans/sub:ann", `{}`}, {"DELETE", "/rooms/r/bans/" + ann, ""},
	} {
		if e := answer[chatapi.Entry](f, 200, f.do(tt.method, tt.path, tt.body)); e.Room != "r" || e.Seq == 0 {
			t.Errorf("%s %s: %+v", tt.method, tt.path, e)
		}
	}
	// Whoever is kept out of the chat has no API either.
	token := []string{"Authorization", "Bearer ann:read"}
	answer[RoomList](f, 200, f.do("GET", "/rooms", "", token...))
	if w := f.do("PUT", "/bans/sub:ann", `{"for":60}`); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	f.refused(f.do("GET", "/rooms", "", token...), CodeBanned)
	if w := f.do("DELETE", "/bans/"+ann, ""); w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	answer[RoomList](f, 200, f.do("GET", "/rooms", "", token...))
	if a := answer[chatapi.Announcement](f, 201, f.do("POST", "/announcements", `{"message":"all"}`)); a.Message != "all" || a.Username != "worker" || a.TS == 0 {
		t.Errorf("%+v", a)
	}
}

// The key's direct room with a user, which no other key sees.
func TestMessageUser(t *testing.T) {
	f := newFixture(t, nil)
	s := answer[Stored](f, 201, f.do("POST", "/users/sub:ann/messages", `{"message":"for you"}`, "Idempotency-Key", "k"))
	if again := answer[Stored](f, 200, f.do("POST", "/users/sub:ann/messages", `{"message":"for you"}`, "Idempotency-Key", "k")); again.Seq != s.Seq {
		t.Errorf("%+v", again)
	}
	if !chat.IsDirect(s.Room) {
		t.Fatalf("%+v", s)
	}
	for _, path := range []string{"/rooms/" + s.Room + "/messages", "/rooms/@" + chatapi.UserOf("ann") + "/messages"} {
		if page := answer[MessagePage](f, 200, f.do("GET", path, "")); len(page.Messages) != 1 || page.Room != s.Room {
			t.Errorf("%+v", page)
		}
	}
	f.refused(f.do("GET", "/rooms/"+s.Room+"/messages", "", "Authorization", "Bearer "+f.keys["read"]), CodeForbidden)
	if rooms := answer[RoomList](f, 200, f.do("GET", "/rooms", "")); len(rooms.Rooms) != 0 {
		t.Errorf("%+v", rooms)
	}
}

func exported(f *fixture, w *httptest.ResponseRecorder) (lines []ExportLine) {
	f.t.Helper()
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" {
		f.t.Fatalf("%d %s", w.Code, w.Body)
	}
	for s := bufio.NewScanner(w.Body); s.Scan(); {
		var line ExportLine
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			f.t.Fatalf("%s: %v", s.Bytes(), err)
		}
		lines = append(lines, line)
	}
	return lines
}

// From any cursor on, an export has the rest, once and in order.
func TestExport(t *testing.T) {
	f := newFixture(t, nil)
	const n = 450
	for i := range n {
		answer[Stored](f, 201, f.do("POST", "/rooms/r/messages", fmt.Sprintf(`{"message":"m%d"}`, i+1)))
	}
	answer[chatapi.Entry](f, 200, f.do("DELETE", "/rooms/r/messages/1", ""))
	lines := exported(f, f.do("GET", "/rooms/r/export", ""))
	seen, removed := 0, 0
	for i, line := range lines {
		switch {
		case line.Message != nil:
			if seen++; line.Message.Seq != uint64(seen) || line.Message.Removed != (seen == 1) {
				t.Fatalf("%+v after %d", line.Message, seen-1)
			}
		case line.Removed != nil:
			removed++
		case line.End != (i == len(lines)-1) || line.Cursor == "":
			t.Errorf("line %d: %+v", i, line)
		case !line.End:
			rest := exported(f, f.do("GET", "/rooms/r/export?cursor="+line.Cursor, ""))
			if rest[0].Message == nil || rest[0].Message.Seq != uint64(seen+1) || len(rest) != len(lines)-i-1 {
				t.Errorf("from %s: %+v, %d lines", line.Cursor, rest[0], len(rest))
			}
		}
	}
	if seen != n || removed != 1 {
		t.Errorf("%d messages, %d lines of removals", seen, removed)
	}
	// A room without anything, and its cursor.
	empty := exported(f, f.do("GET", "/rooms/none/export", ""))
	if len(empty) != 1 || !empty[0].End {
		t.Fatalf("%+v", empty)
	}
	answer[Stored](f, 201, f.do("POST", "/rooms/none/messages", `{"message":"x"}`))
	if lines := exported(f, f.do("GET", "/rooms/none/export?cursor="+empty[0].Cursor, "")); len(lines) != 2 || lines[0].Message == nil {
		t.Errorf("%+v", lines)
	}
}

// An export goes on for longer than a body may take, and ends with its client.
func TestLongExport(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.BodyTimeout, o.Rate, o.Burst, o.Hooks = 100*time.Millisecond, 4, 1, Hooks{} })
	for i := range 450 {
		if _, err := f.api.keys[4].caller.backend.Send(t.Context(), "r", fmt.Sprint(i), ""); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(f.api)
	defer server.Close()
	get := func(ctx context.Context) *http.Response {
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+Prefix+"/rooms/r/export", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+f.keys["worker"])
		answer, err := server.Client().Do(r)
		if err != nil || answer.StatusCode != 200 {
			t.Fatal(answer, err)
		}
		return answer
	}
	whole := get(t.Context())
	defer func() { _ = whole.Body.Close() }()
	all, err := io.ReadAll(whole.Body)
	if err != nil || bytes.Count(all, []byte(`{"message":{`)) != 450 || !bytes.Contains(all, []byte(`"end":true`)) {
		t.Errorf("%d bytes, %v: …%s", len(all), err, all[max(0, len(all)-200):])
	}
	time.Sleep(300 * time.Millisecond) // for the bucket
	ctx, leave := context.WithCancel(t.Context())
	left := get(ctx)
	leave()
	_ = left.Body.Close()
	for end := time.Now().Add(patience); len(f.api.exports) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the export goes on without its client")
		}
	}
}

// blocked is a client that reads nothing.
type blocked struct {
	http.ResponseWriter
	writes  chan struct{}
	release chan struct{}
}

func (b *blocked) Write(p []byte) (int, error) {
	select {
	case b.writes <- struct{}{}:
	default:
	}
	<-b.release
	return 0, errors.New("gone")
}

// Exports are bounded, and their client's end is theirs.
func TestExportsBounded(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxExports = 1; o.Hooks = Hooks{} })
	answer[Stored](f, 201, f.do("POST", "/rooms/r/messages", `{"message":"x"}`))
	b := &blocked{httptest.NewRecorder(), make(chan struct{}, 1), make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.api.ServeHTTP(b, f.request("GET", "/rooms/r/export", ""))
	}()
	<-b.writes
	f.refused(f.do("GET", "/rooms/r/export", ""), CodeOverloaded)
	close(b.release)
	<-done
	if lines := exported(f, f.do("GET", "/rooms/r/export", "")); len(lines) != 2 {
		t.Errorf("%+v", lines)
	}
}

// FuzzBody: whatever comes is stored or refused by a known code, and what is taken
// has the documented form.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"message":"x"}`, `{"messages":[{"message":"x","id":"1"}]}`, `{"messages":null,"message":"x"}`, `null`, `{}`, `[`, "", `{"message":"\ud800"}`,
		`{"message":"x","username":"` + "\u202e" + `"}`, `{"MESSAGE":"x","message":"y"}`, `{"message":"x"} `, `{"messages":[null]}`,
	} {
		f.Add([]byte(seed))
	}
	fx := newFixture(f, func(o *Options) { o.Rate, o.Burst = NoRate, NoRate; o.Hooks = Hooks{} })
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		r := fx.request("POST", "/rooms/fuzz/messages", "")
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		fx.api.ServeHTTP(w, r)
		switch w.Code {
		case 200, 201:
			if !json.Valid(body) || bytes.TrimSpace(body)[0] != '{' {
				t.Errorf("%q was taken", body)
			}
		case 400, 413, 422:
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code {
				t.Errorf("%q: %s", body, w.Body)
			}
		default:
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
