package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/chatapi"
)

func decodeAll(f *fixture, list messages) (all []chat.Message) {
	f.t.Helper()
	for _, raw := range list {
		var m chat.Message
		if err := json.Unmarshal(raw, &m); err != nil {
			f.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// A message, its repetition, a batch that is repeated in part.
func TestPostAndRead(t *testing.T) {
	f := newFixture(t, nil)
	const path = "/rooms/a%2Fb%20c/messages"
	first := answer[Stored](f, 201, f.do("POST", path, `{"message":"one"}`, "Idempotency-Key", `"job 1"`))
	again := answer[Stored](f, 200, f.do("POST", path, `{"message":"one"}`, "Idempotency-Key", `job 1`))
	if first.Duplicate || !again.Duplicate || first.Seq != 1 || again.Seq != 1 || first.Room != "a/b c" || first.ID != "job 1" || first.Epoch == "" || first.TS == 0 {
		t.Errorf("%+v, then %+v", first, again)
	}
	f.refused(f.do("POST", path, `{"message":"another"}`, "Idempotency-Key", "job 1"), CodeIDConflict)
	const batch = `{"messages":[{"message":"two","username":"Build bot"},{"message":"three","id":"own"}]}`
	list := answer[StoredList](f, 201, f.do("POST", path, batch, "Idempotency-Key", "job 2"))
	if len(list.Messages) != 2 || list.Messages[0].Seq != 2 || list.Messages[0].ID != "job 2.0" || list.Messages[1].Seq != 3 || list.Messages[1].ID != "own" {
		t.Errorf("%+v", list)
	}
	list = answer[StoredList](f, 200, f.do("POST", path, batch, "Idempotency-Key", "job 2"))
	if !list.Messages[0].Duplicate || !list.Messages[1].Duplicate {
		t.Errorf("%+v", list)
	}

	page := answer[MessagePage](f, 200, f.do("GET", path, ""))
	all := decodeAll(f, page.Messages)
	if len(all) != 3 || all[0].Username != "worker" || all[1].Username != "Build bot" || all[0].User != all[1].User || page.First != 1 || page.Last != 3 || page.More {
		t.Errorf("%+v, %+v", page, all)
	}
	page = answer[MessagePage](f, 200, f.do("GET", path+"?after=1&limit=1&epoch="+page.Epoch, ""))
	if all = decodeAll(f, page.Messages); len(all) != 1 || all[0].Message != "two" || !page.More || page.Last != 2 {
		t.Errorf("%+v, %+v", page, all)
	}
	page = answer[MessagePage](f, 200, f.do("GET", path+"?before=3&limit=1", ""))
	if all = decodeAll(f, page.Messages); len(all) != 1 || all[0].Message != "two" || !page.More || page.First != 2 {
		t.Errorf("%+v, %+v", page, all)
	}
	answer[Stored](f, 201, f.do("POST", "/rooms/b/messages", `{"message":"x"}`))
	rooms := answer[RoomList](f, 200, f.do("GET", "/rooms?limit=1", ""))
	if len(rooms.Rooms) != 1 || rooms.Rooms[0].Room != "a/b c" || rooms.Rooms[0].Seq != 3 || !rooms.More {
		t.Errorf("%+v", rooms)
	}
	rooms = answer[RoomList](f, 200, f.do("GET", "/rooms?after=a%2Fb%20c", ""))
	if len(rooms.Rooms) != 1 || rooms.Rooms[0].Room != "b" || rooms.More {
		t.Errorf("%+v", rooms)
	}
	if m := answer[Members](f, 200, f.do("GET", "/rooms/b/members", "")); m.NumUsers != 0 || m.Users == nil || m.Room != "b" {
		t.Errorf("%+v", m)
	}
}

// The store goes away in the middle of a batch: what is stored is said, and a
// repetition stores the rest, once.
func TestBatchInterrupted(t *testing.T) {
	f := newFixture(t, nil)
	const batch = `{"messages":[{"message":"1"},{"message":"2"},{"message":"3"}]}`
	f.store.failAfter.Store(2)
	p := f.refused(f.do("POST", "/rooms/r/messages", batch, "Idempotency-Key", "k"), CodeUnavailable)
	if p.Index == nil || *p.Index != 2 || len(p.Stored) != 2 || p.Stored[1].Seq != 2 {
		t.Errorf("%+v", p)
	}
	f.store.failAfter.Store(-1)
	list := answer[StoredList](f, 201, f.do("POST", "/rooms/r/messages", batch, "Idempotency-Key", "k"))
	for i, s := range list.Messages {
		if s.Seq != uint64(i+1) || s.Duplicate != (i < 2) {
			t.Errorf("%d: %+v", i, s)
		}
	}
	// A bad one stops all of them before the first is stored.
	p = f.refused(f.do("POST", "/rooms/s/messages", `{"messages":[{"message":"1"},{"message":""}]}`), CodeInvalidMessage)
	if p.Index == nil || *p.Index != 1 || p.Stored != nil {
		t.Errorf("%+v", p)
	}
	if page := answer[MessagePage](f, 200, f.do("GET", "/rooms/s/messages", "")); len(page.Messages) != 0 || page.Messages == nil {
		t.Errorf("%+v", page)
	}
}

// The key's direct room with a user, which no other key sees.
func TestMessageUser(t *testing.T) {
	f := newFixture(t, nil)
	s := answer[Stored](f, 201, f.do("POST", "/users/sub:ann/messages", `{"message":"for you"}`, "Idempotency-Key", "k"))
	if again := answer[Stored](f, 200, f.do("POST", "/users/sub:ann/messages", `{"message":"for you"}`, "Idempotency-Key", "k")); again.Seq != s.Seq {
		t.Errorf("%+v", again)
	}
	if !chat.IsDirect(s.Room) {
		t.Fatalf("%+v", s)
	}
	for _, path := range []string{"/rooms/" + s.Room + "/messages", "/rooms/@" + chatapi.UserOf("ann") + "/messages"} {
		if page := answer[MessagePage](f, 200, f.do("GET", path, "")); len(page.Messages) != 1 || page.Room != s.Room {
			t.Errorf("%+v", page)
		}
	}
	f.refused(f.do("GET", "/rooms/"+s.Room+"/messages", "", "Authorization", "Bearer "+f.keys["read"]), CodeForbidden)
	if rooms := answer[RoomList](f, 200, f.do("GET", "/rooms", "")); len(rooms.Rooms) != 0 {
		t.Errorf("%+v", rooms)
	}
}

// What the store has lost since a back end read it is told to whoever reads on.
func TestLost(t *testing.T) {
	f := newFixture(t, nil)
	answer[Stored](f, 201, f.do("POST", "/rooms/r/messages", `{"message":"x"}`))
	f.store.lost = []adapter.Gap{{Namespace: "/", Room: chat.AdapterRoom("r"), Epoch: "OLD", From: 7, To: 9}}
	want := LostRange{"OLD", 7, 9}
	page := answer[MessagePage](f, 200, f.do("GET", "/rooms/r/messages?after=0", ""))
	if len(page.Lost) != 1 || page.Lost[0] != want || len(page.Messages) != 1 {
		t.Errorf("%+v", page)
	}
	if page = answer[MessagePage](f, 200, f.do("GET", "/rooms/r/messages", "")); page.Lost != nil {
		t.Errorf("%+v", page)
	}
	lines := exported(f, f.do("GET", "/rooms/r/export", ""))
	if len(lines) != 3 || len(lines[0].Lost) != 1 || lines[0].Lost[0] != want || lines[1].Message == nil {
		t.Errorf("%+v", lines)
	}
}

// The pages of people have each one once, whatever the size of a page, and their
// cursors tell nobody's id.
func TestMembersByPage(t *testing.T) {
	f := newFixture(t, nil)
	const n = 230
	users := map[string]bool{}
	for i := range n {
		user := chat.UserOfSubject(fmt.Sprint("user ", i))
		users[user] = true
		if _, err := f.store.Enter(t.Context(), "/", chat.AdapterRoom("r"), fmt.Sprint("socket ", i), adapter.Person{User: user, Name: fmt.Sprint("name ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ limit, most int }{{0, 100}, {7, 7}, {230, 100}, {1 << 40, 100}, {1, 1}} {
		seen, cursor := map[string]bool{}, ""
		for pages := 0; pages <= n; pages++ {
			path := "/rooms/r/members?cursor=" + cursor
			if tt.limit > 0 {
				path += fmt.Sprint("&limit=", tt.limit)
			}
			page := answer[Members](f, 200, f.do("GET", path, ""))
			if page.NumUsers != n || len(page.Users) > tt.most || len(page.Users) < tt.most && page.Next != "" {
				t.Fatalf("a page of %d of %d, and %q", len(page.Users), page.NumUsers, page.Next)
			}
			for _, u := range page.Users {
				if seen[u.User] {
					t.Errorf("%s twice", u.Username)
				}
				seen[u.User] = true
			}
			if cursor = page.Next; cursor == "" {
				break
			}
			if users[cursor] || len(cursor) > 8 {
				t.Errorf("the cursor %q tells a user", cursor)
			}
		}
		if len(seen) != n {
			t.Errorf("%d of %d with pages of %d", len(seen), n, tt.limit)
		}
	}
	for _, bad := range []string{"%00", "%2B", "a.b", "%ED%95%9C", strings.Repeat("x", 30)} {
		f.refused(f.do("GET", "/rooms/r/members?cursor="+bad, ""), CodeBadRequest)
	}
}

// FuzzBody: whatever comes is stored or refused by a known code, and what is taken
// has the documented form.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"message":"x"}`, `{"messages":[{"message":"x","id":"1"}]}`, `{"messages":null,"message":"x"}`, `null`, `{}`, `[`, "", `{"message":"\ud800"}`,
		`{"message":"x","username":"` + "\u202e" + `"}`, `{"MESSAGE":"x","message":"y"}`, `{"message":"x"} `, `{"messages":[null]}`,
	} {
		f.Add([]byte(seed))
	}
	fx := newFixture(f, func(o *Options) { o.Rate, o.Burst = NoRate, NoRate; o.Hooks = Hooks{} })
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		r := fx.request("POST", "/rooms/fuzz/messages", "")
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		fx.api.ServeHTTP(w, r)
		switch w.Code {
		case 200, 201:
			if !json.Valid(body) || bytes.TrimSpace(body)[0] != '{' {
				t.Errorf("%q was taken", body)
			}
		case 400, 413, 422:
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code {
				t.Errorf("%q: %s", body, w.Body)
			}
		default:
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
