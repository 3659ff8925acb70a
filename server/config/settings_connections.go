package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// connectionSettings are what stands between a client and its handlers.
var connectionSettings = []*setting{
	{key: "http.addr", field: func(c *Config) any { return &c.HTTP.Addr }, check: checkAddr,
		about: "Address to listen on; empty means all addresses of the machine."},
	{key: "http.port", field: func(c *Config) any { return &c.HTTP.Port }, initial: "3000", least: "0", most: "65535", also: "PORT",
		about: "Port to listen on; with 0 the system chooses one."},
	{key: "http.trusted_proxies", field: func(c *Config) any { return &c.HTTP.TrustedProxies }, initial: "0", least: "0", most: "16", unit: "proxies", cloudRun: "1",
		about: "How many proxies in front of the server are believed when they say (X-Forwarded-For) where a request came from. With 0 nothing is believed."},
	{key: "http.tls_cert", field: func(c *Config) any { return &c.HTTP.TLSCert },
		about: "PEM file with the certificate chain; with http.tls_key it turns TLS on."},
	{key: "http.tls_key", field: func(c *Config) any { return &c.HTTP.TLSKey },
		about: "PEM file with the certificate's private key."},
	{key: "http.header_timeout", field: func(c *Config) any { return &c.HTTP.HeaderTimeout }, initial: "10s", least: "100ms", most: "5m",
		about: "How long a client may take to send a request's headers."},
	{key: "http.body_timeout", field: func(c *Config) any { return &c.HTTP.BodyTimeout }, initial: "20s", least: "100ms", most: "10m",
		about: "How long a client may take to send a request's body."},
	{key: "http.idle_timeout", field: func(c *Config) any { return &c.HTTP.IdleTimeout }, initial: "2m", least: "1s", most: "1h",
		about: "How long an idle keep-alive connection is kept."},
	{key: "http.stop_timeout", field: func(c *Config) any { return &c.HTTP.StopTimeout }, initial: "8s", least: "100ms", most: "10m",
		about: "How long a stop may take before what is left is cut off. Cloud Run kills after 10s."},
	{key: "http.drain_window", field: func(c *Config) any { return &c.HTTP.DrainWindow }, initial: "4s", least: "0", most: "10m",
		about: "At a stop of a node that is not alone on its Redis, connections are closed spread over this time, so that their clients do not come to the others all at once; new ones are refused meanwhile. At most half of http.stop_timeout, as the default is if that is less. 0 closes all at once, as a single node always does."},
	{key: "http.max_header_bytes", field: func(c *Config) any { return &c.HTTP.MaxHeaderBytes }, initial: "16384", least: "1024", most: "1048576", unit: "bytes",
		about: "Limit of a request's line and headers."},

	{key: "cors.origins", field: func(c *Config) any { return &c.CORS.Origins }, initial: "localhost", check: checkOrigin,
		about: "Origins, beside the server's own, whose pages may connect: https://app.example.com, https://*.example.com, null, localhost (any port of the own machine), or * (everyone, with credentials). A request without Origin, from an app or another server, always passes."},

	{key: "engine.path", field: func(c *Config) any { return &c.Engine.Path }, initial: "/socket.io/", check: checkPath,
		about: "Path of the endpoint; clients reach it with and without the last slash."},
	{key: "engine.transports", field: func(c *Config) any { return &c.Engine.Transports }, initial: "polling,websocket", allowed: []string{"polling", "websocket"},
		about: "Transports that clients may use."},
	{key: "engine.allow_revision3", field: func(c *Config) any { return &c.Engine.AllowRevision3 }, initial: "true",
		about: "Serve Engine.IO revision 3 too: the clients of Socket.IO 1.x and 2.x."},
	{key: "engine.strict_revision", field: func(c *Config) any { return &c.Engine.StrictRevision }, initial: "false",
		about: "Refuse a client that names no revision, or one other than 3 and 4, instead of taking it for revision 3."},
	{key: "engine.ping_interval", field: func(c *Config) any { return &c.Engine.PingInterval }, initial: "25s", least: "50ms", most: "1h",
		about: "Time between heartbeats."},
	{key: "engine.ping_timeout", field: func(c *Config) any { return &c.Engine.PingTimeout }, initial: "20s", least: "50ms", most: "1h",
		about: "How long an answer to a heartbeat may take."},
	{key: "engine.upgrade_timeout", field: func(c *Config) any { return &c.Engine.UpgradeTimeout }, initial: "10s", least: "50ms", most: "10m",
		about: "How long an upgrade from polling to WebSocket may take."},
	{key: "engine.connect_timeout", field: func(c *Config) any { return &c.Engine.ConnectTimeout }, initial: "45s", least: "50ms", most: "1h",
		about: "How long a connection may stay without joining a namespace."},
	{key: "engine.poll_hold", field: func(c *Config) any { return &c.Engine.PollHold }, initial: "8s", least: "50ms", most: "1h",
		about: "How long a poll waits for something to send. Shorter than the 10s after which common mobile HTTP clients give up."},
	{key: "engine.write_timeout", field: func(c *Config) any { return &c.Engine.WriteTimeout }, initial: "20s", least: "50ms", most: "10m",
		about: "How long a client may leave what is sent to it unread before it is closed."},
	{key: "engine.max_age", field: func(c *Config) any { return &c.Engine.MaxAge }, initial: "0s", least: "0", most: "720h", cloudRun: "59m",
		about: "A WebSocket is closed at this age, before a platform that limits the time of a request cuts it off; its client comes back at once and recovers. 0 means never. Polls are short requests and are left alone. Cloud Run's limit is the service's timeout, at most 1h."},
	{key: "engine.max_age_jitter", field: func(c *Config) any { return &c.Engine.MaxAgeJitter }, initial: "4m", least: "0", most: "720h",
		about: "Each WebSocket's age is shorter than engine.max_age by a random part of this, so that those that were opened together are not closed together. Less than engine.max_age; the default is a tenth of that if that is less."},
	{key: "engine.max_http_buffer_size", field: func(c *Config) any { return &c.Engine.MaxHTTPBufferSize }, initial: "1000000", least: "1024", most: "104857600", unit: "bytes",
		about: "Limit of one message, and of one request's body."},
	{key: "engine.max_payload_packets", field: func(c *Config) any { return &c.Engine.MaxPayloadPackets }, initial: "1000", least: "16", most: "100000", unit: "packets",
		about: "Limit of packets in one polling request."},
	{key: "engine.queue_bytes", field: func(c *Config) any { return &c.Engine.QueueBytes }, initial: "1048576", least: "4096", most: "104857600", unit: "bytes",
		about: "What may wait for one client that reads slowly; beyond it the client is closed. Not less than engine.max_http_buffer_size if messages that large are to arrive."},
	{key: "engine.queue_packets", field: func(c *Config) any { return &c.Engine.QueuePackets }, initial: "4096", least: "16", most: "1000000", unit: "packets",
		about: "The same limit, counted in packets."},
	{key: "engine.max_arriving", field: func(c *Config) any { return &c.Engine.MaxArriving }, initial: "268435456", least: "1048576", most: "1099511627776", unit: "bytes",
		about: "Limit of the messages and bodies that have begun to arrive and not ended, of all clients together; who brings more is refused: a POST with 503, a WebSocket with close code 1013. The same limit holds once more for packets whose attachments are to come: whose bytes are too many is closed. Not less than engine.max_http_buffer_size."},
	{key: "engine.max_sessions", field: func(c *Config) any { return &c.Engine.MaxSessions }, initial: "250000", least: "1", most: "10000000", unit: "connections",
		about: "Limit of connections; beyond it a new one is answered 503 with Retry-After. The default is lowered to what the system's limit of open files lets in."},
	{key: "engine.max_sessions_per_address", field: func(c *Config) any { return &c.Engine.MaxSessionsPerAddress }, initial: "20000", least: "1", most: "10000000", unit: "connections",
		about: "The same limit for one client address. Generous, since a mobile carrier or an office may share one. Behind a proxy set http.trusted_proxies, or all clients share the proxy's."},
	{key: "engine.cookie", field: func(c *Config) any { return &c.Engine.Cookie }, check: checkCookie,
		about: "Name of a cookie with the session id, for balancers that route by one; empty means none."},
	{key: "engine.cookie_secure", field: func(c *Config) any { return &c.Engine.CookieSecure }, initial: "false",
		about: "Mark that cookie Secure (sent over TLS only)."},

	{key: "socketio.ack_timeout", field: func(c *Config) any { return &c.SocketIO.AckTimeout }, initial: "10s", least: "50ms", most: "10m",
		about: "How long the server waits for a client's acknowledgement."},
	{key: "socketio.max_attachments", field: func(c *Config) any { return &c.SocketIO.MaxAttachments }, initial: "10", least: "1", most: "1000", unit: "attachments",
		about: "Limit of binary attachments in one packet."},
	{key: "socketio.max_depth", field: func(c *Config) any { return &c.SocketIO.MaxDepth }, initial: "64", least: "4", most: "1000", unit: "levels",
		about: "Limit of nesting in one packet's JSON."},
	{key: "socketio.max_namespaces", field: func(c *Config) any { return &c.SocketIO.MaxNamespaces }, initial: "10", least: "1", most: "1000", unit: "namespaces",
		about: "Limit of namespaces that one connection may be in."},
	{key: "socketio.max_rooms", field: func(c *Config) any { return &c.SocketIO.MaxRooms }, initial: "200", least: "1", most: "100000", unit: "rooms",
		about: "Limit of rooms that one socket may be in."},
	{key: "socketio.max_pending_acks", field: func(c *Config) any { return &c.SocketIO.MaxPendingAcks }, initial: "1000", least: "1", most: "1000000", unit: "acks",
		about: "Limit of acknowledgements that the server awaits from one socket."},
	{key: "socketio.max_held", field: func(c *Config) any { return &c.SocketIO.MaxHeld }, initial: "1000", least: "16", most: "1000000", unit: "events",
		about: "Limit of events kept back for a socket while its join or recovery is answered."},
	{key: "socketio.inbox", field: func(c *Config) any { return &c.SocketIO.Inbox }, initial: "64", least: "1", most: "100000", unit: "events",
		about: "Events of one socket that may wait for their handler; beyond it its connection is not read."},

	{key: "overload.retry_after", field: func(c *Config) any { return &c.Overload.RetryAfter }, initial: "5s", least: "1s", most: "10m",
		about: "When those who were refused are told to try again: at random after this time or up to twice as much."},
	{key: "overload.connections_memory", field: func(c *Config) any { return &c.Overload.ConnectionsMemory }, initial: "85", least: "0", most: "100", unit: "percent",
		about: "From this share of its memory on (GOMEMLIMIT, or 90 percent of the container's limit), as far as it cannot be collected, new connections are refused with 503, so that their clients go to another node. 0: whatever the memory."},
	{key: "overload.connections_delay", field: func(c *Config) any { return &c.Overload.ConnectionsDelay }, initial: "500ms", least: "0", most: "1m",
		about: "The same from this delay on, which 1 in 10 goroutines has before it gets a processor, or a call before it is sent to Redis. 0: whatever the delay."},
	{key: "overload.ephemeral_memory", field: func(c *Config) any { return &c.Overload.EphemeralMemory }, initial: "90", least: "0", most: "100", unit: "percent",
		about: "From this share of its memory on (GOMEMLIMIT, or 90 percent of the container's limit), as far as it cannot be collected, events that are kept nowhere, typing and relay.events, are dropped too. 0: whatever the memory."},
	{key: "overload.ephemeral_delay", field: func(c *Config) any { return &c.Overload.EphemeralDelay }, initial: "750ms", least: "0", most: "1m",
		about: "The same from this delay on, which 1 in 10 goroutines has before it gets a processor. 0: whatever the delay."},
	{key: "overload.reads_memory", field: func(c *Config) any { return &c.Overload.ReadsMemory }, initial: "93", least: "0", most: "100", unit: "percent",
		about: "From this share of its memory on (GOMEMLIMIT, or 90 percent of the container's limit), as far as it cannot be collected, history, who and rooms are refused too. 0: whatever the memory."},
	{key: "overload.reads_delay", field: func(c *Config) any { return &c.Overload.ReadsDelay }, initial: "1s", least: "0", most: "1m",
		about: "The same from this delay on, which 1 in 10 goroutines has before it gets a processor. 0: whatever the delay."},
	{key: "overload.writes_memory", field: func(c *Config) any { return &c.Overload.WritesMemory }, initial: "97", least: "0", most: "100", unit: "percent",
		about: "From this share of its memory on (GOMEMLIMIT, or 90 percent of the container's limit), as far as it cannot be collected, new message, join room and add user are refused too. 0: whatever the memory."},
	{key: "overload.writes_delay", field: func(c *Config) any { return &c.Overload.WritesDelay }, initial: "3s", least: "0", most: "1m",
		about: "The same from this delay on, which 1 in 10 goroutines has before it gets a processor. 0: whatever the delay."},
}

func checkAddr(text string) error {
	if text == "" || text == "localhost" {
		return nil
	}
	if _, err := netip.ParseAddr(text); err != nil {
		return fmt.Errorf("an IP address such as 127.0.0.1 or ::1, localhost, or nothing for all addresses")
	}
	return nil
}

func checkOrigin(text string) error {
	if text == "*" || text == "localhost" || text == "null" {
		return nil
	}
	bad := fmt.Errorf("origins such as https://app.example.com, https://*.example.com or http://10.0.0.5:8080 (no path), null, localhost, *")
	// A star may only stand for the whole first label.
	u, err := url.Parse(strings.Replace(text, "://*.", "://any.", 1))
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Host, "*") {
		return bad
	}
	return nil
}

func checkPath(text string) error {
	if !regexp.MustCompile(`^(/[0-9A-Za-z._~-]*[0-9A-Za-z_~-])+/?$`).MatchString(text) || text == "/healthz" || text == "/readyz" {
		return fmt.Errorf("a path such as /socket.io/ or /api/chat/, not the root")
	}
	return nil
}

func checkCookie(text string) error {
	if text != "" && !regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`).MatchString(text) {
		return fmt.Errorf("1 to 64 of 0-9 A-Z a-z _ . -, or nothing for no cookie")
	}
	return nil
}

// disorder names a step that would come before the one that it should follow.
func (o *Overload) disorder() string {
	memory, delay := 0, time.Duration(0)
	for _, step := range []struct {
		name   string
		memory int
		delay  time.Duration
	}{
		{"connections", o.ConnectionsMemory, o.ConnectionsDelay}, {"ephemeral", o.EphemeralMemory, o.EphemeralDelay},
		{"reads", o.ReadsMemory, o.ReadsDelay}, {"writes", o.WritesMemory, o.WritesDelay},
	} {
		switch {
		case step.memory > 0 && step.memory < memory:
			return "overload." + step.name + "_memory"
		case step.delay > 0 && step.delay < delay:
			return "overload." + step.name + "_delay"
		}
		memory, delay = max(memory, step.memory), max(delay, step.delay)
	}
	return ""
}
