package engineio

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Names of the transports, as in the query's "transport".
const (
	TransportPolling   = "polling"
	TransportWebSocket = "websocket"
)

// Options configures a [Server]. The zero value of each field means the default
// that it names. It is copied by [NewServer].
type Options struct {
	// PingInterval is the time between heartbeats. Default 25 s.
	PingInterval time.Duration
	// PingTimeout is how long a client may take to answer a ping (revision 4),
	// or to send its own beyond PingInterval (revision 3). Default 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout is how long a WebSocket opened for an existing session has
	// to complete the upgrade. Default 10 s.
	UpgradeTimeout time.Duration
	// WriteTimeout is how long a client may take to accept the next 64 KiB, or
	// less if less is queued, or a polling answer. Default 20 s.
	WriteTimeout time.Duration
	// BodyTimeout is how long the body of a POST, or a WebSocket message, may take
	// to arrive. Default 20 s.
	BodyTimeout time.Duration
	// PollHold is how long a poll with nothing to say is held before it is
	// answered with a noop packet. It must be below the read timeout of mobile
	// HTTP clients, which is 10 s with OkHttp. Default 8 s; negative: until the
	// next ping, as Node does.
	PollHold time.Duration

	// MaxAge is the age at which a WebSocket is closed, as ReasonMaxAge: before a
	// platform that limits the time of a request cuts it off. Default 0: never.
	MaxAge time.Duration
	// MaxAgeJitter shortens each WebSocket's MaxAge by a random part of it, so
	// that what was opened together is not closed together. Less than MaxAge.
	// Default 0.
	MaxAgeJitter time.Duration

	// MaxHTTPBufferSize limits a POST body, a WebSocket message and, as
	// maxPayload in the open packet, what a revision 4 client joins in one POST;
	// polls are filled up to it too. In bytes. Default 1,000,000.
	MaxHTTPBufferSize int64
	// MaxPayloadPackets limits the packets in one POST. Default 1,000.
	MaxPayloadPackets int
	// QueueBytes and QueuePackets limit what waits for one client. One message is
	// always taken by an empty queue. Default 1 MiB and 4096.
	QueueBytes   int
	QueuePackets int
	// MaxArriving limits the bytes of messages and bodies that have begun to arrive
	// and not ended, of all clients together; a message that comes in one piece of a
	// few KiB does not count. Who brings more than there is room for is refused: a
	// POST with 503, a WebSocket with close code 1013. Default 256 MiB, or four times
	// MaxHTTPBufferSize if that is more; negative: no limit.
	MaxArriving int64
	// MaxSessions limits the sessions of this server. Default 250,000; negative:
	// no limit.
	MaxSessions int
	// MaxSessionsPerAddress limits the sessions of one client address. Mobile
	// carriers put thousands of people behind one. Default 20,000; negative: no
	// limit.
	MaxSessionsPerAddress int

	// Transports lists the transports to serve. Default polling and websocket.
	Transports []string
	// DisableRevision3 refuses clients of Socket.IO 1 and 2.
	DisableRevision3 bool
	// StrictRevision refuses a handshake whose EIO is neither "3" nor "4". By
	// default everything but "4" is revision 3, as in Node: Socket.IO-Client-Swift
	// up to 15.2 sends no EIO.
	StrictRevision bool

	// TrustedProxies is how many proxies stand before the server: that many
	// entries of X-Forwarded-For, from the right, are believed, and then
	// X-Forwarded-Proto too. Default 0: none.
	TrustedProxies int
	// Admit says whether a new session may be opened now. It is asked before
	// anything of a handshake is looked at but its query; with false the client
	// gets status 503 and Retry-After, in whole seconds. It must not block.
	// Default nil: always.
	Admit func() (retryAfter time.Duration, ok bool)
	// Ready says whether a new session could be served now, for what else it needs;
	// asked after Admit, in the same way. With false the client gets status 503.
	// Default nil: always.
	Ready func() bool
	// AllowRequest may refuse a handshake: its error's text goes to the client
	// with status 403, code 4. Default nil: all pass.
	AllowRequest func(*http.Request) error
	// CheckOrigin says whether a WebSocket request may come from its Origin.
	// Default: no Origin, the request's own host, or localhost.
	CheckOrigin func(*http.Request) bool
	// Cookie, when not nil, is set on the handshake's answer with the session id
	// as its value. Name defaults to "io", Path to "/", SameSite to Lax; it is
	// always HttpOnly.
	Cookie *http.Cookie
	// Headers lists the request headers kept with a session, in any case of
	// letters; all others are forgotten after the handshake. A value longer than
	// 4 KiB is not kept. Default host, origin, referer, user-agent,
	// accept-language and sec-websocket-extensions. Non-nil and empty: none.
	Headers []string
	// Secrets names what a handshake may hold that nobody else is to see:
	// parameters of its query, and headers, such as "token" and "authorization"
	// (in lower case). They are cut out of what Session.URL, Query and Headers
	// show; Session.Secret has them, as long as the session. Default: none.
	Secrets []string
	// NodeID starts every session id: 6 characters of 0-9, A-Z, a-z, _ and -.
	// Default: random. NewServer panics on anything else.
	NodeID string

	// Relay carries polling requests to the nodes that own their sessions, as
	// their ids tell. Default nil: a session is only served by its own node, and
	// whatever is before the server must see to that.
	Relay Relay
	// Adopt continues a session whose upgrade to WebSocket has arrived here and
	// that another node owns, if that node's Handler is a [Mover]. Default nil:
	// such an upgrade is refused, and the session stays on polling.
	Adopt Adopt
	// RelayTimeout is how long a relayed POST waits for the owner's answer, over
	// all tries. Default 20 s.
	RelayTimeout time.Duration
	// MaxRelayed limits the requests that wait for other nodes at once; further
	// ones are refused with 503. A polling client has one poll waiting nearly all
	// the time, at about 10 KB. Default 20,000.
	MaxRelayed int

	Hooks Hooks
	// Logger gets what an operator must know, such as a panic of a Handler.
	// Default: discard.
	Logger *slog.Logger
}

const (
	nodeIDLen = 6
	idLen     = 20 // other packages tell a session id by this length
	// idAlphabet has 64 characters, so that a random byte maps to one evenly.
	idAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"

	// maxURI and maxHeaderValue limit what a handshake leaves in memory.
	maxURI         = 8 << 10
	maxHeaderValue = 4 << 10
)

// withDefaults returns o with every zero field replaced by its default.
func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.PingInterval, 25*time.Second)
	def(&o.PingTimeout, 20*time.Second)
	def(&o.UpgradeTimeout, 10*time.Second)
	def(&o.WriteTimeout, 20*time.Second)
	def(&o.BodyTimeout, 20*time.Second)
	def(&o.PollHold, 8*time.Second)
	def(&o.RelayTimeout, 20*time.Second)
	if o.MaxHTTPBufferSize == 0 {
		o.MaxHTTPBufferSize = 1_000_000
	}
	if o.MaxArriving == 0 {
		o.MaxArriving = max(256<<20, 4*o.MaxHTTPBufferSize)
	} else if o.MaxArriving < 0 {
		o.MaxArriving = math.MaxInt64
	}
	num := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	num(&o.MaxPayloadPackets, 1000)
	num(&o.QueueBytes, 1<<20)
	num(&o.QueuePackets, 4096)
	num(&o.MaxSessions, 250_000)
	num(&o.MaxSessionsPerAddress, 20_000)
	num(&o.MaxRelayed, 20_000)
	if len(o.Transports) == 0 {
		o.Transports = []string{TransportPolling, TransportWebSocket}
	}
	o.Transports = slices.Clone(o.Transports)
	if o.Headers == nil {
		o.Headers = []string{"host", "origin", "referer", "user-agent", "accept-language", "sec-websocket-extensions"}
	}
	o.Headers = slices.Clone(o.Headers)
	for i, h := range o.Headers {
		o.Headers[i] = strings.ToLower(h)
	}
	o.Secrets = slices.Clone(o.Secrets)
	o.Headers = slices.DeleteFunc(o.Headers, func(h string) bool { return slices.Contains(o.Secrets, h) })
	if o.CheckOrigin == nil {
		o.CheckOrigin = sameOriginOrLocal
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.NodeID == "" {
		o.NodeID = randomID(nodeIDLen)
	}
	if len(o.NodeID) != nodeIDLen || strings.Trim(o.NodeID, idAlphabet) != "" {
		panic(fmt.Sprintf("engineio: NodeID %q is not 6 characters of 0-9, A-Z, a-z, _ and -", o.NodeID))
	}
	return o
}

// randomID returns n characters from a cryptographic source.
func randomID(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	for i, c := range b {
		b[i] = idAlphabet[c&63]
	}
	return string(b)
}

// sameOriginOrLocal is the default of Options.CheckOrigin.
func sameOriginOrLocal(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	name := u.Hostname()
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}
