package config

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// A key's rooms are the same from a file and from text, and rooms without a value
// are none and not all of them.
func TestKeyRooms(t *testing.T) {
	clean(t)
	file := filepath.Join(t.TempDir(), "c.yaml")
	key := func(rooms string) []string {
		yaml := "api:\n  keys:\n    - name: x\n      hash: y\n      scopes: read\n" + rooms
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"--config", file}
	}
	for _, tt := range []struct {
		rooms string
		want  KeyRoomList
	}{
		{"", nil},
		{"      rooms: []\n", KeyRoomList{}},
		{"      rooms:\n", KeyRoomList{}},
		{"      rooms:\n        - {pattern: Jobs-*, rights: [read, write]}\n        - {pattern: b, rights: read}\n        - {pattern: c}\n",
			KeyRoomList{{"Jobs-*", Terms{"read", "write"}}, {"b", Terms{"read"}}, {"c", nil}}},
	} {
		c, _, err := Load(key(tt.rooms))
		if err != nil || len(c.API.Keys) != 1 || !reflect.DeepEqual(c.API.Keys[0].Rooms, tt.want) {
			t.Errorf("%q: %+v, %v", tt.rooms, c, err)
			continue
		}
		again, _, err := Load([]string{"--api.keys", showRecords(c.API.Keys)})
		if err != nil || !reflect.DeepEqual(again.API.Keys, c.API.Keys) {
			t.Errorf("%q: %s, %v", tt.rooms, showRecords(c.API.Keys), err)
		}
	}
	for _, bad := range []string{"      rooms: all\n", "      rooms: {pattern: x}\n", "      rooms: [{pattern: x, right: read}]\n", "      rooms: [{pattern: 5, rights: read}]\n"} {
		if _, _, err := Load(key(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
