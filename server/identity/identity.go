package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Errors that callers branch on; what is wrapped around them is for the
// operator, not for the client.
var (
	// ErrInvalid: no token of ours: malformed, not signed by a known key, from
	// another issuer or for another audience, not valid yet, or without a user.
	ErrInvalid = errors.New("identity: token refused")
	// ErrExpired: the token was good once.
	ErrExpired = errors.New("identity: token expired")
	// ErrUnavailable: the issuer's keys cannot be had at the moment, so nothing
	// can be said of the token.
	ErrUnavailable = errors.New("identity: keys unavailable")
)

// MaxToken bounds a token, in bytes.
const MaxToken = 8 << 10

// Authenticator tells who shows a token. Implementations are safe for
// concurrent use; the context bounds the wait for keys. Errors wrap
// [ErrInvalid], [ErrExpired] or [ErrUnavailable].
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Identity, error)
}

// Identity is whom a token speaks of, and for how long.
type Identity struct {
	// Subject is the issuer's name of the user ("sub"): stable, never empty.
	Subject string
	// Name is what the user is called, "" when the token does not say.
	Name string
	// Issued and Expires are in whole seconds; zero when the token does not say.
	Issued, Expires time.Time
	Claims          Claims
}

// Claims are what a token says, as encoding/json decodes an object with UseNumber:
// a number is a [json.Number], so that a long id keeps its last digits.
type Claims map[string]any

// UnmarshalJSON implements [json.Unmarshaler].
func (c *Claims) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode((*map[string]any)(c))
}

// Find is the claim of a name: the claim that is called so, or else the one that
// the name's parts lead to ("realm_access.roles"). ok is false when there is
// none.
func (c Claims) Find(name string) (value any, ok bool) {
	if value, ok = c[name]; ok {
		return value, true
	}
	var at any = map[string]any(c)
	for part := range strings.SplitSeq(name, ".") {
		object, isObject := at.(map[string]any)
		if !isObject {
			return nil, false
		}
		if at, ok = object[part]; !ok {
			return nil, false
		}
	}
	return at, true
}

// Text is a claim that is a string, "" when it is none.
func (c Claims) Text(name string) string {
	value, _ := c.Find(name)
	text, _ := value.(string)
	return text
}
