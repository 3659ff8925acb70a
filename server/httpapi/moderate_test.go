package httpapi

import (
	"fmt"
	"testing"

	"github.com/antchat/antchat/server/chatapi"
)

func TestModerate(t *testing.T) {
	f := newFixture(t, nil)
	s := answer[Stored](f, 201, f.do("POST", "/rooms/r/messages", `{"message":"bad"}`))
	e := answer[chatapi.Entry](f, 200, f.do("DELETE", fmt.Sprintf("/rooms/r/messages/%d?epoch=%s", s.Seq, s.Epoch), ""))
	if e.Seq != 2 || e.Room != "r" {
		t.Errorf("%+v", e)
	}
	page := answer[MessagePage](f, 200, f.do("GET", "/rooms/r/messages", ""))
	if all := decodeAll(f, page.Messages); len(all) != 1 || !all[0].Removed || all[0].Message != "" || len(page.Removed) != 1 || page.Last != 2 {
		t.Errorf("%+v", page)
	}
	ann := chatapi.UserOf("ann")
	for _, tt := range []struct{ method, path, body string }{
		{"PUT", "/rooms/r/mutes/" + ann, `{"for":60,"reason":"noise"}`}, {"DELETE", "/rooms/r/mutes/sub:ann", ""},
		{"POST", "/rooms/r/kicks/sub:ann", ""}, {"PUT", "/rooms/r/bans/sub:ann", `{}`}, {"DELETE", "/rooms/r/bans/" + ann, ""},
	} {
		if e := answer[chatapi.Entry](f, 200, f.do(tt.method, tt.path, tt.body)); e.Room != "r" || e.Seq == 0 {
			t.Errorf("%s %s: %+v", tt.method, tt.path, e)
		}
	}
	// Whoever is kept out of the chat has no API either.
	token := []string{"Authorization", "Bearer ann:read"}
	answer[RoomList](f, 200, f.do("GET", "/rooms", "", token...))
	if w := f.do("PUT", "/bans/sub:ann", `{"for":60}`); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	f.refused(f.do("GET", "/rooms", "", token...), CodeBanned)
	if w := f.do("DELETE", "/bans/"+ann, ""); w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	answer[RoomList](f, 200, f.do("GET", "/rooms", "", token...))
	if a := answer[chatapi.Announcement](f, 201, f.do("POST", "/announcements", `{"message":"all"}`)); a.Message != "all" || a.Username != "worker" || a.TS == 0 {
		t.Errorf("%+v", a)
	}
}
