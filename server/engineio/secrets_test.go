package engineio

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// What Options.Secrets names is in nothing that a session shows.
func TestSecrets(t *testing.T) {
	s := NewServer(func(*Session) Handler { return nil }, Options{Secrets: []string{"token", "authorization"}, Headers: []string{"Host", "Authorization"}})
	defer func() { _ = s.Close(t.Context()) }()
	for _, c := range []struct{ uri, header, shown, token, authorization string }{
		{"/socket.io/?EIO=4&transport=polling", "", "/socket.io/?EIO=4&transport=polling", "", ""},
		{"/socket.io/?EIO=4&token=a.b&x=1", "Bearer c", "/socket.io/?EIO=4&x=1", "a.b", "Bearer c"},
		{"/socket.io/?token=", "", "/socket.io/", "", ""},
		{"/socket.io/?%74oken=a%20b&token=second&tokens=1", "", "/socket.io/?tokens=1", "a b", ""},
		{"/socket.io/?token=a%0Aauthorization=x", "", "/socket.io/", "", ""},
		{"/socket.io/?authorization=q", "Bearer h", "/socket.io/", "", "q"},
		{"/socket.io/", "Bearer " + strings.Repeat("h", maxURI), "/socket.io/", "", ""},
	} {
		r := httptest.NewRequest("GET", c.uri, nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		session := &Session{srv: s, facts: s.gather(r, "")}
		if session.URL() != c.shown || session.Secret("token") != c.token || session.Secret("authorization") != c.authorization {
			t.Errorf("%s: %q, %q, %q", c.uri, session.URL(), session.Secret("token"), session.Secret("authorization"))
		}
		if q := session.Query(); q.Has("token") || q.Has("authorization") || session.Headers()["authorization"] != "" || session.Headers()["host"] == "" {
			t.Errorf("%s: %v, %v", c.uri, q, session.Headers())
		}
		if session.Secret("other") != "" {
			t.Error("another secret")
		}
	}
}
