package config

import (
	"fmt"
	"net/url"
	"strings"
)

// peopleSettings are who may do what, and how much of it.
var peopleSettings = []*setting{
	{key: "auth.mode", field: func(c *Config) any { return &c.Auth.Mode }, initial: "open", allowed: []string{"open", "token"},
		about: "open: everybody may connect, under a name of their choice. token: only with a JWT, which says who it is; one of auth.secret, auth.secret_file and auth.keys is then needed, or an auth.issuer that publishes its keys."},
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
		about: "What a token's iss must be; empty means anything. Where none of auth.secret, auth.secret_file and auth.keys is set it is an address, and its /.well-known/openid-configuration says where the keys are."},
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
	{key: "limits.rooms_per_user", field: func(c *Config) any { return &c.Limits.RoomsPerUser }, initial: "200", least: "1", most: "100000", unit: "rooms",
		about: "Most rooms that all sockets of a user may be in together, on all nodes, the lobby aside. With Redis a user of several nodes may be in a twentieth more for each."},

	{key: "fairness.mode", field: func(c *Config) any { return &c.Fairness.Mode }, initial: "on", allowed: []string{"on", "off"},
		about: "off lets clients ask for as much as they like."},
	{key: "fairness.connects_user", field: func(c *Config) any { return &c.Fairness.Connects.User }, initial: "20/s burst 200",
		about: "CONNECTs per user, on all nodes together: a rate, and how many at once."},
	{key: "fairness.connects_address", field: func(c *Config) any { return &c.Fairness.Connects.Address }, initial: "1000/s burst 20000",
		about: "CONNECTs per address (per /64 of IPv6) and node: a rate, and how many at once."},
	{key: "fairness.connects_wait", field: func(c *Config) any { return &c.Fairness.ConnectsWait }, initial: "10s", least: "0", most: "30s",
		about: "How long a CONNECT beyond these may wait for its turn. The connection of one that would wait longer is closed, and its client comes back by itself."},
	{key: "fairness.messages_socket", field: func(c *Config) any { return &c.Fairness.Messages.Socket }, initial: "10/s burst 500",
		about: "Messages and what moderators do per socket: a rate, and how many at once."},
	{key: "fairness.messages_user", field: func(c *Config) any { return &c.Fairness.Messages.User }, initial: "20/s burst 1000",
		about: "Messages and what moderators do per user, on all nodes together: a rate, and how many at once."},
	{key: "fairness.messages_address", field: func(c *Config) any { return &c.Fairness.Messages.Address }, initial: "5000/s burst 20000",
		about: "Messages and what moderators do per address (per /64 of IPv6) and node: a rate, and how many at once."},
	{key: "fairness.relays_socket", field: func(c *Config) any { return &c.Fairness.Relays.Socket }, initial: "50/s burst 500",
		about: "Relayed events (relay.events) per socket: a rate, and how many at once."},
	{key: "fairness.relays_user", field: func(c *Config) any { return &c.Fairness.Relays.User }, initial: "100/s burst 1000",
		about: "Relayed events (relay.events) per user, on all nodes together: a rate, and how many at once."},
	{key: "fairness.relays_address", field: func(c *Config) any { return &c.Fairness.Relays.Address }, initial: "5000/s burst 20000",
		about: "Relayed events (relay.events) per address (per /64 of IPv6) and node: a rate, and how many at once."},
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
	{key: "fairness.directs_user", field: func(c *Config) any { return &c.Fairness.Directs.User }, initial: "1/m burst 100",
		about: "Joins of direct rooms without messages per user, on all nodes together: a rate, and how many at once."},
	{key: "fairness.directs_address", field: func(c *Config) any { return &c.Fairness.Directs.Address }, initial: "20/h burst 50",
		about: "Joins of direct rooms without messages per address (per /64 of IPv6) and node with one and the same person: a rate, and how many at once. Who takes a new name, or none, to write to somebody again is bounded by it."},
	{key: "fairness.refusals_socket", field: func(c *Config) any { return &c.Fairness.Refusals }, initial: "100/s burst 500",
		about: "Requests beyond a bucket that are refused per socket: a rate, and how many at once. Of a client that asks for more, no more is read until then."},
}

// Discovers says whether the issuer is asked where its keys are.
func (a *Auth) Discovers() bool { return a.Mode == "token" && a.sources() == 0 }

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
