package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Webhooks are addresses that are told what happens.
type Webhooks struct {
	Hooks []Webhook // secret
	Queue int
}

// Webhook is one of webhooks.hooks. Package webhook says what the fields may be.
type Webhook struct {
	URL    string `json:"url"`
	Secret string `json:"secret"`
	Events Terms  `json:"events"`
}

const (
	allowedHooks = "a list of hooks, each with a url, a secret of at least 16 bytes, and events of message, join, leave (in the environment and in flags: in JSON)"
	maxHooks     = 20
)

// parseHooks reads hooks in JSON: what a file's list becomes, and what flags and
// the environment hold.
func parseHooks(text string) ([]Webhook, error) {
	if text == "" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	var hooks []Webhook
	if err := d.Decode(&hooks); err != nil {
		return nil, errors.New(allowedHooks)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New(allowedHooks)
	}
	if len(hooks) > maxHooks {
		return nil, fmt.Errorf("at most %d hooks", maxHooks)
	}
	return hooks, nil
}

// showHooks writes what parseHooks reads.
func showHooks(hooks []Webhook) string {
	if len(hooks) == 0 {
		return ""
	}
	b, err := json.Marshal(hooks)
	if err != nil {
		panic(err) // texts
	}
	return string(b)
}
