package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// fleetSettings are the nodes together, and those beside them.
var fleetSettings = []*setting{
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
