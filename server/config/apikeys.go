package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

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

// APIKey is one of api.keys. Package httpapi says what the fields may be.
type APIKey struct {
	Name   string `json:"name"`
	Hash   string `json:"hash"`
	Scopes Terms  `json:"scopes"`
}

const (
	allowedKeys = "a list of keys, each with a name, the hash that antchat apikey writes, and scopes of read, write, moderate, admin (in the environment and in flags: in JSON)"
	maxKeys     = 100
)

// parseKeys reads keys in JSON: what a file's list becomes, and what flags and the
// environment hold.
func parseKeys(text string) ([]APIKey, error) {
	if text == "" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	var keys []APIKey
	if err := d.Decode(&keys); err != nil {
		return nil, errors.New(allowedKeys)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New(allowedKeys)
	}
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("at most %d keys", maxKeys)
	}
	return keys, nil
}

// showKeys writes what parseKeys reads.
func showKeys(keys []APIKey) string {
	if len(keys) == 0 {
		return ""
	}
	b, err := json.Marshal(keys)
	if err != nil {
		panic(err) // texts
	}
	return string(b)
}
