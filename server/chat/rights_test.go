package chat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustRules(t *testing.T, list ...Rule) *Rules {
	t.Helper()
	r, err := NewRules(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRights(t *testing.T) {
	everyone, signedIn := []string{"everyone"}, []string{"signed-in"}
	rules := mustRules(t,
		Rule{Pattern: "news", Read: everyone, Write: []string{"claim:role=editor", "user=boss"}},
		Rule{Pattern: "team-*", Read: []string{"claim:teams={1}"}, Write: []string{"claim:teams={1}"}, Moderate: []string{"claim:leads={1}"}},
		Rule{Pattern: "notes-*", Read: []string{"user={1}"}, Write: []string{"user={1}"}},
		Rule{Pattern: "game-*-side-*", Read: everyone, Write: []string{"claim:side={1}/{2}"}},
		Rule{Pattern: "flag", Read: []string{"claim:beta"}},
		Rule{Pattern: "closed"},
		Rule{Pattern: "team-*", Read: everyone}, // too late
		Rule{Pattern: "public-*", Read: everyone, Write: signedIn, Moderate: []string{"claim:realm.roles=admin"}},
	)
	guest := Holder{User: "c-guest"}
	ann := Holder{User: "t-ann", Subject: "ann"}
	with := func(claims Claims) Holder { return Holder{User: "t-x", Subject: "x", Claims: claims} }
	const rw, rwm = Read | Write, Read | Write | Moderate
	for _, c := range []struct {
		who  string
		h    Holder
		room string
		want Rights
	}{
		{"a guest", guest, "news", Read},
		{"an editor", with(Claims{"role": {"x", "editor"}}), "news", rw},
		{"another role", with(Claims{"role": {"editors"}}), "news", Read},
		{"the boss", Holder{User: "t-b", Subject: "boss"}, "news", rw},
		{"a guest", guest, "team-a", None},
		{"a member", with(Claims{"teams": {"a", "b"}}), "team-a", rw},
		{"a member of another team", with(Claims{"teams": {"b"}}), "team-a", None},
		{"a lead", with(Claims{"leads": {"a"}}), "team-a", rwm},
		{"a claim that looks like a star", with(Claims{"teams": {"{1}"}}), "team-a", None},
		{"a room that looks like a star", with(Claims{"teams": {"{1}"}}), "team-{1}", rw},
		{"a team of no name", with(Claims{"teams": {""}}), "team-", rw},
		{"the owner", ann, "notes-ann", rw},
		{"not the owner", ann, "notes-bob", None},
		{"a guest without a subject", guest, "notes-", None},
		{"a side", with(Claims{"side": {"7/red"}}), "game-7-side-red", rw},
		{"as little as it can", with(Claims{"side": {"7/red-side-blue"}}), "game-7-side-red-side-blue", rw},
		{"a tester", with(Claims{"beta": nil}), "flag", Read},
		{"no tester", with(Claims{"beta2": {"x"}}), "flag", None},
		{"anybody", with(Claims{"role": {"editor"}}), "closed", None},
		{"anybody", ann, "a room of no rule", None},
		{"signed in", ann, "public-x", rw},
		{"a guest", guest, "public-x", Read},
		{"an admin", with(Claims{"realm.roles": {"admin"}}), "public-x", rwm},
		{"upper case", ann, "PUBLIC-x", None},
	} {
		if got := rules.Of(c.h, c.room); got != c.want {
			t.Errorf("%s in %s: %03b, want %03b", c.who, c.room, got, c.want)
		}
	}
	if got := mustRules(t).Of(guest, "anything"); got != rw {
		t.Errorf("without rules %03b", got)
	}
}

// Whatever the rules, a direct room is for its two people alone.
func TestDirectRooms(t *testing.T) {
	l := Limits{}.withDefaults()
	a, b, other := Holder{User: "s-a"}, Holder{User: "t-b", Subject: "b", Claims: Claims{"admin": {"true"}}}, Holder{User: "t-c", Subject: "c", Claims: Claims{"admin": {"true"}}}
	room, err := l.RoomFor(a.User, "@"+PublicID(b.User))
	same, err2 := l.RoomFor(b.User, "@"+PublicID(a.User))
	if err != nil || err2 != nil || room != same || !IsDirect(room) {
		t.Fatal(room, same, err, err2)
	}
	if again, err := l.RoomFor(other.User, room); err != nil || again != room {
		t.Error(again, err)
	}
	for _, rules := range []*Rules{mustRules(t), mustRules(t, Rule{Pattern: "*", Read: []string{"everyone"}, Write: []string{"everyone"}, Moderate: []string{"claim:admin"}})} {
		if rules.Of(a, room) != Read|Write || rules.Of(b, room) != Read|Write || rules.Of(other, room) != None {
			t.Error("rights in a direct room")
		}
	}
	if Partner(room, a.User) != PublicID(b.User) || Partner(room, other.User) != "" || Partner("tea", a.User) != "" {
		t.Error("partner")
	}
	x, y := PublicID("x"), PublicID("y")
	if x > y {
		x, y = y, x
	}
	for _, bad := range []string{"@", "@x", "@" + x, "@" + y + "." + x, "@" + x + "." + x, "@" + x + "." + y + ".", "@" + x + "." + y[1:], "@" + x + "\u200d." + y} {
		if _, err := l.Room(bad); err == nil {
			t.Errorf("%q passes as a room", bad)
		}
	}
	if _, err := l.RoomFor(a.User, "@"+PublicID(a.User)); err == nil {
		t.Error("a room with oneself")
	}
}

func TestBadRules(t *testing.T) {
	term := func(s string) Rule { return Rule{Pattern: "a-*", Read: []string{s}} }
	for _, bad := range []Rule{
		{}, {Pattern: strings.Repeat("x", 257)}, {Pattern: "*****"}, {Pattern: "@*"},
		term(""), term("Everyone"), term("user="), term("claim:"), term("claim:=x"), term("claim:x="), term("role=x"),
		term("user={2}"), term("user={0}"), term("user={"), term("user={1"), term("user={11}"), term(strings.Repeat("x", 513)),
		{Pattern: "x", Read: slices.Repeat([]string{"everyone"}, 101)}, {Pattern: "x", Write: []string{"user={1}"}},
	} {
		if _, err := NewRules([]Rule{bad}); err == nil {
			t.Errorf("%.80v passed", bad)
		}
	}
	if _, err := NewRules(slices.Repeat([]Rule{{Pattern: "x"}}, MaxRules+1)); err == nil {
		t.Error("too many rules passed")
	}
}

func TestClaimsOfRules(t *testing.T) {
	r := mustRules(t, Rule{Pattern: "*", Read: []string{"claim:a", "claim:b=1", "claim:c=x", "claim:a=y"}})
	got := r.Claims(func(name string) (any, bool) {
		v, ok := map[string]any{"a": map[string]any{"x": 1}, "b": []any{1.0, true, "s", nil, strings.Repeat("x", 257), json.Number("9007199254740993"), 1234567.0}, "c": false, "d": "secret"}[name]
		return v, ok
	})
	if fmt.Sprint(got) != "map[a:[] b:[1 true s 9007199254740993 1234567]]" {
		t.Errorf("%v", got)
	}
	// What says nothing is as good as not there, also for a rule that asks for no value.
	for _, nothing := range []any{nil, false, "", []any{}} {
		if got := r.Claims(func(string) (any, bool) { return nothing, true }); got != nil {
			t.Errorf("%#v makes %v", nothing, got)
		}
	}
	if got := mustRules(t).Claims(nil); got != nil {
		t.Error(got)
	}
}

// A pattern's parts with the stars between them are the name again.
func TestMatchIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.StringOfN(rapid.RuneFrom([]rune("ab*")), 0, 12, -1)
		pattern, name := some.Draw(t, "pattern"), some.Draw(t, "name")
		parts := strings.Split(pattern, "*")
		stars, ok := match(parts, name)
		if !ok {
			return
		}
		again := parts[0]
		for i, s := range stars {
			again += s + parts[i+1]
		}
		if again != name {
			t.Fatalf("%q matches %q with %q", pattern, name, stars)
		}
	})
}
