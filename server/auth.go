package main

import (
	"bytes"
	"os"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/config"
	"github.com/antchat/antchat/server/identity"
)

// tokens is nil in open mode.
func tokens(c *config.Config) (*identity.Tokens, error) {
	if c.Auth.Mode != "token" {
		return nil, nil
	}
	o := identity.Options{
		Secret: []byte(c.Auth.Secret), Keys: c.Auth.Keys, Refresh: c.Auth.KeysRefresh, Interval: c.Auth.KeysInterval,
		Issuer: c.Auth.Issuer, Audience: c.Auth.Audience, Leeway: c.Auth.Leeway,
		UserClaim: c.Auth.UserClaim, NameClaim: c.Auth.NameClaim,
	}
	key := "auth.keys"
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
	return t, nil
}

func (p *program) chatOptions() chatapi.Options {
	c := p.config
	o := chatapi.Options{
		Limits:       chat.Limits{AnnounceMax: c.Presence.AnnounceMax},
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
