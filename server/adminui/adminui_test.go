package adminui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hashed(t *testing.T, password string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newLogin(t *testing.T, store adapter.Expiring, o Options) *login {
	t.Helper()
	u, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	u.login.store = store
	return &u.login
}

func newStore(t *testing.T) *local.Adapter {
	t.Helper()
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

func TestOptions(t *testing.T) {
	dear, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	costly := strings.Replace(string(dear), "$04$", "$15$", 1)
	for _, c := range []struct {
		o    Options
		want error
	}{
		{Options{}, ErrNoCredentials},
		{Options{PasswordHash: "secret"}, ErrPasswordHash},
		{Options{PasswordHash: costly}, ErrPasswordHash},
		{Options{Token: "short"}, ErrToken},
		{Options{Token: strings.Repeat("t", MinToken)}, nil},
		{Options{PasswordHash: string(dear)}, nil},
	} {
		if _, err := New(c.o); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, not %v", c.o, err, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	const token = "0123456789abcdef"
	l := newLogin(t, newStore(t), Options{PasswordHash: hashed(t, "한국어 pass"), Token: token, Guesses: 100, AllGuesses: 1000})
	for _, c := range []struct {
		c    credentials
		by   string
		want error
	}{
		{credentials{Username: "admin", Password: "한국어 pass"}, "password", nil},
		{credentials{Username: "admin", Password: "한국어 pas"}, "", errCredentials},
		{credentials{Username: "root", Password: "한국어 pass"}, "", errCredentials},
		{credentials{Password: "한국어 pass"}, "", errCredentials},
		{credentials{Username: "admin"}, "", errCredentials},
		{credentials{}, "", errCredentials},
		{credentials{Username: "admin", Password: strings.Repeat("x", 1000)}, "", errCredentials},
		{credentials{Token: token}, "token", nil},
		{credentials{Username: "whoever", Password: token}, "token", nil},
		{credentials{Token: token + "x"}, "", errCredentials},
		{credentials{SessionID: "x"}, "", errCredentials},
		{credentials{SessionID: strings.Repeat("x", 32)}, "", errCredentials},
		{credentials{SessionID: strings.Repeat("x", 32), Token: token}, "token", nil},
	} {
		if by, err := l.check(t.Context(), c.c, "192.0.2.1"); by != c.by || !errors.Is(err, c.want) {
			t.Errorf("%+v: %q, %v", c.c, by, err)
		}
	}
	none := newLogin(t, newStore(t), Options{Token: token})
	if by, err := none.check(t.Context(), credentials{Username: "admin"}, "x"); by != "" || !errors.Is(err, errCredentials) {
		t.Errorf("no password is set, and the empty one is let in: %q, %v", by, err)
	}
}

// A session ends after its time, and when the credentials change; it does not
// count as a guess.
func TestSession(t *testing.T) {
	store, hash := newStore(t), hashed(t, "x")
	l := newLogin(t, store, Options{PasswordHash: hash, Guesses: 1})
	ctx := t.Context()
	id := strings.Repeat("s", 32)
	if err := store.Put(ctx, key(id), []byte(l.fingerprint), time.Hour); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if by, err := l.check(ctx, credentials{SessionID: id}, "192.0.2.1"); by != "session" || err != nil {
			t.Fatal(by, err)
		}
	}
	for name, o := range map[string]Options{
		"another password": {PasswordHash: hashed(t, "x")}, "another name": {PasswordHash: hash, Username: "root"}, "a token": {PasswordHash: hash, Token: strings.Repeat("t", 16)},
	} {
		if _, err := newLogin(t, store, o).check(ctx, credentials{SessionID: id}, "192.0.2.1"); !errors.Is(err, errCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := store.Forget(ctx, key(id)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.check(ctx, credentials{SessionID: id}, "192.0.2.1"); !errors.Is(err, errCredentials) {
		t.Error(err)
	}
}

func TestGuesses(t *testing.T) {
	l := newLogin(t, newStore(t), Options{PasswordHash: hashed(t, "x"), Guesses: 3, AllGuesses: 5})
	guess := func(address string) error {
		_, err := l.check(t.Context(), credentials{Username: "admin", Password: "y"}, address)
		return err
	}
	for i, c := range []struct {
		address string
		want    error
	}{
		{"192.0.2.1", errCredentials}, {"::ffff:192.0.2.1", errCredentials}, {"192.0.2.1", errCredentials}, {"192.0.2.1", errGuesses},
		{"2001:db8::1", errCredentials}, {"2001:db8::2:2", errCredentials}, // the fifth of all
		{"192.0.2.1", errGuesses}, {"192.0.2.9", errGuesses},
	} {
		if err := guess(c.address); !errors.Is(err, c.want) {
			t.Errorf("%d, from %s: %v", i, c.address, err)
		}
	}
	if _, err := l.check(t.Context(), credentials{Username: "admin", Password: "x"}, "192.0.2.1"); !errors.Is(err, errGuesses) {
		t.Errorf("the right one among too many: %v", err)
	}
}

// While the store is away some may still guess, few.
func TestGuessesAlone(t *testing.T) {
	l := newLogin(t, away{}, Options{PasswordHash: hashed(t, "x")})
	passed := 0
	for range 50 {
		if l.mayGuess(t.Context(), "192.0.2.1") {
			passed++
		}
	}
	if passed < 1 || passed > 20 {
		t.Errorf("%d of 50", passed)
	}
	if _, err := l.check(t.Context(), credentials{SessionID: strings.Repeat("s", 32)}, "192.0.2.1"); !errors.Is(err, errStore) {
		t.Error(err)
	}
}

type away struct{ adapter.Expiring }

func (away) Count(context.Context, string, int64, time.Duration) (int64, error) {
	return 0, adapter.ErrUnavailable
}

func (away) Fetch(context.Context, string) ([]byte, bool, error) {
	return nil, false, adapter.ErrUnavailable
}

func TestSite(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "unknown", "x": "unknown",
	} {
		if got := site(address); got != want {
			t.Errorf("%q: %q, not %q", address, got, want)
		}
	}
}

// What a page is shown has no secret of the client's in it.
func TestShow(t *testing.T) {
	info := adapter.SocketInfo{
		ID: "id", Rooms: []string{"r"},
		Handshake: []byte(`{"headers":{"cookie":"c=SECRET","Authorization":"SECRET","user-agent":"u"},"query":{"EIO":"3","session":"SECRET","Token":"SECRET"},
			"url":"/socket.io/?EIO=3&session=SECRET&Token=SECRET","auth":{"password":"SECRET"},"address":"192.0.2.1","issued":5,"secure":true}`),
		Data: []byte(`{"_admin":{"clientId":"c","transport":"websocket"},"name":"n"}`),
	}
	b, err := json.Marshal(show("/", info))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "SECRET") {
		t.Errorf("%s", b)
	}
	for _, want := range []string{`"id":"id"`, `"clientId":"c"`, `"transport":"websocket"`, `"nsp":"/"`, `"data":{"name":"n"}`, `"rooms":["id","r"]`, `"user-agent":"u"`, `"EIO":"3"`, `"address":"192.0.2.1"`, `"issued":5`, `"secure":true`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	for _, data := range []string{"", "null", "5", `"x"`, "[1]", "{", "{}"} {
		b, err := json.Marshal(show("/", adapter.SocketInfo{ID: "i", Handshake: []byte(data), Data: []byte(data)}))
		if err != nil || !strings.Contains(string(b), `"data":{}`) {
			t.Errorf("%s: %s, %v", data, b, err)
		}
	}
}

func FuzzShow(f *testing.F) {
	f.Add([]byte(`{"url":"/?a=%zz&token=x","query":{"token":"x"},"headers":null}`), []byte(`{"_admin":7}`))
	f.Add([]byte(`[]`), []byte(`{"_admin":{"clientId":"x"}}`))
	f.Fuzz(func(t *testing.T, handshake, data []byte) {
		if _, err := json.Marshal(show("/", adapter.SocketInfo{ID: "i", Handshake: handshake, Data: data})); err != nil {
			t.Error(err)
		}
	})
}

func TestStats(t *testing.T) {
	u, err := New(Options{Token: strings.Repeat("t", 16)})
	if err != nil {
		t.Fatal(err)
	}
	u.Opened("polling")
	u.stats.reset()
	u.Opened("polling")
	u.Opened("websocket")
	u.Upgraded()
	u.Received(2, 10)
	u.Sent(1, 3)
	u.Closed("websocket", "transport close")
	at := time.UnixMilli(1_700_000_000_123)
	u.stats.bucket(at)
	got := fmt.Sprint(u.stats.waiting)
	const ms = "{1700000000000 "
	for _, want := range []string{ms + "rawConnection  2}", ms + "packetsIn  2}", ms + "bytesIn  10}", ms + "packetsOut  1}", ms + "bytesOut  3}", ms + "rawDisconnection transport close 1}"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if c, p := u.stats.clients.Load(), u.stats.polling.Load(); c != 2 || p != 1 {
		t.Errorf("%d clients, %d polling", c, p)
	}
	u.stats.waiting = nil
	if u.stats.bucket(at); len(u.stats.waiting) != 0 {
		t.Errorf("nothing has happened: %v", u.stats.waiting)
	}
	for i := range 1000 {
		u.Closed("websocket", fmt.Sprint("reason ", i))
	}
	if n := len(u.stats.closed); n > maxReasons+1 {
		t.Errorf("%d reasons", n)
	}
	for i := range 3 * maxWaiting {
		u.Sent(1, 1)
		u.stats.bucket(at.Add(time.Duration(i) * time.Second))
	}
	if n := len(u.stats.waiting); n > maxWaiting {
		t.Errorf("%d wait", n)
	}
}

func TestEventArgs(t *testing.T) {
	for _, c := range []struct {
		e    adapter.Event
		want string
	}{
		{adapter.Event{Name: "a", Data: []byte(`["a",{"_placeholder":true,"num":0}]`)}, `["a",{"_placeholder":true,"num":0}]`},
		{adapter.Event{Name: "a", Data: []byte(`["a",{"x":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}, {1, 2}}}, `["a",{"x":"(2 bytes)"},"(1 bytes)"]`},
		{adapter.Event{Name: "a", Data: []byte(`["a","` + strings.Repeat("x", maxShown) + `"]`)}, `["a","(too large to be shown)"]`},
	} {
		if b, err := json.Marshal(eventArgs(c.e)); err != nil || string(b) != c.want {
			t.Errorf("%s, %v", b, err)
		}
	}
}
