package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/antchat/antchat/docs"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/httpapi"
)

// openAPI makes the HTTP API. There is none, and nil, without keys.
func (p *program) openAPI() (http.Handler, error) {
	c := &p.config.API
	if !c.On() {
		return nil, nil
	}
	o := httpapi.Options{
		Claim: c.Claim, MaxBody: c.MaxBody, MaxBatch: c.MaxBatch,
		Rate: c.Rate.Rate, Burst: c.Rate.Burst, BodyTimeout: p.config.HTTP.BodyTimeout,
		Address: func(r *http.Request) string { return engineio.ClientAddress(r, p.config.HTTP.TrustedProxies) },
		OpenAPI: docs.OpenAPI, Logger: p.logger, Hooks: p.metrics.API(),
	}
	if c.Rate.Rate == 0 { // off
		o.Rate, o.Burst = httpapi.NoRate, httpapi.NoRate
	}
	for _, k := range c.Keys {
		key := httpapi.Key{Name: k.Name, Hash: k.Hash, Scopes: k.Scopes}
		if k.Rooms != nil { // an empty list is no room
			key.Rooms = []httpapi.KeyRooms{}
		}
		for _, r := range k.Rooms {
			key.Rooms = append(key.Rooms, httpapi.KeyRooms{Pattern: r.Pattern, Rights: r.Rights})
		}
		o.Keys = append(o.Keys, key)
	}
	if c.Claim != "" {
		o.Tokens, o.TokenLeeway = p.tokens, p.config.Auth.Leeway
	}
	api, err := httpapi.New(p.chat, o)
	if err != nil {
		return nil, p.config.Refuse("api.keys", err.Error())
	}
	p.api = api
	return api, nil
}

// newKey makes a key. Its text is shown here and kept nowhere.
func newKey(w io.Writer) error {
	text, hash := httpapi.NewKey()
	_, err := fmt.Fprintf(w, `key (shown this once, for the back end):
  %s
setting api.keys (choose name and scopes):
  - {name: worker, hash: %s, scopes: [read, write]}
or in the environment, before the server's command:
  ANTCHAT_API_KEYS='[{"name":"worker","hash":"%s","scopes":["read","write"]}]'
`, text, hash, hash)
	return err
}
