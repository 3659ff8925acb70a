package engineio

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
)

// RefusalCode says why a request was turned away. Codes 0 to 5 are the
// protocol's and go out in the body; the others are ours and go out as a status.
type RefusalCode int

const (
	RefusedTransport RefusalCode = iota // unknown transport
	RefusedSession                      // unknown session id
	RefusedMethod                       // handshake that is not a GET
	RefusedRequest                      // transport mismatch, and all else
	RefusedForbidden                    // AllowRequest or CheckOrigin said no
	RefusedVersion                      // revision not served
	RefusedCapacity                     // MaxSessions
	RefusedAddress                      // MaxSessionsPerAddress
	RefusedShutdown                     // the server is closing
	RefusedSize                         // POST over MaxHTTPBufferSize
	RefusedOverlap                      // a second poll or POST at once
	RefusedPayload                      // a body that is no payload
	RefusedRelay                        // the session's owner could not be reached
	RefusedBusy                         // MaxRelayed
	RefusedOverload                     // Admit said no
	RefusedCrowded                      // MaxArriving
	RefusedUnready                      // Ready said no
)

// retryAfter is when a client that found no room is told to come again, in
// seconds, and at random up to twice as much, so that they do not come together.
const retryAfter = 5

func (c RefusalCode) message() string {
	switch c {
	case RefusedTransport:
		return "Transport unknown"
	case RefusedSession:
		return "Session ID unknown"
	case RefusedMethod:
		return "Bad handshake method"
	case RefusedForbidden:
		return "Forbidden"
	case RefusedVersion:
		return "Unsupported protocol version"
	case RefusedCapacity:
		return "Server at capacity"
	case RefusedAddress:
		return "Too many sessions from this address"
	case RefusedShutdown:
		return "Server shutting down"
	case RefusedRelay:
		return "The session's node does not answer"
	case RefusedBusy:
		return "Too many requests for other nodes"
	case RefusedOverload:
		return "Server overloaded"
	case RefusedUnready:
		return "Server not ready"
	default:
		return "Bad request"
	}
}

// refuse answers a request that will not be served. text replaces the code's own
// message when not empty. A WebSocket upgrade gets the bare message with status
// 400, as Node answers; only the answers that a proxy should see (503) keep
// their status there.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, code RefusalCode, text string) {
	if h := s.o.Hooks.Refused; h != nil {
		h(code)
	}
	if text == "" {
		text = code.message()
	}
	status := http.StatusBadRequest
	upgrade := isUpgrade(r)
	head := w.Header()
	switch code {
	case RefusedForbidden:
		if !upgrade {
			status = http.StatusForbidden
		}
	case RefusedCapacity, RefusedAddress, RefusedShutdown, RefusedRelay, RefusedBusy, RefusedOverload, RefusedUnready:
		status = http.StatusServiceUnavailable
		if head.Get("Retry-After") == "" {
			head.Set("Retry-After", strconv.Itoa(retryAfter+rand.IntN(retryAfter+1)))
		}
	}
	var body []byte
	if upgrade {
		head.Set("Content-Type", "text/html")
		// The client sent the first bytes of another protocol.
		head.Set("Connection", "close")
		body = []byte(text)
	} else {
		head.Set("Content-Type", "application/json")
		body = []byte(`{`)
		if code <= RefusedVersion {
			body = append(body, `"code":`...)
			body = strconv.AppendInt(body, int64(code), 10)
			body = append(body, ',')
		}
		quoted, _ := json.Marshal(text) // a string always marshals
		body = append(body, `"message":`...)
		body = append(append(body, quoted...), '}')
	}
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// refuseEmpty answers with a status and no body.
func (s *Server) refuseEmpty(w http.ResponseWriter, status int, code RefusalCode) {
	if h := s.o.Hooks.Refused; h != nil {
		h(code)
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}
