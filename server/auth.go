package main

import (
	"bytes"
	"log/slog"
	"os"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/config"
	"github.com/antchat/antchat/server/identity"
)

// tokens is nil in open mode.
func tokens(c *config.Config, logger *slog.Logger) (*identity.Tokens, error) {
	if c.Auth.Mode != "token" {
		return nil, nil
	}
	o := identity.Options{
		Secret: []byte(c.Auth.Secret), Keys: c.Auth.Keys, Refresh: c.Auth.KeysRefresh, Interval: c.Auth.KeysInterval,
		Issuer: c.Auth.Issuer, Audience: c.Auth.Audience, Leeway: c.Auth.Leeway,
		UserClaim: c.Auth.UserClaim, NameClaim: c.Auth.NameClaim, Discover: c.Auth.Discovers(),
		Failed: func(err error) { logger.Warn("keys of tokens not fetched", "err", err) },
	}
	key := "auth.keys"
	if o.Discover {
		key = "auth.issuer"
	}
	if c.Auth.SecretFile != "" {
		key = "auth.secret_file"
		secret, err := os.ReadFile(c.Auth.SecretFile)
		if err != nil {
			return nil, c.Refuse(key, err.Error())
		}
		o.Secret = bytes.TrimSpace(secret)
	}
	t, err := identity.New(o)
	if err != nil {
		return nil, c.Refuse(key, err.Error())
	}
	if len(o.Secret) == 0 && len(o.Audience) == 0 {
		// The keys are the issuer's, and sign for all of its applications: Firebase's
		// even for those of other people.
		logger.Warn("auth.audience is not set: tokens that the issuer made for other applications are taken too")
	}
	return t, nil
}

// rules are those of the settings.
func rules(c *config.Config) (*chat.Rules, error) {
	var list []chat.Rule
	for _, r := range c.Rooms.Rules {
		list = append(list, chat.Rule{Pattern: r.Pattern, Read: r.Read, Write: r.Write, Moderate: r.Moderate})
	}
	made, err := chat.NewRules(list)
	if err != nil {
		return nil, c.Refuse("rooms.rules", err.Error())
	}
	return made, nil
}

// limits are what clients may make.
func limits(c *config.Config) chat.Limits {
	l := c.Limits
	return chat.Limits{
		NameCharacters: l.NameCharacters, NameBytes: 4 * l.NameCharacters,
		RoomCharacters: l.RoomCharacters, RoomBytes: 4 * l.RoomCharacters,
		TextCharacters: l.MessageCharacters, TextBytes: l.MessageBytes,
		HistoryDefault: l.HistoryDefault, HistoryMax: l.HistoryMax,
		PeopleListed: l.PeopleListed, RoomsListed: l.RoomsListed, RoomsPerSocket: l.RoomsPerSocket, RoomsPerUser: l.RoomsPerUser,
		AnnounceMax: c.Presence.AnnounceMax, LogAge: c.Log.MaxAge,
	}
}

// fairness is how much clients may ask for.
func fairness(c *config.Config) chatapi.Fairness {
	f := c.Fairness
	shared := c.Redis.URL != "" // one node knows all there is
	if f.Mode == "off" {
		return chatapi.Fairness{Shared: shared}
	}
	buckets := func(b config.Buckets) chatapi.Buckets {
		return chatapi.Buckets{Socket: chatapi.Bucket(b.Socket), User: chatapi.Bucket(b.User), Address: chatapi.Bucket(b.Address)}
	}
	return chatapi.Fairness{
		Connects: buckets(f.Connects), Messages: buckets(f.Messages), Relays: buckets(f.Relays), Joins: buckets(f.Joins),
		Reads: buckets(f.Reads), Typing: buckets(f.Typing), Rooms: buckets(f.Rooms), Directs: buckets(f.Directs),
		ConnectWait: f.ConnectsWait,
		Refusals:    chatapi.Bucket(f.Refusals),
		Shared:      shared,
	}
}

func (p *program) chatOptions(rules *chat.Rules) chatapi.Options {
	c := p.config
	o := chatapi.Options{
		Limits:       limits(c),
		Fairness:     fairness(c),
		KickMemory:   c.Recovery.Window,
		Rules:        rules,
		RelayEvents:  c.Relay.Events,
		TokenWarning: c.Auth.Warning,
		TokenLeeway:  c.Auth.Leeway,
		Logger:       p.logger,
	}
	if p.tokens != nil { // a nil *Tokens would be no nil Authenticator
		o.Authenticator = p.tokens
	}
	return o
}
