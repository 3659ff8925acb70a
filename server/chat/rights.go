package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Rights are what somebody may do in a room.
type Rights uint8

// The rights. Whoever moderates may read and write too.
const (
	Read Rights = 1 << iota // join, history, who is there
	Write
	Moderate

	None = Rights(0)
)

// May says whether r holds all of what is asked for.
func (r Rights) May(what Rights) bool { return r&what == what }

// Holder is whoever asks for something.
type Holder struct {
	// User is the chat's own id.
	User string
	// Subject is the issuer's name of the user, "" for somebody without a token.
	Subject string
	// Claims are what rules may ask of a token, as [Rules.Claims] made them.
	Claims Claims
}

// Claims are values of a token by the claim's name. A claim that is there
// without being a text, a number, true, or a list of such has no values.
type Claims map[string][]string

// Limits of rules, and of what is kept of a token for them.
const (
	MaxRules    = 1000
	maxPattern  = 256
	maxStars    = 4
	maxTerms    = 100
	maxTerm     = 512
	maxValues   = 1000
	maxClaimLen = 256
)

// Rule says who may do what in the rooms whose names a pattern matches.
type Rule struct {
	// Pattern is a room's name, in which * stands for any characters, also none.
	Pattern string `json:"pattern"`
	// Each list says who has the right: whoever one of its terms fits.
	//
	//	everyone              also without a token
	//	signed-in             everybody with a token
	//	user=SUBJECT          that user
	//	claim:NAME            whose token has that claim, other than false or empty
	//	claim:NAME=VALUE      whose claim has that value, or has it in its list
	//
	// In SUBJECT and VALUE {1} stands for what the pattern's first * matched, and
	// so on. An empty list is nobody.
	Read     []string `json:"read,omitempty"`
	Write    []string `json:"write,omitempty"`
	Moderate []string `json:"moderate,omitempty"`
}

// Rules decide on rooms. The first whose pattern matches a room decides; a room
// that no pattern matches is nobody's. Without any rule everybody may read and
// write everywhere. Immutable and safe for concurrent use.
type Rules struct {
	rules []rule
	names []string // of the claims asked for
}

type rule struct {
	pattern []string // what stands between the stars
	terms   [3][]term
}

// rightsOf are the rights of a rule's lists, in their order. A moderator has all.
var rightsOf = [3]Rights{Read, Write, Read | Write | Moderate}

type term struct {
	kind  termKind
	name  string
	value string
}

type termKind uint8

const (
	termEveryone termKind = iota
	termSignedIn
	termUser
	termClaim
	termClaimValue
)

// NewRules checks and prepares rules. The error says which, and what is allowed.
func NewRules(list []Rule) (*Rules, error) {
	if len(list) > MaxRules {
		return nil, fmt.Errorf("at most %d rules", MaxRules)
	}
	r := &Rules{}
	for i, one := range list {
		made, err := r.prepare(one)
		if err != nil {
			return nil, fmt.Errorf("rule %d (%q): %w", i+1, one.Pattern, err)
		}
		r.rules = append(r.rules, made)
	}
	return r, nil
}

func (r *Rules) prepare(one Rule) (rule, error) {
	made := rule{pattern: strings.Split(one.Pattern, "*")}
	switch {
	case one.Pattern == "" || len(one.Pattern) > maxPattern:
		return rule{}, fmt.Errorf("a pattern has 1 to %d bytes", maxPattern)
	case len(made.pattern)-1 > maxStars:
		return rule{}, fmt.Errorf("a pattern has at most %d stars", maxStars)
	case strings.HasPrefix(one.Pattern, directPrefix):
		return rule{}, errors.New("rooms that begin with @ are between two people, and theirs alone")
	}
	for right, list := range [3][]string{one.Read, one.Write, one.Moderate} {
		if len(list) > maxTerms {
			return rule{}, fmt.Errorf("a list has at most %d terms", maxTerms)
		}
		for _, text := range list {
			t, err := parseTerm(text, len(made.pattern)-1)
			if err != nil {
				return rule{}, err
			}
			if t.name != "" {
				r.names = append(r.names, t.name)
			}
			made.terms[right] = append(made.terms[right], t)
		}
	}
	return made, nil
}

func parseTerm(text string, stars int) (t term, err error) {
	bad := fmt.Errorf("%q is none of everyone, signed-in, user=SUBJECT, claim:NAME, claim:NAME=VALUE", text)
	if len(text) > maxTerm {
		return t, fmt.Errorf("a term has at most %d bytes", maxTerm)
	}
	switch {
	case text == "everyone":
		return term{kind: termEveryone}, nil
	case text == "signed-in":
		return term{kind: termSignedIn}, nil
	case strings.HasPrefix(text, "user="):
		t = term{kind: termUser, value: strings.TrimPrefix(text, "user=")}
		if t.value == "" {
			return t, bad
		}
	case strings.HasPrefix(text, "claim:"):
		name, value, valued := strings.Cut(strings.TrimPrefix(text, "claim:"), "=")
		t = term{kind: termClaim, name: name, value: value}
		if valued {
			t.kind = termClaimValue
		}
		if name == "" || valued && value == "" {
			return t, bad
		}
	default:
		return t, bad
	}
	// What a star matched is put in where it says so, and nowhere else.
	for rest := t.value; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return t, nil
		}
		number, tail, closed := strings.Cut(after, "}")
		if !closed || len(number) != 1 || number[0] < '1' || int(number[0]-'0') > stars {
			return t, fmt.Errorf("%q names a star that the pattern does not have: {1} is the first of %d", text, stars)
		}
		rest = tail
	}
}

// Of is what somebody may do in a room, whose name is normal (see [Limits.Room]).
func (r *Rules) Of(h Holder, room string) Rights {
	if direct, ok := parseDirect(room); ok {
		if direct.has(PublicID(h.User)) {
			return Read | Write
		}
		return None
	}
	if len(r.rules) == 0 {
		return Read | Write
	}
	for _, one := range r.rules {
		stars, ok := match(one.pattern, room)
		if !ok {
			continue
		}
		rights := None
		for i, terms := range one.terms {
			if anyFits(terms, h, stars) {
				rights |= rightsOf[i]
			}
		}
		return rights
	}
	return None
}

func anyFits(terms []term, h Holder, stars []string) bool {
	for _, t := range terms {
		if t.fits(h, stars) {
			return true
		}
	}
	return false
}

func (t term) fits(h Holder, stars []string) bool {
	switch t.kind {
	case termEveryone:
		return true
	case termSignedIn:
		return h.Subject != ""
	case termUser:
		return h.Subject != "" && h.Subject == t.filled(stars)
	case termClaim:
		_, ok := h.Claims[t.name]
		return ok
	}
	want := t.filled(stars)
	for _, value := range h.Claims[t.name] {
		if value == want {
			return true
		}
	}
	return false
}

// filled is the term's value with what the stars matched.
func (t term) filled(stars []string) string {
	if len(stars) == 0 || !strings.Contains(t.value, "{") {
		return t.value
	}
	pairs := make([]string, 0, 2*maxStars)
	for i, s := range stars {
		pairs = append(pairs, "{"+string(rune('1'+i))+"}", s)
	}
	return strings.NewReplacer(pairs...).Replace(t.value)
}

// match says whether a name is what a pattern's parts leave open, and what its
// stars stand for: each takes as little as it can.
func match(parts []string, name string) (stars []string, ok bool) {
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok || len(parts) == 1 {
		return nil, ok && rest == ""
	}
	middle, last := parts[1:len(parts)-1], parts[len(parts)-1]
	for _, part := range middle {
		before, after, found := strings.Cut(rest, part)
		if !found {
			return nil, false
		}
		stars, rest = append(stars, before), after
	}
	before, ok := strings.CutSuffix(rest, last)
	return append(stars, before), ok
}

// Claims picks out of a token what the rules ask for. find is the token's claim
// of a name. Values beyond 1,000, or longer than 256 bytes, are left out.
func (r *Rules) Claims(find func(name string) (any, bool)) Claims {
	var claims Claims
	for _, name := range r.names {
		value, ok := find(name)
		if !ok || empty(value) {
			continue
		}
		if claims == nil {
			claims = make(Claims)
		}
		if _, done := claims[name]; !done {
			claims[name] = values(value)
		}
	}
	return claims
}

// empty says that a claim says nothing: an issuer may write no roles as [].
func empty(v any) bool {
	list, isList := v.([]any)
	return v == nil || v == false || v == "" || isList && len(list) == 0
}

func values(v any) []string {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	var out []string
	for _, one := range list {
		text := ""
		switch one := one.(type) {
		case string:
			text = one
		case json.Number:
			text = one.String()
		case float64:
			text = strconv.FormatFloat(one, 'f', -1, 64)
		case bool:
			text = fmt.Sprintf("%v", one)
		default:
			continue
		}
		if len(text) <= maxClaimLen && len(out) < maxValues {
			out = append(out, text)
		}
	}
	return out
}
