package config

import "time"

// Config is every setting, checked. Main maps its groups to the options of the
// packages that they are for.
type Config struct {
	HTTP     HTTP
	CORS     CORS
	Engine   Engine
	SocketIO SocketIO
	Overload Overload
	Recovery Recovery
	Log      Log
	Dedupe   Dedupe
	Data     Data
	Presence Presence
	Auth     Auth
	Rooms    Rooms
	Limits   Limits
	Fairness Fairness
	Relay    Relay
	API      API
	Webhooks Webhooks
	Web      Web
	Logging  Logging
	Tracing  Tracing
	Admin    Admin
	Redis    Redis
	Official Official
	AdminUI  AdminUI
	Node     Node

	// CloudRun is what the platform says of itself; no setting.
	CloudRun CloudRun

	// origin says for each setting where its value came from.
	origin map[string]string
}

// CloudRun names what runs the process; zero elsewhere.
type CloudRun struct {
	Service, Revision string
}

// HTTP is the listener and the limits of plain HTTP.
type HTTP struct {
	Addr           string
	Port           int
	TrustedProxies int
	TLSCert        string
	TLSKey         string
	HeaderTimeout  time.Duration
	BodyTimeout    time.Duration
	IdleTimeout    time.Duration
	StopTimeout    time.Duration
	DrainWindow    time.Duration
	MaxHeaderBytes int
}

// CORS says which other origins' pages may connect.
type CORS struct {
	Origins []string
}

// Engine is the Engine.IO layer.
type Engine struct {
	Path                  string
	Transports            []string
	AllowRevision3        bool
	StrictRevision        bool
	PingInterval          time.Duration
	PingTimeout           time.Duration
	UpgradeTimeout        time.Duration
	ConnectTimeout        time.Duration
	PollHold              time.Duration
	WriteTimeout          time.Duration
	MaxAge                time.Duration // 0: none
	MaxAgeJitter          time.Duration
	MaxHTTPBufferSize     int64
	MaxPayloadPackets     int
	QueueBytes            int
	QueuePackets          int
	MaxArriving           int64
	MaxSessions           int
	MaxSessionsPerAddress int
	Cookie                string
	CookieSecure          bool
}

// Overload says from when on what is refused. Memory is in percent of the
// process's limit; 0 means that this is no reason.
type Overload struct {
	RetryAfter        time.Duration
	ConnectionsMemory int
	ConnectionsDelay  time.Duration
	EphemeralMemory   int
	EphemeralDelay    time.Duration
	ReadsMemory       int
	ReadsDelay        time.Duration
	WritesMemory      int
	WritesDelay       time.Duration
}

// SocketIO is the Socket.IO layer's limits per connection and per socket.
type SocketIO struct {
	AckTimeout     time.Duration
	MaxAttachments int
	MaxDepth       int
	MaxRooms       int
	MaxNamespaces  int
	MaxPendingAcks int
	MaxHeld        int
	Inbox          int
}

// Recovery is connection state recovery.
type Recovery struct {
	Window  time.Duration // 0: off
	Offsets string        // auto, always, never
}

// Log bounds each room's log.
type Log struct {
	MaxMessages int
	MaxAge      time.Duration
	MaxRooms    int
	AckReplicas int
}

// Dedupe is how long a message's own id is remembered.
type Dedupe struct {
	Window time.Duration
	MaxIDs int
}

// Data is where the embedded store lives.
type Data struct {
	Dir      string // "": memory only
	MaxBytes int64
}

// Presence is who is here, and how it is told.
type Presence struct {
	AnnounceMax int
	Grace       time.Duration
}

// Auth is who may connect.
type Auth struct {
	Mode         string // open, token
	Secret       string // secret
	SecretFile   string
	Keys         string // an address or a file
	KeysRefresh  time.Duration
	KeysInterval time.Duration
	Issuer       string
	Audience     []string
	UserClaim    string
	NameClaim    string
	Leeway       time.Duration
	Warning      time.Duration
}

// Rooms is who may do what where.
type Rooms struct {
	Rules []RoomRule
}

// Limits bound what clients make.
type Limits struct {
	NameCharacters    int
	RoomCharacters    int
	MessageCharacters int
	MessageBytes      int
	HistoryDefault    int
	HistoryMax        int
	PeopleListed      int
	RoomsListed       int
	RoomsPerSocket    int
	RoomsPerUser      int
}

// Buckets bound one kind of request per socket, user and address.
type Buckets struct{ Socket, User, Address Bucket }

// Fairness bounds what clients ask for.
type Fairness struct {
	Mode         string // on, off
	Connects     Buckets
	Messages     Buckets
	Relays       Buckets
	Joins        Buckets
	Reads        Buckets
	Typing       Buckets
	Rooms        Buckets
	Directs      Buckets
	Refusals     Bucket // per socket
	ConnectsWait time.Duration
}

// Relay names custom events that are passed on to the room in their first
// argument.
type Relay struct {
	Events []string
}

// API is the HTTP API for back ends: off without keys and claim.
type API struct {
	Keys     []APIKey // secret
	Claim    string
	MaxBody  int64
	MaxBatch int
	Rate     Bucket
}

// On says whether there is an API.
func (a *API) On() bool { return len(a.Keys) > 0 || a.Claim != "" }

// Webhooks are addresses that are told what happens.
type Webhooks struct {
	Hooks []Webhook // secret
	Queue int
}

// Web is the page.
type Web struct {
	Dir                   string // "": the embedded page
	ContentSecurityPolicy string // auto, off, or a policy
}

// Logging is what the process says about itself.
type Logging struct {
	Level        string // debug, info, warn, error
	Format       string // auto, text, json, cloud
	MaxPerSecond int    // lines of one kind; 0: no limit
	Project      string // of Google Cloud
}

// Tracing is where traces go.
type Tracing struct {
	URL     string // "": nowhere
	OneIn   int
	Headers []string // secret; name=value
}

// Admin is where an operator looks.
type Admin struct {
	Listen string // host:port; "": nowhere
}

// Redis is the fleet's store.
type Redis struct {
	URL    string // secret; "": one node with the embedded store
	Prefix string
	CAFile string
}

// Official is what the official Socket.IO packages publish on the same Redis.
type Official struct {
	Adapter           string // off, classic, sharded, sharded-static, sharded-dynamic-private
	Emitters          bool
	Prefix            string
	PythonChannel     string
	SpecificResponses bool
}

// AdminUI is the namespace of the official Admin UI.
type AdminUI struct {
	Enabled      bool
	Namespace    string
	Username     string
	PasswordHash string // secret: whoever has it can try passwords at home
	Token        string // secret
	Mode         string // production, development
	ReadOnly     bool
	Origins      []string
}

// Node names this process.
type Node struct {
	ID string // "": random at each start
}
