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

// APIKey is one of api.keys. Package httpapi says what the fields may be.
type APIKey struct {
	Name   string `json:"name"`
	Hash   string `json:"hash"`
	Scopes Terms  `json:"scopes"`
	// Rooms, when not nil, are where the key is good for something.
	Rooms KeyRoomList `json:"rooms,omitzero"`
}

// KeyRooms are one of a key's rooms.
type KeyRooms struct {
	Pattern string `json:"pattern"`
	Rights  Terms  `json:"rights,omitzero"`
}

// KeyRoomList is nil only where nothing was said: an empty list, and a key without
// its value, are no room, and not every one.
type KeyRoomList []KeyRooms

// UnmarshalJSON implements [json.Unmarshaler].
func (l *KeyRoomList) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	list := KeyRoomList{}
	if err := d.Decode((*[]KeyRooms)(&list)); err != nil {
		return err
	}
	if *l = list; list == nil {
		*l = KeyRoomList{}
	}
	return nil
}

// Webhook is one of webhooks.hooks. Package webhook says what the fields may be.
type Webhook struct {
	URL    string `json:"url"`
	Secret string `json:"secret"`
	Events Terms  `json:"events"`
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

const inJSON = " (in the environment and in flags: in JSON)"

const (
	allowedRules = "a list of rules, each with a pattern and the lists read, write and moderate" + inJSON
	allowedKeys  = "a list of keys, each with a name, the hash that antchat apikey writes, scopes of read, write, moderate, admin, and, to be good in some rooms only, rooms with a pattern and rights" + inJSON
	allowedHooks = "a list of hooks, each with a url, a secret of at least 16 bytes, and events of message, join, leave" + inJSON

	maxKeys  = 100
	maxHooks = 20
)

// parseRecords reads a list of records in JSON: what a file's list becomes, and
// what flags and the environment hold.
func parseRecords[T any](text, allowed string, most int) ([]T, error) {
	if text == "" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	var list []T
	if err := d.Decode(&list); err != nil {
		return nil, errors.New(allowed)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New(allowed)
	}
	if len(list) > most {
		return nil, fmt.Errorf("at most %d of them", most)
	}
	return list, nil
}

// showRecords writes what parseRecords reads.
func showRecords[T any](list []T) string {
	if len(list) == 0 {
		return ""
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // texts
	}
	return string(b)
}
