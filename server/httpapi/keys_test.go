package httpapi

import (
	"net/http"
	"slices"
	"testing"

	"github.com/antchat/antchat/server/chatapi"
)

// Attempts are told to wait, per network; who has a key never is, because of them.
func TestAttempts(t *testing.T) {
	f := newFixture(t, nil)
	guess := []string{"Authorization", "Bearer " + keyPrefix + "guess"}
	for range attemptsBurst {
		f.refused(f.do("GET", "/rooms", "", guess...), CodeUnauthorized)
	}
	f.refused(f.do("GET", "/rooms", "", guess...), CodeRateLimited)
	f.refused(f.do("GET", "/rooms", "", "Authorization", "Bearer bad"), CodeRateLimited)
	answer[RoomList](f, 200, f.do("GET", "/rooms", ""))
	f.from = "192.0.2.2"
	f.refused(f.do("GET", "/rooms", "", guess...), CodeUnauthorized)
	answer[RoomList](f, 200, f.do("GET", "/rooms", "", "Authorization", "bearer ann:read"))
}

func TestBadKeys(t *testing.T) {
	f := newFixture(t, nil)
	_, hash := NewKey()
	for name, k := range map[string][]Key{
		"hash":   {{Name: "x", Hash: "abc", Scopes: []string{"read"}}},
		"scope":  {{Name: "x", Hash: hash, Scopes: []string{"root"}}},
		"scopes": {{Name: "x", Hash: hash}},
		"name":   {{Name: "", Hash: hash, Scopes: []string{"read"}}},
		"twice":  {{Name: "x", Hash: hash, Scopes: []string{"read"}}, {Name: "y", Hash: hash, Scopes: []string{"read"}}},
	} {
		if _, err := New(f.chat, Options{Keys: k, Address: func(*http.Request) string { return "" }}); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// A key with rooms may do what its scopes say there, and nothing elsewhere.
func TestKeyRooms(t *testing.T) {
	limited, hash := NewKey()
	shut, shutHash := NewKey()
	direct, directHash := NewKey()
	all := []string{"read", "write", "moderate"}
	f := newFixture(t, func(o *Options) {
		o.Keys = append(o.Keys,
			Key{Name: "limited", Hash: hash, Scopes: all, Rooms: []KeyRooms{
				{"jobs-secret", []string{}}, {"jobs-*", []string{"read", "write"}}, {"news", []string{"read"}}, {"desk/*", []string{"moderate"}},
			}},
			Key{Name: "shut", Hash: shutHash, Scopes: all, Rooms: []KeyRooms{}},
			Key{Name: "direct", Hash: directHash, Scopes: []string{"read", "write"}, Rooms: []KeyRooms{{DirectRooms, []string{"write"}}}},
		)
	})
	for _, room := range []string{"jobs-1", "jobs-secret", "news", "desk%2F1", "other"} {
		answer[Stored](f, 201, f.do("POST", "/rooms/"+room+"/messages", `{"message":"x"}`))
	}
	for _, tt := range []struct {
		key, room             string
		read, write, moderate bool
	}{
		{limited, "jobs-1", true, true, false}, {limited, "jobs-new", true, true, false}, {limited, "jobs-secret", false, false, false},
		{limited, "news", true, false, false}, {limited, "desk%2F1", true, true, true}, {limited, "other", false, false, false},
		// What is the same room under another spelling is closed as well.
		{limited, "jobs%2Dsecret", false, false, false}, {limited, "%20jobs-secret%20", false, false, false},
		{limited, "@" + chatapi.UserOf("ann"), false, false, false},
		{shut, "jobs-1", false, false, false}, {shut, "@" + chatapi.UserOf("ann"), false, false, false},
		{direct, "jobs-1", false, false, false}, {direct, "@" + chatapi.UserOf("ann"), false, true, false},
	} {
		as := []string{"Authorization", "Bearer " + tt.key}
		room := "/rooms/" + tt.room
		held := func(may bool, method, path, body string) {
			t.Helper()
			w := f.do(method, room+path, body, as...)
			if may && w.Code/100 != 2 && w.Code != 404 || !may && w.Code != 403 {
				t.Errorf("%s %s%s: %d %s", method, room, path, w.Code, w.Body)
			}
		}
		held(tt.read, "GET", "/messages", "")
		held(tt.read, "GET", "/export", "")
		held(tt.read, "GET", "/members", "")
		held(tt.write, "POST", "/messages", `{"message":"x"}`)
		held(tt.write, "POST", "/messages", `{"messages":[{"message":"x","username":"Bot"}]}`)
		if tt.key != direct { // which has not the scope
			held(tt.moderate, "DELETE", "/messages/99", "")
			held(tt.moderate, "PUT", "/mutes/sub:ann", "")
			held(tt.moderate, "DELETE", "/bans/sub:ann", "")
		}
	}
	rooms := answer[RoomList](f, 200, f.do("GET", "/rooms", "", "Authorization", "Bearer "+limited))
	var names []string
	for _, r := range rooms.Rooms {
		names = append(names, r.Room)
	}
	if !slices.Equal(names, []string{"desk/1", "jobs-1", "jobs-new", "news"}) || rooms.More {
		t.Errorf("lists %q", names)
	}
	f.refused(f.do("POST", "/users/sub:ann/messages", `{"message":"x"}`, "Authorization", "Bearer "+limited), CodeForbidden)
	answer[Stored](f, 201, f.do("POST", "/users/sub:ann/messages", `{"message":"x"}`, "Authorization", "Bearer "+direct))
}

func TestBadKeyRooms(t *testing.T) {
	f := newFixture(t, nil)
	_, hash := NewKey()
	for name, k := range map[string]Key{
		"right":   {Scopes: []string{"read"}, Rooms: []KeyRooms{{"a", []string{"own"}}}},
		"rights":  {Scopes: []string{"read"}, Rooms: []KeyRooms{{"a", nil}}},
		"pattern": {Scopes: []string{"read"}, Rooms: []KeyRooms{{"", []string{"read"}}}},
		"direct":  {Scopes: []string{"read"}, Rooms: []KeyRooms{{"@x", []string{"read"}}}},
		"twice":   {Scopes: []string{"read"}, Rooms: []KeyRooms{{DirectRooms, []string{"read"}}, {DirectRooms, []string{}}}},
		"admin":   {Scopes: []string{"read", "admin"}, Rooms: []KeyRooms{}},
	} {
		k.Name, k.Hash = "x", hash
		if _, err := New(f.chat, Options{Keys: []Key{k}, Address: func(*http.Request) string { return "" }}); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// A token with rooms in its claim is like a key with rooms.
func TestTokenRooms(t *testing.T) {
	f := newFixture(t, nil)
	token := func(claim string) []string { return []string{"Authorization", "Bearer ann:" + claim} }
	for _, room := range []string{"jobs-1", "jobs-secret", "other"} {
		answer[Stored](f, 201, f.do("POST", "/rooms/"+room+"/messages", `{"message":"x"}`))
	}
	limited := token(`{"scopes":["read","write"],"rooms":[{"pattern":"jobs-secret","rights":[]},{"pattern":"jobs-*","rights":["read"]},{"pattern":"@*","rights":["write"]}]}`)
	if list := answer[RoomList](f, 200, f.do("GET", "/rooms", "", limited...)); len(list.Rooms) != 1 || list.Rooms[0].Room != "jobs-1" {
		t.Errorf("lists %+v", list.Rooms)
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/rooms/jobs-1/messages", "", 200}, {"GET", "/rooms/jobs-1/export", "", 200},
		{"GET", "/rooms/jobs-secret/messages", "", 403}, {"GET", "/rooms/other/messages", "", 403}, {"GET", "/rooms/other/export", "", 403},
		{"POST", "/rooms/jobs-1/messages", `{"message":"x"}`, 403}, {"POST", "/users/sub:bob/messages", `{"message":"x"}`, 201},
		{"PUT", "/rooms/jobs-1/mutes/sub:bob", "", 403}, // no scope
	} {
		if w := f.do(tt.method, tt.path, tt.body, limited...); w.Code != tt.status {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, w.Body)
		}
	}
	f.refused(f.do("GET", "/rooms/jobs-1/messages", "", token(`{"scopes":"read","rooms":[]}`)...), CodeForbidden)
	for name, claim := range map[string]string{
		"no rooms": `{"scopes":["read"]}`, "null": `{"scopes":["read"],"rooms":null}`, "text": `{"scopes":["read"],"rooms":"jobs-1"}`,
		"no object": `{"scopes":["read"],"rooms":["jobs-1"]}`, "no rights": `{"scopes":["read"],"rooms":[{"pattern":"jobs-1"}]}`,
		"right": `{"scopes":["read"],"rooms":[{"pattern":"jobs-1","rights":["own"]}]}`, "pattern": `{"scopes":["read"],"rooms":[{"rights":["read"]}]}`,
		"admin": `{"scopes":["read","admin"],"rooms":[]}`, "no scopes": `{"rooms":[{"pattern":"*","rights":["read"]}]}`,
	} {
		if w := f.do("GET", "/rooms/jobs-1/messages", "", token(claim)...); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		f.refused(f.do("GET", "/rooms", "", token(claim)...), CodeScopeMissing)
	}
}
