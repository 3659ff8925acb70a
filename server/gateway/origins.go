package gateway

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Origins decides which pages may connect. It is used for CORS and, as
// [Origins.Allowed], for WebSocket, to which browsers do not apply CORS.
// Immutable; safe for concurrent use.
type Origins struct {
	everyone, local, null bool
	exact                 map[string]bool
	under                 []suffix
	proxied               bool
}

// suffix is an origin pattern such as https://*.example.com:8080.
type suffix struct{ scheme, domain, port string }

// NewOrigins reads a list of: an origin (https://app.example.com), a pattern
// with a star for at least one leading label (https://*.example.com), "null"
// (pages from files, some web views), "localhost" (pages of the user's own
// machine, any port and scheme, which is also what hybrid mobile apps are), or
// "*" (everyone). The server's own origin always passes; with proxied, the last
// X-Forwarded-Host counts as the server's name too. Entries must be well-formed;
// others match nothing.
func NewOrigins(list []string, proxied bool) *Origins {
	o := &Origins{exact: map[string]bool{}, proxied: proxied}
	for _, entry := range list {
		switch entry {
		case "*":
			o.everyone = true
		case "localhost":
			o.local = true
		case "null":
			o.null = true
		default:
			if scheme, rest, ok := strings.Cut(entry, "://*."); ok {
				if u, err := url.Parse(scheme + "://" + rest); err == nil {
					o.under = append(o.under, suffix{strings.ToLower(u.Scheme), "." + strings.ToLower(u.Hostname()), port(u)})
				}
			} else if u, err := url.Parse(entry); err == nil {
				o.exact[normal(u)] = true
			}
		}
	}
	return o
}

// Allowed says whether a request may come from where its Origin says. A
// request without Origin comes from no page and passes.
func (o *Origins) Allowed(r *http.Request) bool {
	values := r.Header.Values("Origin")
	switch {
	case len(values) == 0:
		return true
	case len(values) > 1:
		return false // no browser does this
	case o.everyone:
		return true
	case values[0] == "null":
		return o.null
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Scheme == "" || u.Host == "" {
		return false
	}
	return o.own(u, r) || o.local && loopback(u.Hostname()) || o.exact[normal(u)] || o.matches(u)
}

// own compares with the name that the client used. The scheme is left out:
// behind a proxy that ends TLS the server does not know its own.
func (o *Origins) own(u *url.URL, r *http.Request) bool {
	same := func(host string) bool {
		return host != "" && (strings.EqualFold(host, u.Host) || normal(&url.URL{Scheme: u.Scheme, Host: host}) == normal(u))
	}
	if same(r.Host) {
		return true
	}
	if !o.proxied {
		return false
	}
	list := r.Header.Values("X-Forwarded-Host")
	if len(list) == 0 {
		return false
	}
	hosts := strings.Split(list[len(list)-1], ",")
	return same(strings.TrimSpace(hosts[len(hosts)-1]))
}

func (o *Origins) matches(u *url.URL) bool {
	name := strings.ToLower(u.Hostname())
	for _, s := range o.under {
		if strings.EqualFold(u.Scheme, s.scheme) && port(u) == s.port && strings.HasSuffix(name, s.domain) && len(name) > len(s.domain) {
			return true
		}
	}
	return false
}

// normal writes an origin in lower case with its port left out where it is the
// scheme's own.
func normal(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if p := port(u); p != "" {
		host += ":" + p
	}
	return strings.ToLower(u.Scheme) + "://" + host
}

func port(u *url.URL) string {
	p := u.Port()
	if s := strings.ToLower(u.Scheme); s == "http" && p == "80" || s == "https" && p == "443" {
		return ""
	}
	return p
}

func loopback(name string) bool {
	name = strings.ToLower(name)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback()
}
