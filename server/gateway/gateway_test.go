package gateway

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	long   = strings.Repeat("console.log(1);\n", 200)
	client = fstest.MapFS{
		"socket.io.js":             {Data: []byte(long)},
		"socket.io.js.map":         {Data: []byte("{}")},
		"socket.io.min.js":         {Data: []byte("min")},
		"socket.io.esm.min.js":     {Data: []byte("esm")},
		"socket.io.msgpack.min.js": {Data: []byte("msgpack")},
		"LICENSE":                  {Data: []byte("MIT")},
	}
	page = fstest.MapFS{
		"index.html":     {Data: []byte("<!doctype html><title>page</title>")},
		"app/main.js":    {Data: []byte(long)},
		"app/index.html": {Data: []byte("inner")},
		"empty/x.css":    {Data: []byte("a{}")},
		".secret":        {Data: []byte("no")},
		"app/.git/x":     {Data: []byte("no")},
	}
	endpoint = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "endpoint "+r.Method)
	})
)

func start(t *testing.T, o Options) *Gateway {
	t.Helper()
	o.Endpoint = endpoint
	if o.Client == nil {
		o.Client = client
	}
	if o.Page == nil && o.Dir == "" {
		o.Page = page
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// ask sends a request; header holds "Name: value" lines.
func ask(g http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://chat.example"+target, nil)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	var down error
	g := start(t, Options{Ready: func() error { return down }, Warnings: func() []string { return []string{"one", "two"} }})
	tests := []struct {
		method, target string
		status         int
		body           string // its beginning
		kind           string
	}{
		{"GET", "/socket.io/", 200, "endpoint GET", ""},
		{"GET", "/socket.io", 200, "endpoint GET", ""},
		{"GET", "/socket.io/?EIO=4&transport=polling", 200, "endpoint GET", ""},
		{"POST", "/socket.io/?sid=x", 200, "endpoint POST", ""},
		{"PUT", "/socket.io/", 200, "endpoint PUT", ""},
		{"GET", "/socket.io/nothing", 404, "not found", "text/plain; charset=utf-8"},
		{"GET", "/socket.io/LICENSE", 404, "not found", "text/plain; charset=utf-8"},
		{"GET", "/socket.io/socket.io.js", 200, "console.log", "text/javascript; charset=utf-8"},
		{"GET", "/socket.io/socket.io.js.map", 200, "{}", "application/json"},
		{"GET", "/socket.io/socket.io.min.js", 200, "min", "text/javascript; charset=utf-8"},
		{"GET", "/socket.io/socket.io.esm.min.js", 200, "esm", "text/javascript; charset=utf-8"},
		{"GET", "/socket.io/socket.io.msgpack.min.js", 200, "msgpack", "text/javascript; charset=utf-8"},
		{"HEAD", "/socket.io/socket.io.js", 200, "", "text/javascript; charset=utf-8"},
		{"POST", "/socket.io/socket.io.js", 405, "method not allowed", "text/plain; charset=utf-8"},
		{"GET", "/healthz", 200, "ok\n", "text/plain; charset=utf-8"},
		{"HEAD", "/healthz", 200, "", "text/plain; charset=utf-8"},
		{"POST", "/healthz", 405, "method not allowed", "text/plain; charset=utf-8"},
		{"GET", "/readyz", 200, "ready\n", "text/plain; charset=utf-8"},
		{"DELETE", "/readyz", 405, "method not allowed", "text/plain; charset=utf-8"},
		{"GET", "/", 200, "<!doctype html>", "text/html; charset=utf-8"},
		{"GET", "/index.html", 200, "<!doctype html>", "text/html; charset=utf-8"},
		{"GET", "/app/main.js", 200, "console.log", "text/javascript; charset=utf-8"},
		{"GET", "/app/", 200, "inner", "text/html; charset=utf-8"},
		{"GET", "/empty/", 404, "not found", "text/plain; charset=utf-8"},
		{"GET", "/empty", 404, "not found", "text/plain; charset=utf-8"},
		{"GET", "/.secret", 404, "not found", "text/plain; charset=utf-8"},
		{"GET", "/app/.git/x", 404, "not found", "text/plain; charset=utf-8"},
		{"GET", "/app/../index.html", 404, "not found", "text/plain; charset=utf-8"},
		{"GET", "/app/%2e%2e/index.html", 404, "not found", "text/plain; charset=utf-8"},
		{"GET", "//index.html", 404, "not found", "text/plain; charset=utf-8"},
		{"POST", "/", 405, "method not allowed", "text/plain; charset=utf-8"},
	}
	for _, tt := range tests {
		w := ask(g, tt.method, tt.target)
		if w.Code != tt.status || !strings.HasPrefix(w.Body.String(), tt.body) || tt.kind != "" && w.Header().Get("Content-Type") != tt.kind {
			t.Errorf("%s %s: %d %q %.40q", tt.method, tt.target, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no nosniff", tt.target)
		}
	}
	// Warnings are the operator's alone, and leave the node ready.
	warned := g.Operator()
	if w := ask(warned, "GET", "/readyz"); w.Code != 200 || w.Body.String() != "ready\nwarning: one\nwarning: two\n" {
		t.Errorf("with warnings: %d %q", w.Code, w.Body)
	}
	if w := ask(warned, "GET", "/healthz"); w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("healthy: %d %q", w.Code, w.Body)
	}
	if w := ask(warned, "POST", "/readyz"); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	if w := ask(warned, "GET", "/"); w.Code != 404 {
		t.Errorf("the page: %d", w.Code)
	}
	down = errors.New("shutting down")
	if w := ask(warned, "GET", "/readyz"); w.Code != 503 || w.Body.String() != "shutting down\n" {
		t.Errorf("not ready: %d %q", w.Code, w.Body)
	}
	if w := ask(g, "GET", "/readyz"); w.Code != 503 || w.Body.String() != "shutting down\n" {
		t.Errorf("not ready: %d %q", w.Code, w.Body)
	}
	if w := ask(g, "GET", "/healthz"); w.Code != 200 {
		t.Errorf("not ready is not unhealthy: %d", w.Code)
	}
}

func TestOtherPath(t *testing.T) {
	g := start(t, Options{Path: "/api/chat/"})
	for target, status := range map[string]int{"/api/chat/": 200, "/api/chat": 200, "/api/chat/socket.io.js": 200, "/socket.io/": 404} {
		if w := ask(g, "GET", target); w.Code != status {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}

func TestCaching(t *testing.T) {
	g := start(t, Options{})
	for _, target := range []string{"/socket.io/socket.io.js", "/app/main.js"} {
		plain := ask(g, "GET", target)
		packed := ask(g, "GET", target, "Accept-Encoding: br, gzip;q=0.5")
		tag, packedTag := plain.Header().Get("ETag"), packed.Header().Get("ETag")
		if tag == "" || tag == packedTag {
			t.Errorf("%s: tags %q, %q", target, tag, packedTag)
		}
		if plain.Header().Get("Vary") != "Accept-Encoding" && !strings.Contains(strings.Join(plain.Header().Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("%s: Vary %q", target, plain.Header().Values("Vary"))
		}
		z, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != long {
			t.Errorf("%s: unpacks to %d bytes, %v", target, len(got), err)
		}
		for _, tt := range []struct {
			header []string
			status int
			gzip   bool
		}{
			{[]string{"If-None-Match: " + tag}, 304, false},
			{[]string{"If-None-Match: \"x\", W/" + tag}, 304, false},
			{[]string{"If-None-Match: *"}, 304, false},
			{[]string{"If-None-Match: " + packedTag}, 200, false},
			{[]string{"If-None-Match: " + packedTag, "Accept-Encoding: gzip"}, 304, false},
			{[]string{"Accept-Encoding: gzip;q=0"}, 200, false},
			{[]string{"Accept-Encoding: deflate"}, 200, false},
			{[]string{"Accept-Encoding: *"}, 200, true},
		} {
			w := ask(g, "GET", target, tt.header...)
			if w.Code != tt.status || (w.Header().Get("Content-Encoding") == "gzip") != tt.gzip || tt.status == 304 && w.Body.Len() > 0 {
				t.Errorf("%s %q: %d %v", target, tt.header, w.Code, w.Header())
			}
		}
	}
	if got := ask(g, "GET", "/").Header().Get("Cache-Control"); got != "no-cache" {
		t.Errorf("page: %q", got)
	}
	if got := ask(g, "GET", "/readyz").Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("readyz: %q", got)
	}
}

func TestPolicy(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, setting, dir, host string
		want                     []string
		none                     bool
	}{
		{"page", "", "", "chat.example:3000", []string{"default-src 'self'", "connect-src 'self' ws://chat.example:3000 wss://chat.example:3000", "frame-ancestors 'self'"}, false},
		{"a host that would change the policy", "", "", "a;script-src", []string{"connect-src 'self'"}, false},
		{"off", "off", "", "chat.example", nil, true},
		{"own", "default-src *", "", "chat.example", []string{"default-src *"}, false},
		{"directory", "", dir, "chat.example", nil, true},
		{"directory, own", "default-src *", dir, "chat.example", []string{"default-src *"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := start(t, Options{ContentSecurityPolicy: tt.setting, Dir: tt.dir})
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = tt.host
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			got := w.Header().Get("Content-Security-Policy")
			if tt.none != (got == "") || strings.Contains(got, "script-src") {
				t.Errorf("policy %q", got)
			}
			for _, part := range tt.want {
				if !strings.Contains(got, part) {
					t.Errorf("policy %q lacks %q", got, part)
				}
			}
			if w.Header().Get("Referrer-Policy") != "same-origin" {
				t.Error("no referrer policy")
			}
		})
	}
}

func TestDirectory(t *testing.T) {
	outside := t.TempDir()
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	put("index.html", "own page")
	put("sub/index.html", "inner")
	put("sub dir?/index.html", "odd")
	put("list/a.txt", "a")
	put(".env", "secret")
	put(".git/config", "secret")
	put("noext", "<!doctype html>")
	if err := errors.Join(
		os.WriteFile(filepath.Join(outside, "secret.txt"), []byte("secret"), 0o600),
		os.Symlink(filepath.Join(outside, "secret.txt"), filepath.Join(dir, "link.txt")),
		os.Symlink(outside, filepath.Join(dir, "linkdir")),
		os.Symlink("list/a.txt", filepath.Join(dir, "inside.txt")),
	); err != nil {
		t.Fatal(err)
	}
	g := start(t, Options{Dir: dir, Page: page})
	tests := []struct {
		target string
		status int
		body   string
	}{
		{"/", 200, "own page"},
		{"/index.html", 200, "own page"},
		{"/sub/", 200, "inner"},
		{"/sub", 301, ""},
		{"/sub%20dir%3F", 301, ""},
		{"/sub%20dir%3F/", 200, "odd"},
		{"/list/", 404, ""},
		{"/list/a.txt", 200, "a"},
		{"/list/a.txt/", 404, ""},
		{"/inside.txt", 200, "a"},
		{"/noext", 200, "<!doctype"},
		{"/.env", 404, ""},
		{"/.git/config", 404, ""},
		{"/link.txt", 404, ""},
		{"/linkdir/secret.txt", 404, ""},
		{"/../secret.txt", 404, ""},
		{"/%2e%2e/secret.txt", 404, ""},
		{"/sub/../index.html", 404, ""},
		{"/sub//index.html", 404, ""},
		{"//", 404, ""},
		{"//etc/passwd", 404, ""},
		{"/..%5csecret.txt", 404, ""},
		{"/a%00b", 404, ""},
		{"/" + strings.Repeat("a", 5000), 404, ""},
		{"/nothing", 404, ""},
		{"/socket.io/socket.io.js", 200, "console"},
		{"/socket.io/", 200, "endpoint"},
		{"/healthz", 200, "ok"},
	}
	for _, tt := range tests {
		w := ask(g, "GET", tt.target)
		if w.Code != tt.status || !strings.HasPrefix(w.Body.String(), tt.body) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%.40s: %d %.40q", tt.target, w.Code, w.Body)
		}
	}
	if got := ask(g, "GET", "/sub%20dir%3F").Header().Get("Location"); got != "/sub%20dir%3F/" {
		t.Errorf("leads to %q", got)
	}
	put("list/a.txt", "changed")
	if w := ask(g, "GET", "/list/a.txt"); w.Body.String() != "changed" || w.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("a change is not seen: %q %v", w.Body, w.Header())
	}
	if w := ask(g, "POST", "/"); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	if _, err := New(Options{Endpoint: endpoint, Dir: filepath.Join(dir, "none")}); err == nil {
		t.Error("a directory that is not there was taken")
	}
	if _, err := New(Options{Endpoint: endpoint, Dir: filepath.Join(dir, "index.html")}); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestNoPage(t *testing.T) {
	g, err := New(Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/", "/socket.io/socket.io.js"} {
		if w := ask(g, "GET", target); w.Code != 404 {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}

// TestDeadlinesSet: the server has no time limit for all requests, which would
// cut polls; those with nothing to wait for get one here.
func TestDeadlinesSet(t *testing.T) {
	g := start(t, Options{})
	var deadlines recordDeadlines
	w := &deadlineWriter{httptest.NewRecorder(), &deadlines}
	g.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if deadlines.read.IsZero() || deadlines.write.IsZero() {
		t.Error("a request for the page has no time limit")
	}
	deadlines = recordDeadlines{}
	g.ServeHTTP(w, httptest.NewRequest("GET", "/socket.io/", nil))
	if !deadlines.read.IsZero() || !deadlines.write.IsZero() {
		t.Error("the endpoint was given a time limit")
	}
}

type recordDeadlines struct{ read, write time.Time }

type deadlineWriter struct {
	http.ResponseWriter
	d *recordDeadlines
}

func (w *deadlineWriter) SetReadDeadline(t time.Time) error  { w.d.read = t; return nil }
func (w *deadlineWriter) SetWriteDeadline(t time.Time) error { w.d.write = t; return nil }

// Whoever asks for what there cannot be writes nothing into the log.
func TestDirectoryLogs(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	g := start(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, target := range []string{"/none", "//file", "//etc/passwd", "/file/x", "/" + strings.Repeat("x", 300), "/" + strings.Repeat("x/", 3000) + "x"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = target
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("%.20s: %d", target, w.Code)
		}
	}
	if log.Len() > 0 {
		t.Errorf("the log says %s", &log)
	}
}
