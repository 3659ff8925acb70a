package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

var (
	rsaKey, _     = rsa.GenerateKey(rand.Reader, 2048)
	weakKey, _    = rsa.GenerateKey(rand.Reader, 1024)
	ecKey, _      = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _   = ed25519.GenerateKey(rand.Reader)
	secret        = []byte("a-secret-of-thirty-two-bytes-ok!")
	now           = time.Unix(1_800_000_000, 0)
	clock         = func() time.Time { return now }
	issuer        = "https://issuer.example"
	ordinary      = map[string]any{"sub": "u1", "name": "Ann", "iss": issuer, "aud": "chat", "exp": now.Unix() + 600, "iat": now.Unix() - 5}
	secretOptions = Options{Secret: secret, Issuer: issuer, Audience: []string{"chat", "other"}, Now: clock}
	publicOfRSA   = rsaKey.Public()
	pemOfRSA, _   = json.Marshal(jose.JSONWebKey{Key: publicOfRSA})
)

func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, id string, claims any) string {
	t.Helper()
	with := key
	if id != "" {
		with = jose.JSONWebKey{Key: key, KeyID: id}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: with}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func changed(with map[string]any) map[string]any {
	claims := map[string]any{}
	for k, v := range ordinary {
		claims[k] = v
	}
	for k, v := range with {
		if claims[k] = v; v == nil {
			delete(claims, k)
		}
	}
	return claims
}

func mustNew(t testing.TB, o Options) *Tokens {
	t.Helper()
	tokens, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	return tokens
}

func TestClaims(t *testing.T) {
	for _, c := range []struct {
		name string
		with map[string]any
		o    func(*Options)
		want error
	}{
		{name: "ordinary"},
		{name: "expired", with: map[string]any{"exp": now.Unix() - 1}, want: ErrExpired},
		{name: "expired within the leeway", with: map[string]any{"exp": now.Unix() - 1}, o: func(o *Options) { o.Leeway = time.Minute }},
		{name: "without an expiry", with: map[string]any{"exp": nil}, want: ErrInvalid},
		{name: "not valid yet", with: map[string]any{"nbf": now.Unix() + 5}, want: ErrInvalid},
		{name: "issued in the future", with: map[string]any{"iat": now.Unix() + 5}, want: ErrInvalid},
		{name: "another issuer", with: map[string]any{"iss": issuer + "/"}, want: ErrInvalid},
		{name: "no issuer", with: map[string]any{"iss": nil}, want: ErrInvalid},
		{name: "any issuer", with: map[string]any{"iss": "x"}, o: func(o *Options) { o.Issuer = "" }},
		{name: "one audience of several", with: map[string]any{"aud": []string{"x", "other"}}},
		{name: "another audience", with: map[string]any{"aud": "x"}, want: ErrInvalid},
		{name: "no audience", with: map[string]any{"aud": nil}, want: ErrInvalid},
		{name: "nobody", with: map[string]any{"sub": ""}, want: ErrInvalid},
		{name: "a number for a subject", with: map[string]any{"sub": 5}, want: ErrInvalid},
		{name: "a long subject", with: map[string]any{"sub": strings.Repeat("x", 256)}, want: ErrInvalid},
		{name: "a claim of another name", with: map[string]any{"sub": nil, "uid": "u1"}, o: func(o *Options) { o.UserClaim = "uid" }},
		{name: "a nested claim", with: map[string]any{"sub": nil, "user": map[string]any{"id": "u1"}}, o: func(o *Options) { o.UserClaim = "user.id" }},
		{name: "a name that is none", with: map[string]any{"name": 5}},
		{name: "an expiry that is none", with: map[string]any{"exp": "soon"}, want: ErrInvalid},
	} {
		o := secretOptions
		if c.o != nil {
			c.o(&o)
		}
		id, err := mustNew(t, o).Authenticate(t.Context(), sign(t, jose.HS256, secret, "", changed(c.with)))
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil && (id.Subject != "u1" || id.Expires.IsZero() || id.Name != "Ann" && c.name != "a name that is none") {
			t.Errorf("%s: %+v", c.name, id)
		}
	}
}

// A number is what the token says, to its last digit.
func TestClaimsAreExact(t *testing.T) {
	id, err := mustNew(t, secretOptions).Authenticate(t.Context(), sign(t, jose.HS256, secret, "", changed(map[string]any{
		"org": json.RawMessage(`9007199254740993`), "deep": map[string]any{"n": 1234567},
	})))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"org": "9007199254740993", "deep.n": "1234567"} {
		if got, _ := id.Claims.Find(name); fmt.Sprint(got) != want {
			t.Errorf("%s is %v", name, got)
		}
	}
}

// A token cannot choose how it is checked (RFC 8725).
func TestAlgorithmConfusion(t *testing.T) {
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	keys := mustNew(t, Options{Keys: setFile(t, map[string]any{"rsa": publicOfRSA, "ec": ecKey.Public()}), Now: clock})
	with := mustNew(t, secretOptions)
	none := part(map[string]any{"alg": "none"}) + "." + part(ordinary) + "."
	good := sign(t, jose.RS256, rsaKey, "rsa", ordinary)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		tokens *Tokens
		token  string
	}{
		"none, with keys":              {keys, none},
		"none, with a secret":          {with, none},
		"the public key as a secret":   {keys, sign(t, jose.HS256, pemOfRSA, "rsa", ordinary)},
		"RS256 where a secret is set":  {with, good},
		"HS512":                        {with, sign(t, jose.HS512, append(secret, secret...), "", ordinary)},
		"PS256":                        {keys, sign(t, jose.PS256, rsaKey, "rsa", ordinary)},
		"ES256 under an RSA key's id":  {keys, sign(t, jose.ES256, ecKey, "rsa", ordinary)},
		"another key under a known id": {keys, sign(t, jose.RS256, weakKey, "rsa", ordinary)},
		"its own key in the header":    {keys, embedded(t)},
		"another secret":               {with, sign(t, jose.HS256, append([]byte("x"), secret...), "", ordinary)},
		"a changed payload":            {keys, parts[0] + "." + part(changed(map[string]any{"sub": "admin"})) + "." + parts[2]},
		"a signature cut off":          {keys, parts[0] + "." + parts[1] + "." + parts[2][:20]},
		"no token":                     {with, ""},
		"too long":                     {with, strings.Repeat("a", MaxToken+1)},
		"JSON serialisation":           {with, `{"payload":"","signatures":[]}`},
		"an unknown key":               {keys, sign(t, jose.RS256, rsaKey, "gone", ordinary)},
	} {
		if id, err := c.tokens.Authenticate(t.Context(), c.token); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	for token, tokens := range map[string]*Tokens{good: keys, sign(t, jose.ES256, ecKey, "ec", ordinary): keys, sign(t, jose.RS256, rsaKey, "", ordinary): keys, sign(t, jose.HS256, secret, "", ordinary): with} {
		if _, err := tokens.Authenticate(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
}

// embedded is a token that brings its own key along.
func embedded(t *testing.T) string {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: own}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(ordinary).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func setOf(keys map[string]any) []byte {
	var set jose.JSONWebKeySet
	for id, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key, KeyID: id, Use: "sig"})
	}
	b, err := json.Marshal(set)
	if err != nil {
		panic(err)
	}
	return b
}

func setFile(t testing.TB, keys map[string]any) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(name, setOf(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestNew(t *testing.T) {
	weak := setFile(t, map[string]any{"weak": weakKey.Public()})
	big := filepath.Join(t.TempDir(), "big.json")
	if err := os.WriteFile(big, []byte(`{"keys":[],"x":"`+strings.Repeat("x", maxSetBytes)+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"nothing": {}, "both": {Secret: secret, Keys: weak}, "a short secret": {Secret: secret[1:]},
		"a weak key only": {Keys: weak}, "no file": {Keys: weak + "x"}, "a big file": {Keys: big},
		"a secret as a key": {Keys: setFile(t, map[string]any{"s": secret})},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s passed", name)
		}
	}
	set, err := decodeSet(strings.NewReader(`{"keys":[{"kty":"alien"},5,{"kty":"RSA","n":"AQAB","e":"AQAB"},` + strings.TrimPrefix(string(setOf(map[string]any{"ed": edKey.Public()})), `{"keys":[`)))
	if err != nil || len(set) != 1 {
		t.Errorf("%d keys, %v", len(set), err)
	}
	many := `{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`
	if _, err := decodeSet(strings.NewReader(many)); err == nil {
		t.Error("too many keys passed")
	}
}

// issuerServer publishes keys that can be changed.
type issuerServer struct {
	*httptest.Server
	asked  atomic.Int64
	mu     sync.Mutex
	body   []byte
	status int
	wait   chan struct{} // nil: answers at once
}

func newIssuer(t *testing.T, keys map[string]any) *issuerServer {
	s := &issuerServer{body: setOf(keys), status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		body, status, wait := s.body, s.status, s.wait
		s.mu.Unlock()
		if wait != nil {
			select {
			case <-wait:
			case <-r.Context().Done():
			}
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(func() { s.Client().CloseIdleConnections(); s.Close() })
	return s
}

func (s *issuerServer) publish(status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

// Keys are fetched once, kept, rotated, and asked for no more often than the
// interval allows, whatever tokens say.
func TestKeysAtAnAddress(t *testing.T) {
	_, second, _ := ed25519.GenerateKey(rand.Reader)
	s := newIssuer(t, map[string]any{"1": edKey.Public()})
	at := now
	var mu sync.Mutex
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); at = at.Add(d) }
	tokens := mustNew(t, Options{Keys: s.URL, Client: s.Client(), Refresh: time.Hour, Interval: time.Minute, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}})
	ask := func(key crypto.Signer, id string, want error) {
		t.Helper()
		claims := changed(map[string]any{"exp": now.Unix() + 1_000_000})
		if _, err := tokens.Authenticate(t.Context(), sign(t, jose.EdDSA, key, id, claims)); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	asked := func(want int64) {
		t.Helper()
		if n := s.asked.Load(); n != want {
			t.Errorf("asked %d times, want %d", n, want)
		}
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { ask(edKey, "1", nil) })
	}
	all.Wait()
	asked(1)
	for range 20 {
		ask(second, "2", ErrInvalid)
	}
	asked(1) // too soon
	pass(2 * time.Minute)
	for i := range 20 {
		ask(second, fmt.Sprint("made up ", i), ErrInvalid)
	}
	asked(2)
	s.publish(http.StatusOK, setOf(map[string]any{"1": edKey.Public(), "2": second.Public()}))
	pass(2 * time.Minute)
	ask(second, "2", nil) // rotated
	asked(3)
	s.publish(http.StatusInternalServerError, nil)
	pass(2 * time.Hour) // old: asked for in vain, used on
	ask(second, "2", nil)
	for n := s.asked.Load(); n < 4; n = s.asked.Load() {
		time.Sleep(time.Millisecond)
	}
	ask(edKey, "1", nil)
	pass(time.Hour)
	ask(second, "unknown", ErrUnavailable)
	asked(5)
	pass(24 * time.Hour)
	ask(edKey, "1", ErrUnavailable) // too old
	s.publish(http.StatusOK, make([]byte, maxSetBytes+1))
	pass(2 * time.Minute)
	ask(edKey, "1", ErrUnavailable)
	s.publish(http.StatusOK, setOf(map[string]any{"1": edKey.Public()}))
	pass(2 * time.Minute)
	ask(edKey, "1", nil)
	ask(second, "2", ErrInvalid) // withdrawn
}

// Whoever cannot wait for the keys is refused as such.
func TestKeysThatDoNotCome(t *testing.T) {
	s := newIssuer(t, map[string]any{"1": edKey.Public()})
	s.wait = make(chan struct{})
	tokens := mustNew(t, Options{Keys: s.URL, Client: s.Client(), Now: clock})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	token := sign(t, jose.EdDSA, edKey, "1", ordinary)
	if _, err := tokens.Authenticate(ctx, token); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	close(s.wait)
	if _, err := tokens.Authenticate(t.Context(), token); err != nil {
		t.Error(err)
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func FuzzAuthenticate(f *testing.F) {
	f.Add(sign(f, jose.HS256, secret, "", ordinary))
	f.Add(sign(f, jose.RS256, rsaKey, "rsa", ordinary))
	f.Add("a.b.c")
	f.Add("")
	tokens, err := New(secretOptions)
	if err != nil {
		f.Fatal(err)
	}
	good := sign(f, jose.HS256, secret, "", ordinary)
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := tokens.Authenticate(t.Context(), token); err == nil && (id.Subject != "u1" || !strings.HasPrefix(strings.TrimSpace(token), good[:20])) {
			t.Fatalf("%q passes as %+v", token, id)
		}
	})
}

func TestClaimsFind(t *testing.T) {
	c := Claims{"a.b": 1, "a": map[string]any{"b": 2, "c": map[string]any{"d": "x"}}, "https://x.y/z": "u"}
	for name, want := range map[string]any{"a.b": 1, "a.c.d": "x", "https://x.y/z": "u", "a.c.e": nil, "a.b.c": nil, "": nil} {
		if got, ok := c.Find(name); got != want || ok != (want != nil) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if c.Text("a.c.d") != "x" || c.Text("a.b") != "" {
		t.Error("text")
	}
}
