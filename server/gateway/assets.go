package gateway

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// gzipLeast is the size from which compressing pays, in bytes.
const gzipLeast = 1 << 10

// assets are embedded files: their content is known at the start, so tags and
// compressed forms are made once.
type assets map[string]*asset

// asset is one file. The tag names the content, so that a browser's copy can
// be checked in one short round trip.
type asset struct {
	kind string
	tag  string
	body []byte
	gzip func() []byte // nil when compressing does not pay
}

func newAssets(files fs.FS) (assets, error) {
	list := assets{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || hidden(name) {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		a := &asset{kind: kind(name, body), tag: `"` + hex.EncodeToString(sum[:12]) + `"`, body: body}
		if len(body) >= gzipLeast && compressible(a.kind) {
			a.gzip = sync.OnceValue(func() []byte { return pack(body) })
		}
		list[name] = a
		return nil
	})
	return list, err
}

// ServeHTTP finds index.html behind a name that ends in a slash.
func (l assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" || strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	a, ok := l[name]
	if !ok {
		notFound(w, r)
		return
	}
	// no-cache: keep a copy, but ask whether it still holds. A new version of
	// the server is seen at the next load.
	a.cached("no-cache").ServeHTTP(w, r)
}

func (a *asset) cached(control string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !readOnly(w, r) {
			return
		}
		h := w.Header()
		h.Set("Cache-Control", control)
		h.Set("Content-Type", a.kind)
		body, tag := a.body, a.tag
		if a.gzip != nil {
			h.Add("Vary", "Accept-Encoding")
			if acceptsGzip(r) {
				body, tag = a.gzip(), strings.TrimSuffix(a.tag, `"`)+`-gzip"`
				h.Set("Content-Encoding", "gzip")
			}
		}
		h.Set("ETag", tag)
		if known(r.Header.Get("If-None-Match"), tag) {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(body) // the client may be gone
		}
	})
}

// kind is the media type; the tables of the machine it runs on are not asked
// for what the page needs, since they differ.
func kind(name string, body []byte) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".map", ".json":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".woff2":
		return "font/woff2"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return http.DetectContentType(body)
}

func compressible(kind string) bool {
	return strings.HasPrefix(kind, "text/") || strings.HasPrefix(kind, "application/") || kind == "image/svg+xml"
}

func pack(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	// A bytes.Buffer takes everything.
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3) as far as it decides
// about gzip.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if coding = strings.TrimSpace(coding); coding != "gzip" && coding != "*" {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		return !found || strings.Trim(q, "0.") != ""
	}
	return false
}

// known compares weakly (RFC 9110, 13.1.2).
func known(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

// hidden says that a name has a part that starts with a dot.
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > 1 && part[0] == '.' {
			return true
		}
	}
	return false
}
