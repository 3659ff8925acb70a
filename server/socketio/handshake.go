package socketio

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// Handshake is what is known of a socket's connection from its beginning.
type Handshake struct {
	Headers map[string]string // the kept ones, names in lower case
	Query   map[string]string // of the HTTP request
	// Auth is what the client sent with its CONNECT, a JSON object: the
	// payload in protocol 5, the query of the namespace in protocol 4. {} when
	// there was none. Recovery's pid and offset are taken out, and what
	// Options.Secrets names.
	Auth    json.RawMessage
	Address string // of the client, without port
	Time    time.Time
	Secure  bool
	XDomain bool
	URL     string
}

// Handshake describes the connection. It is put together anew at each call.
func (s *Socket) Handshake() *Handshake {
	c := s.client.conn
	query := c.Query()
	h := &Handshake{
		Headers: c.Headers(),
		Query:   make(map[string]string, len(query)),
		Auth:    json.RawMessage(s.auth()),
		Address: c.RemoteAddr(),
		Time:    c.Opened(),
		Secure:  c.Secure(),
		XDomain: c.CrossDomain(),
		URL:     c.URL(),
	}
	for name, values := range query {
		if len(values) > 0 {
			h.Query[name] = values[len(values)-1]
		}
	}
	if len(h.Auth) == 0 {
		h.Auth = json.RawMessage("{}")
	}
	return h
}

// marshal writes the handshake with the names that the reference server uses.
func (h *Handshake) marshal() []byte {
	b, err := json.Marshal(struct {
		Headers map[string]string `json:"headers"`
		Time    string            `json:"time"`
		Address string            `json:"address"`
		XDomain bool              `json:"xdomain"`
		Secure  bool              `json:"secure"`
		Issued  int64             `json:"issued"`
		URL     string            `json:"url"`
		Query   map[string]string `json:"query"`
		Auth    json.RawMessage   `json:"auth"`
	}{h.Headers, h.Time.UTC().Format(time.RFC1123), h.Address, h.XDomain, h.Secure,
		h.Time.UnixMilli(), h.URL, h.Query, h.Auth})
	if err != nil {
		return []byte("{}") // only a hand-made Auth could be invalid
	}
	return b
}

// javaScriptAgents open the User-Agent of engines that run the JavaScript
// client: browsers (and web views), the XMLHttpRequest of its Node build, and
// runtimes with a WebSocket or fetch of their own.
var javaScriptAgents = []string{"Mozilla/", "node-XMLHttpRequest", "node", "undici", "Bun/", "Deno/"}

// nodeExtensions is what the WebSocket of the client's Node build (package ws)
// offers.
const nodeExtensions = "permessage-deflate; client_max_window_bits"

// looksLikeJavaScript guesses from the handshake whether the client is the
// JavaScript one, which alone keeps offsets. A User-Agent decides if there is
// one. Package ws sends none, and neither do other clients' libraries
// (websocket-client for Python, Starscream for Swift, .NET, Rust), but it alone
// among them offers exactly this form of compression without being told to.
// React Native's agent is its HTTP library's: such a client asks with
// recovery=1 in its query.
func looksLikeJavaScript(c Conn) bool {
	if agent := c.Header("user-agent"); agent != "" {
		for _, prefix := range javaScriptAgents {
			if strings.HasPrefix(agent, prefix) {
				return true
			}
		}
		return false
	}
	return c.Header("sec-websocket-extensions") == nodeExtensions
}

// wantsOffsets applies the policy to a connection of protocol 5.
func (o *Options) wantsOffsets(c Conn) bool {
	switch o.Offsets {
	case OffsetsAlways:
		return true
	case OffsetsNever:
		return false
	}
	return looksLikeJavaScript(c) || strings.Contains(c.URL(), "recovery") && c.Query().Get("recovery") == "1"
}

// splitAuth takes recovery's own keys out of a CONNECT payload, so that the
// secret pid is in no handshake that FetchSockets shows.
func splitAuth(auth json.RawMessage) (rest json.RawMessage, pid string, offset *string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(auth, &fields) != nil {
		return auth, "", nil
	}
	if raw, ok := fields["pid"]; !ok || json.Unmarshal(raw, &pid) != nil {
		return auth, "", nil
	}
	if raw, ok := fields["offset"]; ok && string(raw) != "null" {
		offset = new(string)
		if json.Unmarshal(raw, offset) != nil {
			*offset = "" // malformed: no recovery
		}
	}
	delete(fields, "pid")
	delete(fields, "offset")
	rest, err := json.Marshal(fields)
	if err != nil {
		return nil, "", nil
	}
	return rest, pid, offset
}

// cutSecrets takes what Options.Secrets names out of what a client sent along
// with its CONNECT.
func (o *Options) cutSecrets(auth json.RawMessage) (rest json.RawMessage, secrets map[string]json.RawMessage) {
	var fields map[string]json.RawMessage
	if len(auth) == 0 || len(o.Secrets) == 0 || json.Unmarshal(auth, &fields) != nil {
		return auth, nil
	}
	for _, name := range o.Secrets {
		if value, ok := fields[name]; ok {
			if secrets == nil {
				secrets = make(map[string]json.RawMessage, 1)
			}
			secrets[name] = value
			delete(fields, name)
		}
	}
	if secrets == nil {
		return auth, nil
	}
	rest, err := json.Marshal(fields)
	if err != nil {
		return nil, secrets
	}
	return rest, secrets
}

// namespaceQuery splits a protocol 4 namespace "/chat?token=x" in its name and
// what handlers see as auth (socket.io-protocol v4, "CONNECT").
func namespaceQuery(name string) (string, json.RawMessage) {
	path, query, found := strings.Cut(name, "?")
	if !found {
		return name, nil
	}
	if path == "" {
		path = "/"
	}
	values, _ := url.ParseQuery(query) // what cannot be read is left out
	if len(values) == 0 {
		return path, nil
	}
	flat := make(map[string]string, len(values))
	for k, v := range values {
		flat[k] = v[len(v)-1]
	}
	auth, err := json.Marshal(flat)
	if err != nil {
		return path, nil
	}
	return path, auth
}
