package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Rules are the same from a file, whose capital letters stay, and from text; what
// is printed is read again.
func TestRules(t *testing.T) {
	clean(t)
	file := filepath.Join(t.TempDir(), "c.yaml")
	yaml := "rooms:\n  rules:\n    - {pattern: Team-*, read: 'claim:Teams={1}', write: [everyone, user=Boss]}\n    - pattern: '*'\n      moderate: signed-in\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := Load([]string{"--config", file})
	want := []RoomRule{{Pattern: "Team-*", Read: Terms{"claim:Teams={1}"}, Write: Terms{"everyone", "user=Boss"}}, {Pattern: "*", Moderate: Terms{"signed-in"}}}
	if err != nil || !reflect.DeepEqual(c.Rooms.Rules, want) {
		t.Fatalf("%+v, %v", c, err)
	}
	again, _, err := Load([]string{"--rooms.rules", showRecords(c.Rooms.Rules)})
	if err != nil || !reflect.DeepEqual(again.Rooms.Rules, want) {
		t.Errorf("%v", err)
	}
	var printed strings.Builder
	if err := c.Write(&printed); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(printed.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, _, err = Load([]string{"--config", file}); err != nil || !reflect.DeepEqual(again.Rooms.Rules, want) {
		t.Errorf("printed: %v\n%s", err, printed.String())
	}
	for _, bad := range []string{`x`, `{}`, `[{"patern":"x"}]`, `[{"pattern":5}]`, `[{"pattern":"x","read":5}]`, `[] []`, `[[]]`} {
		if _, _, err := Load([]string{"--rooms.rules", bad}); err == nil || !strings.Contains(err.Error(), "rooms.rules") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
