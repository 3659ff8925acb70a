package chatapi

import (
	"encoding/json"
	"testing"
)

// Whatever a client sends as a payload or as credentials is decoded or
// refused, and what was decoded means the same when it is sent again.
func FuzzPayloads(f *testing.F) {
	for _, s := range []string{
		`"Ann"`, `{"username":"Ann"}`, `{"room":"r","since":1,"epoch":"e","limit":-1}`, `{"before":18446744073709551615}`,
		`{"session":"0123456789abcdef","serverOffset":5}`, `{"serverOffset":"1e3","session":null}`, `null`, `[]`, ` "x"`, `5`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []any{&AddUser{}, &NewMessage{}, &RoomOnly{}, &JoinRoom{}, &History{}, &ListRooms{}, &RefreshToken{}} {
			if json.Unmarshal(data, v) != nil {
				continue
			}
			again, err := json.Marshal(v)
			if err != nil || json.Unmarshal(again, v) != nil {
				t.Fatalf("%T: %s became %s, %v", v, data, again, err)
			}
		}
		none := func(string) json.RawMessage { return nil }
		for _, says := range []statements{
			{secret: func(string) json.RawMessage { return data }},
			{secret: none, query: map[string]string{"session": string(data), "serverOffset": string(data)}},
		} {
			c, err := credentialsOf(says)
			if err == nil && c.hasSecret && says.query != nil && c.secret != string(data) {
				t.Fatalf("secret %q became %q", data, c.secret)
			}
		}
	})
}
