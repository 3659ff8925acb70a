package chatapi

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
)

// A message from beside the sockets is one like any other; its key, or the id
// in it, makes a repetition safe.
func TestPost(t *testing.T) {
	f := newChat(t, Options{}, local.Options{})
	reader := f.dial(hello{})
	post := func(key, data string) error {
		return f.api.Post(context.Background(), Post{Room: "lobby", Sender: "emitter", Key: key, Event: adapter.Event{Name: PostEvent, Data: []byte(data)}})
	}
	for _, p := range []struct{ key, data string }{
		{"k1", `["new message","one"]`},
		{"k1", `["new message","one"]`},
		{"k2", `["new message",{"message":"two","id":"job","username":"root"}]`},
		{"k3", `["new message",{"message":"two","id":"job"},"more"]`},
		{"k4", `["new message",{"message":"three"}]`},
	} {
		if err := post(p.key, p.data); err != nil {
			t.Errorf("%s: %v", p.data, err)
		}
	}
	want := [][3]string{{"emitter", "one", "k1"}, {"emitter", "two", "job"}, {"emitter", "three", "k4"}}
	page := call[HistoryPage](reader, "history", map[string]any{"room": "lobby"})
	if len(page.Messages) != len(want) {
		t.Fatalf("%+v", page.Messages)
	}
	for i, raw := range page.Messages {
		var m chat.Message
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		if got := [3]string{m.Username, m.Message, m.ID}; got != want[i] {
			t.Errorf("%v, not %v", got, want[i])
		}
	}
	var invalid *chat.Invalid
	for _, data := range []string{
		`["new message"]`, `["new message",null]`, `["new message",7]`, `["new message",{"text":"x"}]`, `["new message",{"message":7}]`,
		`["new message",["x"]]`, `["new message",""]`, `["new message","\u0000"]`, `["new message",{"message":"x","id":"` + strings.Repeat("i", 200) + `"}]`,
		`["new message",{"_placeholder":true,"num":0}]`, `["new message","` + strings.Repeat("x", 5000) + `"]`,
	} {
		if err := post("k", data); !errors.As(err, &invalid) {
			t.Errorf("%.60s: %v", data, err)
		}
	}
	if err := post("k1", `["new message","another"]`); !errors.Is(err, adapter.ErrConflict) {
		t.Error(err)
	}
	if err := f.api.Post(t.Context(), Post{Room: strings.Repeat("r", 300), Event: adapter.Event{Data: []byte(`["new message","x"]`)}}); !errors.As(err, &invalid) {
		t.Error(err)
	}
}
