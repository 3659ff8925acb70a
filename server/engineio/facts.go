package engineio

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unique"
)

// facts are what a session keeps of its handshake: copies, so that net/http's
// memory of the request goes.
type facts struct {
	address string
	// uri is the request's path and query without the secrets, and then, each on
	// a line of its own, the secrets that there were, as name=value.
	uri *string
	// headers are the values of Options.Headers, each ended by headerEnd. The
	// clients of one application mostly send the same ones: one copy serves all.
	headers unique.Handle[string]
}

// headerEnd cannot stand in a header (RFC 9110, 5.5).
const headerEnd = "\n"

func (s *Server) gather(r *http.Request, address string) facts {
	f := facts{
		address: address,
		uri:     s.sharedURI(s.withoutSecrets(r)),
	}
	var values []byte
	for _, name := range s.o.Headers {
		value := r.Host
		if name != "host" {
			// Cookies may come as several lines.
			sep := ", "
			if name == "cookie" {
				sep = "; "
			}
			value = strings.Join(r.Header.Values(name), sep)
		}
		if len(value) <= maxHeaderValue && !strings.Contains(value, headerEnd) {
			values = append(values, value...)
		}
		values = append(values, headerEnd...)
	}
	f.headers = unique.Make(string(values))
	return f
}

// sharedURI is a copy of a URI that keeps nothing else in memory. Clients that
// connect by WebSocket mostly send the same one: then it is the one before, unless
// a secret is in it.
func (s *Server) sharedURI(uri string) *string {
	last := s.lastURI.Load()
	if last != nil && *last == uri {
		return last
	}
	uri = strings.Clone(uri)
	if !strings.Contains(uri, headerEnd) {
		s.lastURI.Store(&uri)
	}
	return &uri
}

// withoutSecrets is facts.uri of a request. A secret is looked for in the query,
// then among the headers.
func (s *Server) withoutSecrets(r *http.Request) string {
	uri := r.URL.RequestURI()
	if len(s.o.Secrets) == 0 {
		return uri
	}
	secrets := ""
	add := func(name, value string) {
		if len(value) <= maxURI && !strings.Contains(value, headerEnd) {
			secrets += headerEnd + name + "=" + value
		}
	}
	path, query, _ := strings.Cut(uri, "?")
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		// What cannot be decoded is no parameter to Session.Query either.
		if decoded, err := url.QueryUnescape(name); err != nil || !slices.Contains(s.o.Secrets, decoded) {
			kept = append(kept, pair)
		} else if value, err := url.QueryUnescape(value); err == nil {
			add(decoded, value)
		}
	}
	for _, name := range s.o.Secrets {
		if value := r.Header.Get(name); value != "" {
			add(name, value)
		}
	}
	if query := strings.Join(kept, "&"); query != "" {
		path += "?" + query
	}
	return path + secrets
}

// isSecure reports whether the client came by TLS, which a trusted proxy may have
// ended.
func (s *Server) isSecure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	// The nearest proxy's word; each appends its own.
	return s.o.TrustedProxies > 0 && strings.EqualFold(lastOf(r.Header.Values("X-Forwarded-Proto")), "https")
}

func lastOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	if i := strings.LastIndexByte(line, ','); i >= 0 {
		line = line[i+1:]
	}
	return strings.TrimSpace(line)
}

// ClientAddress is the peer's address, or the one that the outermost of trusted
// proxies saw: the trusted-th entry of X-Forwarded-For from the right. What a
// client itself put there stands further left and is never believed.
func ClientAddress(r *http.Request, trusted int) string {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		peer = r.RemoteAddr
	}
	peer = strings.Clone(peer)
	if trusted <= 0 {
		return peer
	}
	lines := r.Header.Values("X-Forwarded-For")
	entry := ""
	for i := len(lines) - 1; i >= 0 && trusted > 0; i-- {
		rest := lines[i]
		for more := true; more && trusted > 0; trusted-- {
			var e string
			if c := strings.LastIndexByte(rest, ','); c >= 0 {
				rest, e = rest[:c], rest[c+1:]
			} else {
				e, more = rest, false
			}
			entry = strings.TrimSpace(e)
		}
	}
	if host, _, err := net.SplitHostPort(entry); err == nil {
		entry = host
	}
	a, err := netip.ParseAddr(strings.Trim(entry, "[]"))
	if err != nil {
		return peer
	}
	return a.Unmap().WithZone("").String()
}
