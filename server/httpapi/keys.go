package httpapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/identity"
)

// Scope is a set of what a caller may ask for.
type Scope uint8

// The scopes. None has another one in it.
const (
	ScopeRead     Scope = 1 << iota // history, exports, rooms, members
	ScopeWrite                      // messages
	ScopeModerate                   // within rooms
	ScopeAdmin                      // the whole chat: bans, announcements
)

var scopeNames = []struct {
	name  string
	scope Scope
}{{"read", ScopeRead}, {"write", ScopeWrite}, {"moderate", ScopeModerate}, {"admin", ScopeAdmin}}

// String is the scopes' names.
func (s Scope) String() string {
	var names []string
	for _, one := range scopeNames {
		if s&one.scope != 0 {
			names = append(names, one.name)
		}
	}
	return strings.Join(names, ", ")
}

// parseScope reads one name; ok is false for what is none.
func parseScope(name string) (s Scope, ok bool) {
	for _, one := range scopeNames {
		if one.name == name {
			return one.scope, true
		}
	}
	return 0, false
}

// Key lets a back end in. Several may have one name: they are the same back end,
// whose old key goes out of use.
type Key struct {
	// Name is what people see as the sender.
	Name string
	// Hash is the SHA-256 of the key's text, in hexadecimal. A key is long and
	// random, so a plain hash tells nothing of it.
	Hash   string
	Scopes []string
	// Rooms, when not nil, are where the key may do what its scopes say: the first
	// one whose pattern fits a room's name decides, and a room that none fits is
	// closed to it. At most chat.MaxRules.
	Rooms []KeyRooms
}

// KeyRooms are rooms of a pattern (see [chat.Rule]), and what a key may do there:
// read, write and moderate, which has the other two in it; nothing when the list
// is empty. DirectRooms as the pattern are the key's own direct rooms, which no
// other pattern fits.
type KeyRooms struct {
	Pattern string   `json:"pattern"`
	Rights  []string `json:"rights"`
}

// DirectRooms is the pattern of a key's own direct rooms.
const DirectRooms = "@*"

// MaxKeys bounds the keys, each of which is compared at every request.
const MaxKeys = 100

// keyPrefix begins a key, so that one in the wrong place can be found.
const keyPrefix = "antchat_"

// maxCredential bounds what a caller shows, in bytes.
const maxCredential = identity.MaxToken

// NewKey makes a key's text and its hash.
func NewKey() (text, hash string) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	text = keyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(text))
	return text, hex.EncodeToString(sum[:])
}

// key is a checked Key.
type key struct {
	hash   [sha256.Size]byte
	caller *caller
}

// caller is who asks.
type caller struct {
	name    string // of its bucket
	backend *chatapi.Backend
	scopes  Scope
	expires time.Time // of a token; zero for a key
}

func (a *API) readKeys() error {
	if len(a.options.Keys) > MaxKeys {
		return fmt.Errorf("at most %d keys", MaxKeys)
	}
	for i, k := range a.options.Keys {
		raw, err := hex.DecodeString(k.Hash)
		if err != nil || len(raw) != sha256.Size {
			return fmt.Errorf("key %d: the hash must be a SHA-256 in hexadecimal, as antchat apikey writes it", i+1)
		}
		made := key{hash: [sha256.Size]byte(raw), caller: &caller{name: "key " + k.Name}}
		if slices.ContainsFunc(a.keys, func(other key) bool { return other.hash == made.hash }) {
			return fmt.Errorf("key %d: the hash is another key's as well", i+1)
		}
		if made.caller.scopes, err = parseScopes(k.Scopes); err != nil || made.caller.scopes == 0 {
			return fmt.Errorf("key %d: scopes are one or more of read, write, moderate, admin", i+1)
		}
		if made.caller.backend, err = a.chat.Backend(k.Name, k.Name); err != nil {
			return fmt.Errorf("key %d: the name is seen by people: %w", i+1, err)
		}
		if k.Rooms != nil {
			if made.caller.scopes&ScopeAdmin != 0 {
				return fmt.Errorf("key %d: admin is for the whole chat: a key with rooms cannot have it", i+1)
			}
			rooms, err := backendRooms(k.Rooms)
			if err != nil {
				return fmt.Errorf("key %d: rooms: %w", i+1, err)
			}
			made.caller.backend = made.caller.backend.Within(rooms)
		}
		a.keys = append(a.keys, made)
	}
	return nil
}

// backendRooms makes rules of a key's rooms.
func backendRooms(list []KeyRooms) (rooms chatapi.BackendRooms, err error) {
	var rules []chat.Rule
	direct := false
	for i, one := range list {
		rights, err := parseRights(one.Rights)
		switch {
		case err != nil:
			return rooms, fmt.Errorf("%d (%q): %w", i+1, one.Pattern, err)
		case one.Pattern == DirectRooms && direct:
			return rooms, fmt.Errorf("%d (%q): is there twice", i+1, one.Pattern)
		case one.Pattern == DirectRooms:
			rooms.Direct, direct = rights, true
			continue
		}
		rule := chat.Rule{Pattern: one.Pattern}
		for _, of := range []struct {
			right chat.Rights
			list  *[]string
		}{{chat.Read, &rule.Read}, {chat.Write, &rule.Write}, {chat.Moderate, &rule.Moderate}} {
			if rights.May(of.right) {
				*of.list = []string{"everyone"}
			}
		}
		rules = append(rules, rule)
	}
	if rules != nil { // no rules would be every room
		rooms.Rules, err = chat.NewRules(rules)
	}
	return rooms, err
}

func parseRights(names []string) (rights chat.Rights, err error) {
	if names == nil {
		return 0, errors.New("rights are missing: a list of read, write, moderate, which may be empty")
	}
	for _, name := range names {
		switch name {
		case "read":
			rights |= chat.Read
		case "write":
			rights |= chat.Write
		case "moderate":
			rights |= chat.Read | chat.Write | chat.Moderate
		default:
			return 0, errors.New("rights are read, write, moderate")
		}
	}
	return rights, nil
}

func parseScopes(names []string) (all Scope, err error) {
	for _, name := range names {
		one, ok := parseScope(name)
		if !ok {
			return 0, errors.New("no scope")
		}
		all |= one
	}
	return all, nil
}

var errUnauthorized = failure{code: CodeUnauthorized, detail: "an API key is needed: Authorization: Bearer KEY"}

// admit says who asks. Whoever shows a key that is good is never made to wait for
// the attempts of others behind the same address.
func (a *API) admit(r *http.Request) (*caller, error) {
	shown := r.Header.Values("Authorization")
	credential := ""
	if len(shown) == 1 {
		if scheme, rest, _ := strings.Cut(shown[0], " "); strings.EqualFold(scheme, "Bearer") {
			credential = strings.TrimSpace(rest)
		}
	}
	if credential != "" && len(credential) <= maxCredential {
		sum := sha256.Sum256([]byte(credential))
		var found *caller
		for _, k := range a.keys { // all of them, each in the same time
			if subtle.ConstantTimeCompare(k.hash[:], sum[:]) == 1 {
				found = k.caller
			}
		}
		if found != nil {
			return found, nil
		}
	}
	network := chatapi.Network(a.options.Address(r))
	now := time.Now()
	if a.options.Tokens != nil && credential != "" && !strings.HasPrefix(credential, keyPrefix) {
		// Checking a signature costs more than a hash.
		if wait := a.attempts.empty(network, now); wait > 0 {
			return nil, failure{code: CodeRateLimited, detail: "too many refused attempts", retryAfter: wait}
		}
		c, err := a.bearer(r.Context(), credential)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, identity.ErrInvalid) && !errors.Is(err, identity.ErrExpired) {
			return nil, err
		}
		if wait := a.attempts.take(network, 1, now); wait > 0 {
			return nil, failure{code: CodeRateLimited, detail: "too many refused attempts", retryAfter: wait}
		}
		return nil, err
	}
	if wait := a.attempts.take(network, 1, now); wait > 0 {
		return nil, failure{code: CodeRateLimited, detail: "too many refused attempts", retryAfter: wait}
	}
	return nil, errUnauthorized
}

// bearer is whoever shows a token. As a sender it is a back end, and not the user
// whom the token speaks of.
func (a *API) bearer(ctx context.Context, token string) (*caller, error) {
	ctx, cancel := context.WithTimeout(ctx, a.options.Timeout)
	defer cancel()
	id, err := a.options.Tokens.Authenticate(ctx, token)
	if err != nil {
		return nil, err
	}
	c := &caller{name: "token " + id.Subject}
	if !id.Expires.IsZero() {
		c.expires = id.Expires.Add(a.options.TokenLeeway)
	}
	value, _ := id.Claims.Find(a.options.Claim)
	var rooms *chatapi.BackendRooms
	if c.scopes, rooms, err = claimed(value); err != nil {
		return nil, failure{code: CodeScopeMissing, detail: "the token's claim " + a.options.Claim + ": " + err.Error()}
	}
	if c.scopes == 0 {
		return nil, failure{code: CodeScopeMissing, detail: "the token has no scope here"}
	}
	if err := a.chat.Barred(ctx, id.Subject); err != nil {
		return nil, err
	}
	c.backend, err = a.chat.Backend("token\x00"+id.Subject, id.Name)
	if err != nil { // a name that nobody may have
		c.backend, err = a.chat.Backend("token\x00"+id.Subject, "API")
	}
	if err == nil && rooms != nil {
		c.backend = c.backend.Within(*rooms)
	}
	return c, err
}

// claimed reads a token's claim: its scopes or, as an object, its scopes and its
// rooms, in the form of a key's. An object without rooms is refused, as is what is
// wrong in them: a slip must not open every room. No rooms are all.
func claimed(value any) (scopes Scope, rooms *chatapi.BackendRooms, err error) {
	object, limited := value.(map[string]any)
	if !limited {
		return claimedScopes(value), nil, nil
	}
	var list []KeyRooms
	text, err := json.Marshal(object["rooms"])
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil || list == nil {
		return 0, nil, errors.New("rooms are a list of objects with pattern and rights")
	}
	if scopes = claimedScopes(object["scopes"]); scopes&ScopeAdmin != 0 {
		return 0, nil, errors.New("admin is for the whole chat: not with rooms")
	}
	within, err := backendRooms(list)
	if err != nil {
		return 0, nil, fmt.Errorf("rooms: %w", err)
	}
	return scopes, &within, nil
}

// claimedScopes are those in a list of texts, or in one text with spaces between.
// What is none is another API's.
func claimedScopes(value any) (scopes Scope) {
	switch value := value.(type) {
	case string:
		for _, name := range strings.Fields(value) {
			one, _ := parseScope(name)
			scopes |= one
		}
	case []any:
		for _, name := range value {
			text, _ := name.(string)
			one, _ := parseScope(text)
			scopes |= one
		}
	}
	return scopes
}
