package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// setting is one row of the table. The type of what field points to (int,
// int64, bool, string, []string, time.Duration) decides how text is read.
type setting struct {
	key     string // as in the file; flag and environment names follow from it
	field   func(*Config) any
	initial string // the default, as text
	unit    string // "bytes", "messages", …; durations carry their own
	about   string
	// allowed lists the values of a closed set (of each element, for a list).
	allowed []string
	// least and most bound numbers and durations, written as text.
	least, most string
	// check refuses what the type alone lets through; its error says what is
	// allowed.
	check func(text string) error
	// also is a conventional environment variable that counts when the
	// setting's own is not set.
	also   string
	secret bool // never shown
	// cloudRun is the default on Cloud Run, if it is another one there.
	cloudRun string
}

// env is the setting's own environment variable.
func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// section titles, in the order of --help.
var sections = []struct{ name, about string }{
	{"http", "The listener"},
	{"cors", "Pages of other origins"},
	{"engine", "Engine.IO: transports, heartbeat, queues"},
	{"socketio", "Socket.IO: limits per connection and socket"},
	{"overload", "Overload: what is not done any more, and from when on"},
	{"recovery", "Connection state recovery"},
	{"log", "Each room's log"},
	{"dedupe", "Retries"},
	{"data", "The embedded store"},
	{"presence", "Who is here"},
	{"auth", "Who may connect"},
	{"rooms", "Who may do what in which room"},
	{"limits", "What clients may make"},
	{"fairness", "How much clients may ask for"},
	{"relay", "Events of your own"},
	{"api", "The HTTP API for back ends"},
	{"webhooks", "Back ends that are told what happens"},
	{"web", "The page"},
	{"logging", "What the server says about itself"},
	{"tracing", "Traces, by OpenTelemetry"},
	{"admin", "Metrics and profiles, on an address of their own"},
	{"redis", "Many nodes"},
	{"official", "Node servers and emitters on the same Redis"},
	{"admin_ui", "The official Socket.IO Admin UI"},
	{"node", "This node"},
}

var settings = []*setting{
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
		about: "The same from this delay on, which 1 in 10 goroutines has before it gets a processor. 0: whatever the delay."},
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

	{key: "recovery.window", field: func(c *Config) any { return &c.Recovery.Window }, initial: "2m", least: "0", most: "24h",
		about: "How long after a lost connection a client may come back and get what it missed; 0 turns recovery off."},
	{key: "recovery.offsets", field: func(c *Config) any { return &c.Recovery.Offsets }, initial: "auto", allowed: []string{"auto", "always", "never"},
		about: "Who gets an offset as the last argument of each event, which recovery needs: auto means the clients that use it."},

	{key: "log.max_messages", field: func(c *Config) any { return &c.Log.MaxMessages }, initial: "10000", least: "1", most: "100000000", unit: "messages",
		about: "Messages kept per room."},
	{key: "log.max_age", field: func(c *Config) any { return &c.Log.MaxAge }, initial: "168h", least: "1s", most: "87600h",
		about: "How long messages are kept. Not less than recovery.window."},
	{key: "log.max_rooms", field: func(c *Config) any { return &c.Log.MaxRooms }, initial: "100000", least: "1", most: "10000000", unit: "rooms",
		about: "Limit of rooms that have messages; a first message in one more is refused. With Redis its memory is the limit."},
	{key: "log.ack_replicas", field: func(c *Config) any { return &c.Log.AckReplicas }, initial: "0", least: "0", most: "10", unit: "replicas",
		about: "How many replicas of Redis must have a message before it is acknowledged."},

	{key: "dedupe.window", field: func(c *Config) any { return &c.Dedupe.Window }, initial: "10m", least: "1s", most: "168h",
		about: "How long a message's own id is remembered, so that a retry is not a second message. Not less than recovery.window."},
	{key: "dedupe.max_ids", field: func(c *Config) any { return &c.Dedupe.MaxIDs }, initial: "2000000", least: "1000", most: "1000000000", unit: "ids",
		about: "Limit of ids remembered at a time, about 100 bytes of memory each, for up to two windows; beyond it messages with an id are refused. The default is 1,600 messages a second without pause."},

	{key: "data.dir", field: func(c *Config) any { return &c.Data.Dir }, initial: "./data",
		about: "Directory of the embedded store, made if it is missing; empty keeps everything in memory only."},
	{key: "data.max_bytes", field: func(c *Config) any { return &c.Data.MaxBytes }, initial: "0", least: "0", most: "1125899906842624", unit: "bytes",
		about: "Limit of the store, beyond which messages are refused; 0 means none on disk and 512 MiB in memory."},

	{key: "presence.announce_max", field: func(c *Config) any { return &c.Presence.AnnounceMax }, initial: "200", least: "1", most: "100000", unit: "people",
		about: "In rooms of more people, joins and leaves are not told one by one; the number goes out at most once a second."},
	{key: "presence.grace", field: func(c *Config) any { return &c.Presence.Grace }, initial: "10s", least: "0", most: "10m",
		about: "How long somebody whose connection was lost still counts as present, so that a reconnect is no leaving and coming; with 0 such a person leaves at once."},

	{key: "auth.mode", field: func(c *Config) any { return &c.Auth.Mode }, initial: "open", allowed: []string{"open", "token"},
		about: "open: everybody may connect, under a name of their choice. token: only with a JWT, which says who it is; one of auth.secret, auth.secret_file and auth.keys is then needed."},
	{key: "auth.secret", field: func(c *Config) any { return &c.Auth.Secret }, secret: true, check: checkSecret,
		about: "Key of tokens that are signed with HS256, at least 32 bytes."},
	{key: "auth.secret_file", field: func(c *Config) any { return &c.Auth.SecretFile },
		about: "File with that key; white space at its ends does not count."},
	{key: "auth.keys", field: func(c *Config) any { return &c.Auth.Keys }, check: checkKeys,
		about: "The issuer's public keys, a JSON Web Key Set: an address or a file. Tokens are then signed with RS256, ES256 or EdDSA."},
	{key: "auth.keys_refresh", field: func(c *Config) any { return &c.Auth.KeysRefresh }, initial: "1h", least: "1m", most: "24h",
		about: "After how long the keys are fetched anew. Keys that cannot be fetched are used on for a day."},
	{key: "auth.keys_interval", field: func(c *Config) any { return &c.Auth.KeysInterval }, initial: "30s", least: "1s", most: "1h",
		about: "Least time between two fetches, also when a token names a key that is not known."},
	{key: "auth.issuer", field: func(c *Config) any { return &c.Auth.Issuer }, check: checkLine,
		about: "What a token's iss must be; empty means anything."},
	{key: "auth.audience", field: func(c *Config) any { return &c.Auth.Audience }, check: checkLine,
		about: "A token's aud must hold one of these; empty means anything. Set it where one issuer serves several applications."},
	{key: "auth.user_claim", field: func(c *Config) any { return &c.Auth.UserClaim }, initial: "sub", check: checkClaim,
		about: "Claim that says who the user is: stable and never given to somebody else."},
	{key: "auth.name_claim", field: func(c *Config) any { return &c.Auth.NameClaim }, initial: "name", check: checkClaim,
		about: "Claim with the name that others see. A token without it, or whose name breaks the chat's rules, leaves the name to the client."},
	{key: "auth.leeway", field: func(c *Config) any { return &c.Auth.Leeway }, initial: "30s", least: "0", most: "10m",
		about: "How far the issuer's clock may be from this one's."},
	{key: "auth.warning", field: func(c *Config) any { return &c.Auth.Warning }, initial: "1m", least: "1s", most: "1h",
		about: "How long before its token ends a client is told, so that it can send another one."},

	{key: "rooms.rules", field: func(c *Config) any { return &c.Rooms.Rules },
		about: "Rules of pattern, read, write, moderate: the first whose pattern fits a room says who may do what there (docs/auth.md). Without any, everybody may read and write everywhere."},

	{key: "limits.name_characters", field: func(c *Config) any { return &c.Limits.NameCharacters }, initial: "32", least: "1", most: "1000", unit: "characters",
		about: "Longest name of a person; in bytes it may have four times as many."},
	{key: "limits.room_characters", field: func(c *Config) any { return &c.Limits.RoomCharacters }, initial: "64", least: "46", most: "1000", unit: "characters",
		about: "Longest name of a room; in bytes it may have four times as many."},
	{key: "limits.message_characters", field: func(c *Config) any { return &c.Limits.MessageCharacters }, initial: "4000", least: "1", most: "1000000", unit: "characters",
		about: "Longest message."},
	{key: "limits.message_bytes", field: func(c *Config) any { return &c.Limits.MessageBytes }, initial: "16384", least: "16", most: "262144", unit: "bytes",
		about: "The same limit, in bytes."},
	{key: "limits.history_default", field: func(c *Config) any { return &c.Limits.HistoryDefault }, initial: "50", least: "1", most: "1000", unit: "messages",
		about: "Messages of one answer when the client does not say how many."},
	{key: "limits.history_max", field: func(c *Config) any { return &c.Limits.HistoryMax }, initial: "200", least: "1", most: "1000", unit: "messages",
		about: "Most messages of one answer."},
	{key: "limits.people_listed", field: func(c *Config) any { return &c.Limits.PeopleListed }, initial: "100", least: "1", most: "10000", unit: "people",
		about: "Most names of one answer."},
	{key: "limits.rooms_listed", field: func(c *Config) any { return &c.Limits.RoomsListed }, initial: "100", least: "1", most: "1000", unit: "rooms",
		about: "Most rooms of one answer."},
	{key: "limits.rooms_per_socket", field: func(c *Config) any { return &c.Limits.RoomsPerSocket }, initial: "50", least: "1", most: "10000", unit: "rooms",
		about: "Most rooms that one socket may be in. Not more than socketio.max_rooms, less a few that the chat itself uses."},

	{key: "fairness.mode", field: func(c *Config) any { return &c.Fairness.Mode }, initial: "on", allowed: []string{"on", "off"},
		about: "off lets clients ask for as much as they like."},
	{key: "fairness.connects_user", field: func(c *Config) any { return &c.Fairness.Connects.User }, initial: "20/s burst 200",
		about: "CONNECTs per user, on all nodes together: a rate, and how many at once."},
	{key: "fairness.connects_address", field: func(c *Config) any { return &c.Fairness.Connects.Address }, initial: "1000/s burst 20000",
		about: "CONNECTs per address (per /64 of IPv6) and node: a rate, and how many at once."},
	{key: "fairness.messages_socket", field: func(c *Config) any { return &c.Fairness.Messages.Socket }, initial: "50/s burst 500",
		about: "Messages, relayed events and what moderators do per socket: a rate, and how many at once."},
	{key: "fairness.messages_user", field: func(c *Config) any { return &c.Fairness.Messages.User }, initial: "100/s burst 1000",
		about: "Messages, relayed events and what moderators do per user, on all nodes together: a rate, and how many at once."},
	{key: "fairness.messages_address", field: func(c *Config) any { return &c.Fairness.Messages.Address }, initial: "5000/s burst 20000",
		about: "Messages, relayed events and what moderators do per address (per /64 of IPv6) and node: a rate, and how many at once."},
	{key: "fairness.joins_socket", field: func(c *Config) any { return &c.Fairness.Joins.Socket }, initial: "50/s burst 500",
		about: "Joins and leaves per socket: a rate, and how many at once."},
	{key: "fairness.joins_user", field: func(c *Config) any { return &c.Fairness.Joins.User }, initial: "100/s burst 1000",
		about: "Joins and leaves per user, on all nodes together: a rate, and how many at once."},
	{key: "fairness.joins_address", field: func(c *Config) any { return &c.Fairness.Joins.Address }, initial: "5000/s burst 20000",
		about: "Joins and leaves per address (per /64 of IPv6) and node: a rate, and how many at once."},
	{key: "fairness.reads_socket", field: func(c *Config) any { return &c.Fairness.Reads.Socket }, initial: "100/s burst 500",
		about: "Reads of history, people and rooms, and everything that is in no other bucket per socket: a rate, and how many at once."},
	{key: "fairness.reads_user", field: func(c *Config) any { return &c.Fairness.Reads.User }, initial: "200/s burst 1000",
		about: "Reads of history, people and rooms, and everything that is in no other bucket per user, on all nodes together: a rate, and how many at once."},
	{key: "fairness.reads_address", field: func(c *Config) any { return &c.Fairness.Reads.Address }, initial: "5000/s burst 20000",
		about: "Reads of history, people and rooms, and everything that is in no other bucket per address (per /64 of IPv6) and node: a rate, and how many at once."},
	{key: "fairness.typing_socket", field: func(c *Config) any { return &c.Fairness.Typing.Socket }, initial: "20/s burst 100",
		about: "Signs of typing per socket: a rate, and how many at once."},
	{key: "fairness.typing_user", field: func(c *Config) any { return &c.Fairness.Typing.User }, initial: "40/s burst 200",
		about: "Signs of typing per user, on all nodes together: a rate, and how many at once."},
	{key: "fairness.typing_address", field: func(c *Config) any { return &c.Fairness.Typing.Address }, initial: "5000/s burst 20000",
		about: "Signs of typing per address (per /64 of IPv6) and node: a rate, and how many at once."},
	{key: "fairness.rooms_user", field: func(c *Config) any { return &c.Fairness.Rooms.User }, initial: "1/s burst 500",
		about: "Joins of rooms in which there is nobody and nothing yet per user, on all nodes together: a rate, and how many at once."},

	{key: "relay.events", field: func(c *Config) any { return &c.Relay.Events }, check: checkEvent,
		about: "Names of events of your own that are passed on, unlogged, to the room in their first argument."},

	{key: "api.keys", field: func(c *Config) any { return &c.API.Keys }, secret: true,
		about: "Keys of back ends, each with name (what people see as the sender), hash and scopes (read, write, moderate, admin); antchat apikey makes one. Several may have one name while a new one takes the old one's place. Without keys and api.claim there is no API."},
	{key: "api.claim", field: func(c *Config) any { return &c.API.Claim }, check: checkLine,
		about: "Claim of a token (auth.mode token) with the scopes that it has in the API: a list, or a text with spaces between; empty means that tokens have none."},
	{key: "api.max_body", field: func(c *Config) any { return &c.API.MaxBody }, initial: "1048576", least: "1024", most: "104857600", unit: "bytes",
		about: "Limit of a request's body."},
	{key: "api.max_batch", field: func(c *Config) any { return &c.API.MaxBatch }, initial: "100", least: "1", most: "1000", unit: "messages",
		about: "Most messages of one request."},
	{key: "api.rate", field: func(c *Config) any { return &c.API.Rate }, initial: "500/s burst 2000",
		about: "Requests per name of a key, or per token's user, on a node; each message of a batch, and each page of an export, counts as one: a rate, and how many at once."},

	{key: "webhooks.hooks", field: func(c *Config) any { return &c.Webhooks.Hooks }, secret: true,
		about: "Addresses that are told of events by a signed POST (docs/http-api.md), each with url, secret (at least 16 bytes) and events of message, join, leave."},
	{key: "webhooks.queue", field: func(c *Config) any { return &c.Webhooks.Queue }, initial: "1000", least: "1", most: "100000", unit: "events",
		about: "What may wait for one address on a node; what comes beyond it is dropped and counted."},

	{key: "web.dir", field: func(c *Config) any { return &c.Web.Dir },
		about: "Directory with a page of your own, served instead of the built-in one."},
	{key: "web.content_security_policy", field: func(c *Config) any { return &c.Web.ContentSecurityPolicy }, initial: "auto", check: checkPolicy,
		about: "Content-Security-Policy of the page: auto (a strict one for the built-in page, none for web.dir), off, or a policy."},

	{key: "logging.level", field: func(c *Config) any { return &c.Logging.Level }, initial: "info", allowed: []string{"debug", "info", "warn", "error"},
		about: "The least important lines that are written."},
	{key: "logging.format", field: func(c *Config) any { return &c.Logging.Format }, initial: "auto", allowed: []string{"auto", "text", "json", "cloud"}, cloudRun: "cloud",
		about: "Form of the lines: auto means text on a terminal and JSON elsewhere; cloud is JSON with the names that Google's Cloud Logging knows."},
	{key: "logging.max_per_second", field: func(c *Config) any { return &c.Logging.MaxPerSecond }, initial: "20", least: "0", most: "1000000", unit: "lines",
		about: "Limit of lines of one kind (a level and a message) in a second. What is left out is counted, and the number told a second later; 0 means no limit."},
	{key: "logging.project", field: func(c *Config) any { return &c.Logging.Project }, also: "GOOGLE_CLOUD_PROJECT", check: checkProject,
		about: "Google Cloud project whose traces the lines of form cloud name."},

	{key: "tracing.url", field: func(c *Config) any { return &c.Tracing.URL }, check: checkTracing,
		about: "Receiver of traces (OTLP over HTTP), such as http://127.0.0.1:4318/v1/traces; empty means none."},
	{key: "tracing.one_in", field: func(c *Config) any { return &c.Tracing.OneIn }, initial: "1000", least: "1", most: "1000000000", unit: "events",
		about: "Of so many events of clients one is followed to all who get it; 1 follows all."},
	{key: "tracing.headers", field: func(c *Config) any { return &c.Tracing.Headers }, secret: true, check: checkHeader,
		about: "Headers for the receiver, such as authorization=Bearer x."},

	{key: "admin.listen", field: func(c *Config) any { return &c.Admin.Listen }, check: checkListen,
		about: "Address and port of /metrics, /debug/pprof/, /healthz and /readyz, such as 127.0.0.1:9464, or :9464 for all addresses of the machine. Whoever reaches it sees them: keep it off the internet. With port 0 the system chooses one; empty means none."},

	{key: "redis.url", field: func(c *Config) any { return &c.Redis.URL }, secret: true, also: "REDIS_URL", check: checkRedis,
		about: "Redis that makes many nodes one chat, in place of the embedded store: redis://host:port, redis+cluster://host:port,host:port or redis+sentinel://host:port,host:port/name; rediss for TLS; user:password@ before the host."},
	{key: "redis.prefix", field: func(c *Config) any { return &c.Redis.Prefix }, check: checkRedisPrefix,
		about: "Begins the names of keys and channels, after ac1:, so that several applications can share a Redis."},
	{key: "redis.ca_file", field: func(c *Config) any { return &c.Redis.CAFile },
		about: "PEM file with the certificates that rediss trusts; empty means the system's."},

	{key: "official.adapter", field: func(c *Config) any { return &c.Official.Adapter }, initial: "off", allowed: []string{"off", "classic", "sharded", "sharded-static", "sharded-dynamic-private"},
		about: "Makes the fleet a member among Node servers with @socket.io/redis-adapter: the one that they use, classic or sharded, with its subscriptionMode if that is not dynamic. Needs redis.url."},
	{key: "official.emitters", field: func(c *Config) any { return &c.Official.Emitters }, initial: "false",
		about: "Accepts what @socket.io/redis-emitter and python-socketio's RedisManager (JSON, from 5.14) publish; their new message in a room is stored like any other. Pickles are refused. Whoever may publish on this Redis may then write to every room. Needs redis.url."},
	{key: "official.prefix", field: func(c *Config) any { return &c.Official.Prefix }, initial: "socket.io", check: checkChannel,
		about: "The packages' key or channelPrefix."},
	{key: "official.python_channel", field: func(c *Config) any { return &c.Official.PythonChannel }, initial: "socketio", check: checkChannel,
		about: "The channel of python-socketio's managers."},
	{key: "official.specific_responses", field: func(c *Config) any { return &c.Official.SpecificResponses }, initial: "false",
		about: "The classic adapter's publishOnSpecificResponseChannel, if the Node servers have it."},

	{key: "admin_ui.enabled", field: func(c *Config) any { return &c.AdminUI.Enabled }, initial: "false",
		about: "Lets the official Admin UI (https://admin.socket.io, or @socket.io/admin-ui's ui/dist of your own) connect. Needs admin_ui.password_hash or admin_ui.token."},
	{key: "admin_ui.namespace", field: func(c *Config) any { return &c.AdminUI.Namespace }, initial: "/admin", check: checkNamespace,
		about: "The namespace that it connects to."},
	{key: "admin_ui.username", field: func(c *Config) any { return &c.AdminUI.Username }, initial: "admin", check: checkUsername,
		about: "Its user."},
	{key: "admin_ui.password_hash", field: func(c *Config) any { return &c.AdminUI.PasswordHash }, secret: true,
		about: "bcrypt hash of the user's password, of a cost of at most 14; antchat password makes one."},
	{key: "admin_ui.token", field: func(c *Config) any { return &c.AdminUI.Token }, secret: true,
		about: "Random text of at least 16 bytes that lets in without a user: as the password of the form, or as auth.token of a client."},
	{key: "admin_ui.mode", field: func(c *Config) any { return &c.AdminUI.Mode }, initial: "production", allowed: []string{"production", "development"},
		about: "What it is shown: production means counts; development also every socket, its rooms and handshake, and events with what people wrote in them."},
	{key: "admin_ui.read_only", field: func(c *Config) any { return &c.AdminUI.ReadOnly }, initial: "false",
		about: "Refuses its commands: emit, join, leave, disconnect."},
	{key: "admin_ui.origins", field: func(c *Config) any { return &c.AdminUI.Origins }, check: checkOrigin,
		about: "Origins of its page, beside cors.origins: https://admin.socket.io for the hosted one."},

	{key: "node.id", field: func(c *Config) any { return &c.Node.ID }, check: checkNode,
		about: "Name of this node inside session ids: 6 characters of 0-9 A-Z a-z _ -; empty makes a random one at each start."},
}

// find returns the setting of a key, nil if there is none.
func find(key string) *setting {
	i := slices.IndexFunc(settings, func(s *setting) bool { return s.key == key })
	if i < 0 {
		return nil
	}
	return settings[i]
}

// related checks settings that only make sense together, and fits defaults to
// what was set.
func (c *Config) related() error {
	if c.origin["http.drain_window"] == "default" {
		c.HTTP.DrainWindow = min(c.HTTP.DrainWindow, c.HTTP.StopTimeout/2)
	}
	if c.origin["engine.max_age_jitter"] == "default" && c.Engine.MaxAge > 0 {
		c.Engine.MaxAgeJitter = min(c.Engine.MaxAgeJitter, c.Engine.MaxAge/10)
	}
	switch {
	case c.HTTP.TLSCert != "" && c.HTTP.TLSKey == "":
		return &Error{"http.tls_key", "is not set, but http.tls_cert is: allowed are both or neither"}
	case c.HTTP.TLSKey != "" && c.HTTP.TLSCert == "":
		return &Error{"http.tls_cert", "is not set, but http.tls_key is: allowed are both or neither"}
	case c.Dedupe.Window < c.Recovery.Window:
		return &Error{"dedupe.window", fmt.Sprintf("%s is shorter than recovery.window (%s): a client that comes back could not retry safely; allowed is at least that", short(c.Dedupe.Window), short(c.Recovery.Window))}
	case c.Log.MaxAge < c.Recovery.Window:
		return &Error{"log.max_age", fmt.Sprintf("%s is shorter than recovery.window (%s): what a client missed would be gone; allowed is at least that", short(c.Log.MaxAge), short(c.Recovery.Window))}
	case c.Engine.MaxAge > 0 && c.Engine.MaxAgeJitter >= c.Engine.MaxAge:
		return &Error{"engine.max_age_jitter", fmt.Sprintf("%s is not less than engine.max_age (%s): connections would be closed as soon as they are opened; allowed is less", short(c.Engine.MaxAgeJitter), short(c.Engine.MaxAge))}
	case c.Overload.disorder() != "":
		return &Error{c.Overload.disorder(), "is below the step before it: allowed are 0 and what is not below that of connections, ephemeral, reads, writes, in this order"}
	case 2*c.HTTP.DrainWindow > c.HTTP.StopTimeout:
		return &Error{"http.drain_window", fmt.Sprintf("%s is more than half of http.stop_timeout (%s), which must also suffice for the last connections to take what is queued; allowed is at most half of it", short(c.HTTP.DrainWindow), short(c.HTTP.StopTimeout))}
	case len(c.Engine.Transports) == 0:
		return &Error{"engine.transports", "is empty: allowed are one or both of polling, websocket"}
	case c.Redis.URL == "" && c.Official.Adapter != "off":
		return &Error{"official.adapter", "is set, but redis.url is not: allowed is off, or any with a Redis"}
	case c.Redis.URL == "" && c.Official.Emitters:
		return &Error{"official.emitters", "is true, but redis.url is not set: allowed is true with a Redis"}
	case c.Auth.Mode == "token" && c.Auth.sources() == 0:
		return &Error{"auth.mode", "is token, but nothing says whose: allowed is token with one of auth.secret, auth.secret_file and auth.keys"}
	case c.Auth.Mode == "token" && c.Auth.sources() > 1:
		return &Error{"auth.mode", "is token, and several of auth.secret, auth.secret_file and auth.keys are set: allowed is one"}
	case c.API.Claim != "" && c.Auth.Mode != "token":
		return &Error{"api.claim", "is set, but auth.mode is not token: allowed is a claim with token"}
	case c.API.On() && strings.HasPrefix(c.Engine.Path, "/api/v1"):
		return &Error{"engine.path", fmt.Sprintf("%q is below /api/v1, where the HTTP API is: allowed is another path", c.Engine.Path)}
	case c.AdminUI.Enabled && c.AdminUI.PasswordHash == "" && c.AdminUI.Token == "":
		return &Error{"admin_ui.enabled", "is true, but neither admin_ui.password_hash nor admin_ui.token is set: allowed is true with one of them"}
	case c.Limits.RoomsPerSocket > c.SocketIO.MaxRooms:
		return &Error{"limits.rooms_per_socket", fmt.Sprintf("%d is more than socketio.max_rooms (%d): allowed is at most that", c.Limits.RoomsPerSocket, c.SocketIO.MaxRooms)}
	case c.Limits.HistoryDefault > c.Limits.HistoryMax:
		return &Error{"limits.history_default", fmt.Sprintf("%d is more than limits.history_max (%d): allowed is at most that", c.Limits.HistoryDefault, c.Limits.HistoryMax)}
	case c.Engine.CookieSecure && c.Engine.Cookie == "":
		return &Error{"engine.cookie_secure", "is true, but engine.cookie names no cookie: allowed is true with a cookie's name"}
	}
	return nil
}

// sources is how many of the settings for checking tokens are set.
func (a *Auth) sources() int {
	n := 0
	for _, s := range []string{a.Secret, a.SecretFile, a.Keys} {
		if s != "" {
			n++
		}
	}
	return n
}

func checkSecret(text string) error {
	if text != "" && len(text) < 32 {
		return fmt.Errorf("at least 32 bytes")
	}
	return nil
}

func checkKeys(text string) error {
	scheme, _, address := strings.Cut(text, "://")
	if !address {
		return nil // a file
	}
	if u, err := url.Parse(text); err != nil || scheme != "https" && scheme != "http" || u.Host == "" || u.User != nil {
		return fmt.Errorf("an address that begins with https:// (or http:// within a trusted network), or the name of a file")
	}
	return nil
}

func checkLine(text string) error {
	if len(text) > 1024 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("up to 1,024 bytes on one line")
	}
	return nil
}

func checkClaim(text string) error {
	if text == "" {
		return fmt.Errorf("a claim's name, with dots to one inside another")
	}
	return checkLine(text)
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

func checkAddr(text string) error {
	if text == "" || text == "localhost" {
		return nil
	}
	if _, err := netip.ParseAddr(text); err != nil {
		return fmt.Errorf("an IP address such as 127.0.0.1 or ::1, localhost, or nothing for all addresses")
	}
	return nil
}

func checkListen(text string) error {
	if text == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil {
		err = checkAddr(host)
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("an address and a port such as 127.0.0.1:9464, [::1]:9464 or :9464, or nothing for none")
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

// reservedEvents are Socket.IO's own; the packet layer refuses them anyway, so
// a setting that names one is a mistake.
var reservedEvents = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

func checkEvent(text string) error {
	if text == "" || len(text) > 128 || slices.Contains(reservedEvents, text) {
		return fmt.Errorf("event names of 1 to 128 bytes, none of %s", strings.Join(reservedEvents, ", "))
	}
	return nil
}

func checkTracing(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("an address such as http://127.0.0.1:4318/v1/traces, without user and query; tracing.headers is for secrets")
	}
	return nil
}

func checkHeader(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || !regexp.MustCompile(`^[0-9A-Za-z-]{1,128}$`).MatchString(name) || len(value) > 8192 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("headers as name=value, in printable ASCII, with commas between")
	}
	return nil
}

func checkProject(text string) error {
	if !regexp.MustCompile(`^([a-z0-9.-]{1,63}:)?[a-z0-9-]{0,63}$`).MatchString(text) {
		return fmt.Errorf("a project's id of a-z 0-9 -, or nothing")
	}
	return nil
}

func checkPolicy(text string) error {
	if text == "" || len(text) > 4096 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("auto, off, or a policy of printable ASCII on one line")
	}
	return nil
}

func checkRedis(text string) error {
	if text == "" {
		return nil
	}
	// The adapter reads the rest: several hosts are no URL.
	if !regexp.MustCompile(`^rediss?(\+cluster|\+sentinel)?://.`).MatchString(text) {
		return fmt.Errorf("redis://host:port or rediss://host:port, with user:password@ if needed, or +cluster or +sentinel before the colon")
	}
	return nil
}

func checkRedisPrefix(text string) error {
	if !regexp.MustCompile(`^[0-9A-Za-z_.:-]{0,64}$`).MatchString(text) {
		return fmt.Errorf("up to 64 characters of 0-9 A-Z a-z _ . : -")
	}
	return nil
}

func checkNamespace(text string) error {
	if !regexp.MustCompile(`^/[0-9A-Za-z._~-]{1,64}$`).MatchString(text) {
		return fmt.Errorf("a slash and 1 to 64 characters of 0-9 A-Z a-z . _ ~ -")
	}
	return nil
}

func checkUsername(text string) error {
	if text == "" || len(text) > 128 || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("1 to 128 bytes without control characters")
	}
	return nil
}

func checkChannel(text string) error {
	if text == "" || len(text) > 128 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("1 to 128 printable ASCII characters without spaces")
	}
	return nil
}

func checkNode(text string) error {
	if text != "" && !regexp.MustCompile(`^[0-9A-Za-z_-]{6}$`).MatchString(text) {
		return fmt.Errorf("6 characters of 0-9 A-Z a-z _ -, or nothing for a random one")
	}
	return nil
}

// short writes a duration without the zero parts that time.Duration adds.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
