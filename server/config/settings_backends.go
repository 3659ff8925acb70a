package config

import (
	"fmt"
	"slices"
	"strings"
)

// backendSettings are what joins the chat to an operator's own programs.
var backendSettings = []*setting{
	{key: "relay.events", field: func(c *Config) any { return &c.Relay.Events }, check: checkEvent,
		about: "Names of events of your own that are passed on, unlogged, to the room in their first argument."},

	{key: "api.keys", field: func(c *Config) any { return &c.API.Keys }, secret: true,
		about: "Keys of back ends, at most 100, each with name (what people see as the sender), hash, scopes (read, write, moderate, admin) and, to be good in some rooms only, rooms (docs/http-api.md); antchat apikey makes one. Several may have one name while a new one takes the old one's place. Without keys and api.claim there is no API."},
	{key: "api.claim", field: func(c *Config) any { return &c.API.Claim }, check: checkLine,
		about: "Claim of a token (auth.mode token) with the scopes that it has in the API: a list, or a text with spaces between, or an object with scopes and rooms (docs/http-api.md); empty means that tokens have none."},
	{key: "api.max_body", field: func(c *Config) any { return &c.API.MaxBody }, initial: "1048576", least: "1024", most: "104857600", unit: "bytes",
		about: "Limit of a request's body."},
	{key: "api.max_batch", field: func(c *Config) any { return &c.API.MaxBatch }, initial: "100", least: "1", most: "1000", unit: "messages",
		about: "Most messages of one request."},
	{key: "api.rate", field: func(c *Config) any { return &c.API.Rate }, initial: "500/s burst 2000",
		about: "Requests per name of a key, or per token's user, on a node; each message of a batch, and each page of an export, counts as one: a rate, and how many at once."},

	{key: "webhooks.hooks", field: func(c *Config) any { return &c.Webhooks.Hooks }, secret: true,
		about: "Addresses, at most 20, that are told of events by a signed POST (docs/http-api.md), each with url, secret (at least 16 bytes) and events of message, join, leave."},
	{key: "webhooks.queue", field: func(c *Config) any { return &c.Webhooks.Queue }, initial: "1000", least: "1", most: "100000", unit: "events",
		about: "What may wait for one address on a node; what comes beyond it is dropped and counted."},
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
