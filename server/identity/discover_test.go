package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// provider is an issuer with a configuration, which tests change.
type provider struct {
	*httptest.Server
	keys map[string]any
	says func(p *provider) any // the configuration
	gets atomic.Int64
}

func newProvider(t *testing.T, tls bool, says func(p *provider) any) *provider {
	t.Helper()
	p := &provider{keys: map[string]any{"1": rsaKey.Public()}, says: says}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /realm/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.gets.Add(1)
		_ = json.NewEncoder(w).Encode(p.says(p))
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(setOf(p.keys)) })
	mux.HandleFunc("GET /elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	mux.HandleFunc("GET /loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("GET /plain", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/keys", http.StatusFound)
	})
	if tls {
		p.Server = httptest.NewTLSServer(mux)
	} else {
		p.Server = httptest.NewServer(mux)
	}
	t.Cleanup(func() { p.Client().CloseIdleConnections(); p.Close() })
	return p
}

func configuration(issuer, keys string) any {
	return map[string]any{"issuer": issuer, "jwks_uri": keys, "authorization_endpoint": issuer + "/auth", "id_token_signing_alg_values_supported": []string{"RS256"}}
}

// What an issuer says of itself is believed only if it is that issuer, and if its
// keys come by as safe a way.
func TestDiscover(t *testing.T) {
	for _, tt := range []struct {
		name string
		tls  bool
		end  string // of the setting
		says func(p *provider) any
		good bool
	}{
		{"as most do", true, "/realm", func(p *provider) any { return configuration(p.URL+"/realm", p.URL+"/keys") }, true},
		{"with a slash at the end", true, "/realm/", func(p *provider) any { return configuration(p.URL+"/realm/", p.URL+"/keys") }, true},
		{"within a trusted network", false, "/realm", func(p *provider) any { return configuration(p.URL+"/realm", p.URL+"/keys") }, true},
		{"by a redirect", true, "/realm", func(p *provider) any { return configuration(p.URL+"/realm", p.URL+"/elsewhere") }, true},
		{"by redirects without end", true, "/realm", func(p *provider) any { return configuration(p.URL+"/realm", p.URL+"/loop") }, false},
		{"by a redirect to http", true, "/realm", func(p *provider) any { return configuration(p.URL+"/realm", p.URL+"/plain") }, false},
		{"another slash", true, "/realm", func(p *provider) any { return configuration(p.URL+"/realm/", p.URL+"/keys") }, false},
		{"another issuer", true, "/realm", func(p *provider) any { return configuration("https://other.example", p.URL+"/keys") }, false},
		{"no issuer", true, "/realm", func(p *provider) any { return configuration("", p.URL+"/keys") }, false},
		{"keys over http", true, "/realm", func(p *provider) any {
			return configuration(p.URL+"/realm", "http"+strings.TrimPrefix(p.URL, "https")+"/keys")
		}, false},
		{"keys in a file", true, "/realm", func(p *provider) any { return configuration(p.URL+"/realm", "file:///etc/passwd") }, false},
		{"keys nowhere", true, "/realm", func(p *provider) any { return configuration(p.URL+"/realm", "") }, false},
		{"no object", true, "/realm", func(*provider) any { return 5 }, false},
		{"too long", true, "/realm", func(p *provider) any {
			return map[string]any{"issuer": p.URL + "/realm", "jwks_uri": p.URL + "/keys", "x": strings.Repeat("x", maxSetBytes)}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t, tt.tls, tt.says)
			var told atomic.Int64
			tokens := mustNew(t, Options{
				Discover: true, Issuer: p.URL + tt.end, Audience: []string{"chat"}, Client: p.Client(), Now: clock,
				Failed: func(error) { told.Add(1) },
			})
			token := sign(t, jose.RS256, rsaKey, "1", changed(map[string]any{"iss": p.URL + tt.end}))
			id, err := tokens.Authenticate(t.Context(), token)
			if tt.good {
				if err != nil || id.Subject != "u1" || told.Load() != 0 {
					t.Errorf("%+v, %v, %d", id, err, told.Load())
				}
				return
			}
			if !errors.Is(err, ErrUnavailable) || told.Load() != 1 {
				t.Errorf("%v, %d", err, told.Load())
			}
		})
	}
}

// An issuer that moves its keys is followed, with one look at its configuration for
// each fetch.
func TestDiscoverAgain(t *testing.T) {
	second, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var at atomic.Int64
	p := newProvider(t, false, func(p *provider) any {
		return configuration(p.URL+"/realm", fmt.Sprintf("%s/keys?at=%d", p.URL, at.Load()))
	})
	issuer := p.URL + "/realm"
	tokens := mustNew(t, Options{Discover: true, Issuer: issuer, Client: p.Client(), Interval: time.Minute, Now: func() time.Time { return now.Add(time.Duration(at.Load())) }})
	claims := changed(map[string]any{"iss": issuer, "exp": now.Unix() + 10_000})
	ask := func(key *rsa.PrivateKey, id string, want error) {
		t.Helper()
		if _, err := tokens.Authenticate(t.Context(), sign(t, jose.RS256, key, id, claims)); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	ask(rsaKey, "1", nil)
	p.keys = map[string]any{"2": second.Public()}
	ask(second, "2", ErrInvalid) // too soon
	at.Add(int64(2 * time.Minute))
	ask(second, "2", nil)
	ask(rsaKey, "1", ErrInvalid)
	if n := p.gets.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

func TestDiscoverWhom(t *testing.T) {
	for _, o := range []Options{
		{Discover: true}, {Discover: true, Issuer: "my-app"}, {Discover: true, Issuer: "ftp://x"}, {Discover: true, Issuer: "https://u:p@x"},
		{Discover: true, Issuer: "https://x?y=z"}, {Discover: true, Issuer: "https://x#y"}, {Discover: true, Issuer: "https://x", Secret: secret},
		{Discover: true, Issuer: "https://x", Keys: "keys.json"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// A token of exactly the form of Firebase Authentication's: its claims, its times,
// its header, signed by a key in a set as Google publishes it.
func TestFirebase(t *testing.T) {
	const project = "chat-1a2b3"
	set := fmt.Sprintf(`{"keys":[{"use":"sig","kty":"RSA","e":"AQAB","alg":"RS256","kid":"f3b8a2c1d4e5f60718293a4b5c6d7e8f90a1b2c3","n":%q}]}`, modulus(t))
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		_, _ = w.Write([]byte(set))
	}))
	defer published.Close()
	defer published.Client().CloseIdleConnections()
	tokens := mustNew(t, Options{
		Keys: published.URL, Client: published.Client(), Now: clock,
		Issuer: "https://securetoken.google.com/" + project, Audience: []string{project},
	})
	claims := map[string]any{
		"name": "Mina Kim", "picture": "https://lh3.googleusercontent.com/a/x", "role": "moderator", // a custom claim
		"iss": "https://securetoken.google.com/" + project, "aud": project, "auth_time": now.Unix() - 60,
		"user_id": "Zq3xV0b8TnMZ0a7hF1uQ2r5sW6y1", "sub": "Zq3xV0b8TnMZ0a7hF1uQ2r5sW6y1", "iat": now.Unix() - 60, "exp": now.Unix() + 3540,
		"email": "mina@example.com", "email_verified": true,
		"firebase": map[string]any{"identities": map[string]any{"google.com": []string{"1"}, "email": []string{"mina@example.com"}}, "sign_in_provider": "google.com"},
	}
	const kid = "f3b8a2c1d4e5f60718293a4b5c6d7e8f90a1b2c3"
	id, err := tokens.Authenticate(t.Context(), sign(t, jose.RS256, rsaKey, kid, claims))
	if err != nil || id.Subject != claims["sub"] || id.Name != "Mina Kim" || id.Claims.Text("role") != "moderator" || id.Claims.Text("firebase.sign_in_provider") != "google.com" {
		t.Fatalf("%+v, %v", id, err)
	}
	for name, value := range map[string]any{"aud": "another-project", "iss": "https://securetoken.google.com/another-project", "sub": "", "exp": now.Unix() - 1} {
		with := map[string]any{}
		for k, v := range claims {
			with[k] = v
		}
		with[name] = value
		if _, err := tokens.Authenticate(t.Context(), sign(t, jose.RS256, rsaKey, kid, with)); err == nil {
			t.Errorf("%s %v was taken", name, value)
		}
	}
}

// modulus is rsaKey's, as a key set has it.
func modulus(t *testing.T) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKey{Key: rsaKey.Public()})
	if err != nil {
		t.Fatal(err)
	}
	var key struct{ N string }
	if err := json.Unmarshal(b, &key); err != nil {
		t.Fatal(err)
	}
	return key.N
}
