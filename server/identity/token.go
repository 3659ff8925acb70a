package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Options say whose tokens are taken. Exactly one of Secret, Keys and Discover is
// set.
type Options struct {
	// Secret is the key of tokens signed with HS256: at least MinSecret bytes.
	Secret []byte
	// Keys is where the issuer's public keys are, a JSON Web Key Set: an address
	// (https; http only where the network is trusted) or a file. Tokens are then
	// signed with RS256, ES256 or EdDSA, and with no other algorithm.
	Keys string
	// Discover: the keys are where the OpenID configuration of Issuer, an address,
	// says that they are (OpenID Connect Discovery 1.0).
	Discover bool
	// Issuer, when not empty, is what "iss" must be.
	Issuer string
	// Audience, when not empty: "aud" must hold one of these.
	Audience []string
	// Leeway is how far the issuer's clock may be from this one's. 0.
	Leeway time.Duration
	// UserClaim names the claim that says who it is, "sub" by default, and
	// NameClaim the one with the name that others see, "name" by default.
	UserClaim, NameClaim string
	// Refresh is after how long keys at an address are fetched anew. 1 h. Keys
	// that cannot be fetched are used on for a day.
	Refresh time.Duration
	// Interval is how often at most keys are fetched, whatever tokens say. 30 s.
	Interval time.Duration
	// Client fetches the keys; when it has none its Timeout is set to 10 s, and its
	// CheckRedirect to one that follows three and never leaves https. Nil: one of its
	// own.
	Client *http.Client
	// Failed is told when keys could not be fetched, also while those at hand are
	// used on. It may be nil, and must be fast.
	Failed func(error)
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

// MinSecret is the least length of Options.Secret in bytes: what HS256 can use
// (RFC 7518, 3.2).
const MinSecret = 32

// maxSubject bounds the user's name at its issuer, in bytes, which OpenID
// Connect Core ("ID Token") does too.
const maxSubject = 255

// Tokens authenticates JWTs. It implements [Authenticator].
type Tokens struct {
	options    Options
	algorithms []jose.SignatureAlgorithm
	keys       *keys // nil with a secret
}

// New checks the options. Keys in a file are read at once.
func New(o Options) (*Tokens, error) {
	if o.UserClaim == "" {
		o.UserClaim = "sub"
	}
	if o.NameClaim == "" {
		o.NameClaim = "name"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Tokens{options: o}
	switch {
	case o.Discover && (len(o.Secret) > 0 || o.Keys != "") || !o.Discover && (len(o.Secret) > 0) == (o.Keys != ""):
		return nil, errors.New("either a secret or keys are needed")
	case len(o.Secret) > 0:
		if len(o.Secret) < MinSecret {
			return nil, fmt.Errorf("the secret has %d bytes, at least %d are needed", len(o.Secret), MinSecret)
		}
		t.algorithms = []jose.SignatureAlgorithm{jose.HS256}
		return t, nil
	}
	t.algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}
	var err error
	t.keys, err = newKeys(o)
	return t, err
}

// Close ends a fetch of keys that is under way and waits for it. Nothing may be
// authenticated any more.
func (t *Tokens) Close() {
	if t.keys != nil {
		t.keys.cancel()
		t.keys.updates.Wait()
	}
}

// Authenticate implements [Authenticator].
func (t *Tokens) Authenticate(ctx context.Context, token string) (Identity, error) {
	if len(token) > MaxToken {
		return Identity{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalid, MaxToken)
	}
	// A token chooses its algorithm only among those that the settings allow,
	// which are never of both kinds: a public key is no secret (RFC 8725, 3.1).
	signed, err := jwt.ParseSigned(strings.TrimSpace(token), t.algorithms)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var registered jwt.Claims
	var claims Claims
	if err := t.verify(ctx, signed, &registered, &claims); err != nil {
		return Identity{}, err
	}
	return t.identity(&registered, claims)
}

// verify finds the key and decodes what it signs.
func (t *Tokens) verify(ctx context.Context, signed *jwt.JSONWebToken, dest ...any) error {
	if t.keys == nil {
		if err := signed.Claims(t.options.Secret, dest...); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return nil
	}
	header := signed.Headers[0] // ParseSigned lets exactly one through
	candidates, err := t.keys.find(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return err
	}
	err = errors.New("no key of that id and algorithm")
	for _, key := range candidates {
		if err = signed.Claims(key.Key, dest...); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrInvalid, err)
}

// identity checks what a signed token says.
func (t *Tokens) identity(registered *jwt.Claims, claims Claims) (Identity, error) {
	o := &t.options
	expected := jwt.Expected{Issuer: o.Issuer, AnyAudience: o.Audience, Time: o.Now()}
	switch err := registered.ValidateWithLeeway(expected, o.Leeway); {
	case errors.Is(err, jwt.ErrExpired):
		return Identity{}, fmt.Errorf("%w: %w", ErrExpired, err)
	case err != nil:
		return Identity{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	id := Identity{Subject: claims.Text(o.UserClaim), Name: claims.Text(o.NameClaim), Claims: claims}
	if id.Subject == "" || len(id.Subject) > maxSubject {
		return Identity{}, fmt.Errorf("%w: %s is not a text of 1 to %d bytes", ErrInvalid, o.UserClaim, maxSubject)
	}
	if registered.Expiry == nil {
		// A token without an end could only be taken back by hand.
		return Identity{}, fmt.Errorf("%w: without an expiry", ErrInvalid)
	}
	id.Expires = registered.Expiry.Time()
	if registered.IssuedAt != nil {
		id.Issued = registered.IssuedAt.Time()
	}
	return id, nil
}

// usable says whether a key may check a signature of an algorithm.
func usable(key jose.JSONWebKey, algorithm string) bool {
	if key.Use != "" && key.Use != "sig" || key.Algorithm != "" && key.Algorithm != algorithm {
		return false
	}
	return slices.Contains(algorithmsOf(key), algorithm)
}
