package adminui

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio"
)

// shown is a socket as a page knows it.
type shown struct {
	ID        string          `json:"id"`
	ClientID  string          `json:"clientId"`
	Transport string          `json:"transport"`
	NSP       string          `json:"nsp"`
	Data      json.RawMessage `json:"data"`
	Handshake handshake       `json:"handshake"`
	Rooms     []string        `json:"rooms"`
}

// handshake is what is shown of one: not what the client sent to prove itself.
type handshake struct {
	Address string            `json:"address"`
	Headers map[string]string `json:"headers"`
	Query   map[string]string `json:"query"`
	Issued  int64             `json:"issued"`
	Secure  bool              `json:"secure"`
	Time    string            `json:"time"`
	URL     string            `json:"url"`
	XDomain bool              `json:"xdomain"`
}

// extra is what a node adds to the data of its sockets under the name _admin,
// as the reference server does.
type extra struct {
	ClientID  string `json:"clientId"`
	Transport string `json:"transport"`
}

// clientIDLength is how much of the Engine.IO session's id names a client:
// enough to tell clients apart, not to take part in the session.
const clientIDLength = 12

func extraOf(s *socketio.Socket) extra {
	id := s.SessionID()
	return extra{id[:min(len(id), clientIDLength)], s.Transport()}
}

// Describe is socketio.Options.Describe in development mode: pages on other
// nodes learn of a socket by its description.
func (u *UI) Describe(s *socketio.Socket, info *adapter.SocketInfo) {
	more, err := json.Marshal(extraOf(s))
	if err != nil {
		return
	}
	rest := strings.TrimSpace(string(info.Data))
	switch {
	case rest == "" || rest == "null":
		rest = "{}"
	case rest[0] != '{':
		return // no object: nothing can be added to it
	}
	b := append([]byte(`{"_admin":`), more...)
	if rest = strings.TrimSpace(rest[1:]); rest != "}" {
		b = append(b, ',')
	}
	info.Data = append(b, rest...)
}

// show makes what pages are told of a socket.
func show(nsp string, info adapter.SocketInfo) shown {
	out := shown{ID: info.ID, NSP: nsp, Rooms: append([]string{info.ID}, info.Rooms...)}
	_ = json.Unmarshal(info.Handshake, &out.Handshake) // what cannot be read is left out
	out.Handshake.clean()
	var fields map[string]json.RawMessage
	if json.Unmarshal(info.Data, &fields) != nil {
		out.Data = json.RawMessage("{}")
		return out
	}
	var x extra
	_ = json.Unmarshal(fields["_admin"], &x)
	out.ClientID, out.Transport = x.ClientID, x.Transport
	out.Data = without(fields)
	return out
}

func without(fields map[string]json.RawMessage) json.RawMessage {
	delete(fields, "_admin")
	if fields == nil {
		return json.RawMessage("{}")
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return json.RawMessage("{}")
	}
	return data
}

// secretHeaders and secretFields prove something; the latter are names in the
// query of a handshake.
var (
	secretHeaders = []string{"cookie", "authorization", "proxy-authorization"}
	secretFields  = []string{"session", "token", "access_token", "auth", "password", "pid", "sid", "key", "secret"}
)

const hidden = "[hidden]"

// clean takes out what is a secret of the client's.
func (h *handshake) clean() {
	for name := range h.Headers {
		if slices.Contains(secretHeaders, strings.ToLower(name)) {
			h.Headers[name] = hidden
		}
	}
	for name := range h.Query {
		if slices.Contains(secretFields, strings.ToLower(name)) {
			h.Query[name] = hidden
		}
	}
	u, err := url.Parse(h.URL)
	if err != nil {
		h.URL = ""
		return
	}
	if u.RawQuery == "" {
		return
	}
	query := u.Query()
	for name := range query {
		if slices.Contains(secretFields, strings.ToLower(name)) {
			query[name] = []string{hidden}
		}
	}
	u.RawQuery = query.Encode()
	h.URL = u.String()
	if h.Headers == nil {
		h.Headers = map[string]string{}
	}
	if h.Query == nil {
		h.Query = map[string]string{}
	}
}

// listing is every socket of the fleet, up to the limits.
func (u *UI) listing(ctx context.Context) []json.RawMessage {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	list, size := []json.RawMessage{}, 0
	for _, ns := range u.server.Namespaces() {
		sockets, missing, err := ns.FetchSockets(ctx)
		if err != nil || len(missing) > 0 {
			u.o.Logger.Warn("admin ui: not all sockets could be listed", "namespace", ns.Name(), "missing", missing, "error", err)
		}
		for _, info := range sockets {
			b, err := json.Marshal(show(ns.Name(), info))
			if err != nil {
				continue
			}
			if len(list) >= u.o.MaxSockets || size+len(b) > u.o.MaxListing {
				u.dropped()
				u.o.Logger.Warn("admin ui: more sockets than are listed", "listed", len(list))
				return list
			}
			list = append(list, b)
			size += len(b)
		}
	}
	return list
}
