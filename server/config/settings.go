package config

import (
	"slices"
	"strings"
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

// settings is the table, in the order of sections.
var settings = slices.Concat(connectionSettings, storageSettings, peopleSettings, backendSettings, operationSettings, fleetSettings)

// find returns the setting of a key, nil if there is none.
func find(key string) *setting {
	i := slices.IndexFunc(settings, func(s *setting) bool { return s.key == key })
	if i < 0 {
		return nil
	}
	return settings[i]
}
