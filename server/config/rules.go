package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// RoomRule is one of rooms.rules: who may do what in rooms of a pattern. Package
// chat says what the terms may be.
type RoomRule struct {
	Pattern  string `json:"pattern"`
	Read     Terms  `json:"read,omitempty"`
	Write    Terms  `json:"write,omitempty"`
	Moderate Terms  `json:"moderate,omitempty"`
}

// Terms are a list, of which a single element may stand alone.
type Terms []string

// UnmarshalJSON takes a text as a list of one.
func (t *Terms) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = Terms{one}
		return nil
	}
	var list []string
	err := json.Unmarshal(b, &list)
	*t = list
	return err
}

// parseRules reads rules in JSON: what a file's list becomes, and what flags and
// the environment hold.
func parseRules(text string) ([]RoomRule, error) {
	if text == "" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	var rules []RoomRule
	if err := d.Decode(&rules); err != nil {
		return nil, errors.New(allowedRules)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New(allowedRules)
	}
	if len(rules) > maxElements {
		return nil, fmt.Errorf("at most %d rules", maxElements)
	}
	return rules, nil
}

const allowedRules = "a list of rules, each with a pattern and the lists read, write and moderate (in the environment and in flags: in JSON)"

// showRules writes what parseRules reads.
func showRules(rules []RoomRule) string {
	if len(rules) == 0 {
		return ""
	}
	b, err := json.Marshal(rules)
	if err != nil {
		panic(err) // texts
	}
	return string(b)
}
