package gateway

import (
	"net/http"
	"strings"
)

// strictPolicy lets a page run that brings all it needs: own scripts, styles
// and pictures, nothing inline, nobody else's. connect-src follows per request.
const strictPolicy = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

// ownPolicy reads Options.ContentSecurityPolicy.
func ownPolicy(text, otherwise string) string {
	switch text {
	case "":
		return otherwise
	case "off":
		return ""
	}
	return text
}

func pageHeaders(h http.Handler, policy string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Referrer-Policy", "same-origin")
		switch policy {
		case "":
		case strictPolicy:
			header.Set("Content-Security-Policy", policy+"; connect-src 'self'"+sockets(r.Host))
		default:
			header.Set("Content-Security-Policy", policy)
		}
		h.ServeHTTP(w, r)
	})
}

// sockets names the server's own WebSocket addresses: Safari before 15.4 does
// not count them under 'self'. A host with characters that mean something in a
// policy is left out.
func sockets(host string) string {
	if host == "" || strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(".-:[]", r))
	}) {
		return ""
	}
	return " ws://" + host + " wss://" + host
}
