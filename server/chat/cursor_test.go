package chat

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

// One page looks at so many rooms only, and says where to go on, without telling what
// it passed over; any node takes it from there.
func TestListOfHiddenRooms(t *testing.T) {
	c, a := newStored(t, Limits{}, local.Options{})
	other := New("/", a, Limits{})
	const hidden = 2500
	for i := range hidden {
		if _, err := a.Enter(t.Context(), "/", AdapterRoom(fmt.Sprintf("hidden %04d", i)), "s", adapter.Person{User: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	mustSend(t, c, Outgoing{From: ann, Room: "open", Text: "x"})
	looked := 0
	visible := func(room string) bool {
		looked++
		return !strings.HasPrefix(room, "hidden")
	}
	var got []string
	var q RoomsQuery
	pages := 0
	for more := true; more; pages++ {
		looked = 0
		page, err := []*Chat{c, other}[pages%2].ListRooms(t.Context(), q, visible)
		if err != nil {
			t.Fatal(err)
		}
		if looked > maxScanned+roomsDefault {
			t.Errorf("page %d looked at %d rooms", pages, looked)
		}
		if sealed, _ := base64.RawURLEncoding.DecodeString(page.Next); strings.Contains(string(sealed), "hidden") {
			t.Error("the cursor tells of a hidden room")
		}
		for _, r := range page.Rooms {
			got = append(got, r.Room)
		}
		q.Cursor, more = page.Next, page.More
	}
	if !slices.Equal(got, []string{"open"}) || pages != 3 {
		t.Errorf("%v on %d pages", got, pages)
	}
}

func TestCursorsThatAreNone(t *testing.T) {
	c, a := newStored(t, Limits{}, local.Options{})
	good, err := c.SealRoom(t.Context(), "방")
	if err != nil {
		t.Fatal(err)
	}
	if room, err := c.OpenRoom(t.Context(), good); room != "방" || err != nil {
		t.Error(room, err)
	}
	// A key that another node has made at the same moment, and stored last.
	if err := a.SetField(t.Context(), c.cursorTable(), cursorField, []byte(strings.Repeat("k", cursorKey)), pointerKeep); err != nil {
		t.Fatal(err)
	}
	theirs, err := New("/", a, Limits{}).SealRoom(t.Context(), "방")
	if err != nil {
		t.Fatal(err)
	}
	if room, err := c.OpenRoom(t.Context(), theirs); room != "방" || err != nil {
		t.Error(room, err)
	}
	for _, bad := range []string{good, "x", "!", theirs[1:], theirs[:len(theirs)-1], strings.Repeat("A", 100), strings.Repeat("A", maxCursor+1)} {
		var invalid *Invalid
		if room, err := c.OpenRoom(t.Context(), bad); !errors.As(err, &invalid) || invalid.Field != FieldCursor {
			t.Errorf("%.20q: %q, %v", bad, room, err)
		}
	}
}
