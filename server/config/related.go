package config

import (
	"fmt"
	"strings"
)

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
	case c.Engine.MaxArriving < c.Engine.MaxHTTPBufferSize:
		return &Error{"engine.max_arriving", fmt.Sprintf("%d is less than engine.max_http_buffer_size (%d): one message could not arrive; allowed is at least that", c.Engine.MaxArriving, c.Engine.MaxHTTPBufferSize)}
	case len(c.Engine.Transports) == 0:
		return &Error{"engine.transports", "is empty: allowed are one or both of polling, websocket"}
	case c.Redis.URL == "" && c.Official.Adapter != "off":
		return &Error{"official.adapter", "is set, but redis.url is not: allowed is off, or any with a Redis"}
	case c.Redis.URL == "" && c.Official.Emitters:
		return &Error{"official.emitters", "is true, but redis.url is not set: allowed is true with a Redis"}
	case c.Auth.Mode == "token" && c.Auth.sources() == 0 && !strings.HasPrefix(c.Auth.Issuer, "https://") && !strings.HasPrefix(c.Auth.Issuer, "http://"):
		return &Error{"auth.mode", "is token, but nothing says whose: allowed is token with one of auth.secret, auth.secret_file and auth.keys, or with an auth.issuer whose address publishes its keys"}
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
