package adminui

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/time/rate"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio"
)

// login decides who is a page.
type login struct {
	o           *Options
	store       adapter.Expiring
	fingerprint string        // of the credentials: sessions end when they change
	working     chan struct{} // held by who computes bcrypt: one guess at a time
	alone       *rate.Limiter // while the store cannot count
}

// The messages of refusals. The page opens its form again for the first one,
// so its text is the reference server's.
var (
	errCredentials = &socketio.ConnectError{Message: "invalid credentials"}
	errGuesses     = &socketio.ConnectError{Message: "too many attempts; try again in a minute"}
	errStore       = &socketio.ConnectError{Message: "the store is not available; try again"}
)

// maxPassword is as much as bcrypt reads.
const maxPassword = 72

func (l *login) init(o *Options) {
	l.o = o
	sum := sha256.Sum256([]byte("antchat admin ui\x00" + o.Username + "\x00" + o.PasswordHash + "\x00" + o.Token))
	l.fingerprint = base64.RawURLEncoding.EncodeToString(sum[:16])
	l.working = make(chan struct{}, 1)
	l.alone = rate.NewLimiter(rate.Every(time.Second), 5)
}

// Secrets is what socketio.Options.Secrets must have for the namespace: nobody
// is shown what a page proves itself with.
var Secrets = []string{"sessionId", "password", "token"}

// credentials are what a page sends along.
type credentials struct {
	SessionID, Username, Password, Token string
}

// credentialsOf reads them; those that are no texts are none.
func credentialsOf(s *socketio.Socket) (c credentials, address string) {
	h := s.Handshake()
	var open struct {
		Username string `json:"username"`
	}
	if json.Unmarshal(h.Auth, &open) == nil {
		c.Username = open.Username
	}
	for name, field := range map[string]*string{"sessionId": &c.SessionID, "password": &c.Password, "token": &c.Token} {
		if raw := s.Secret(name); raw == nil || json.Unmarshal(raw, field) != nil {
			*field = ""
		}
	}
	return c, h.Address
}

// state is a page's socket's data, which says how it was let in.
type state struct {
	By string `json:"by"`
}

// admit is connect middleware.
func (l *login) admit(ctx context.Context, s *socketio.Socket) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	c, address := credentialsOf(s)
	by, err := l.check(ctx, c, address)
	if err != nil {
		why := map[error]string{errCredentials: "credentials", errGuesses: "guesses", errStore: "store"}[err]
		if l.o.Hooks.Refused != nil {
			l.o.Hooks.Refused(why)
		}
		if c.Username+c.Password+c.Token != "" {
			l.o.Logger.Warn("admin ui: refused", "why", why, "address", address)
		}
		return err
	}
	s.SetUser("admin")
	return s.SetData(state{By: by})
}

// check says how a page may come in, or why not.
func (l *login) check(ctx context.Context, c credentials, address string) (by string, err error) {
	if c.SessionID != "" {
		switch ok, err := l.known(ctx, c.SessionID); {
		case err != nil:
			return "", errStore
		case ok:
			return "session", nil
		}
	}
	if c.Username == "" && c.Password == "" && c.Token == "" {
		return "", errCredentials
	}
	if !l.mayGuess(ctx, address) {
		return "", errGuesses
	}
	if l.isToken(c.Token) || l.isToken(c.Password) {
		return "token", nil
	}
	ok, err := l.isPassword(ctx, c)
	switch {
	case err != nil:
		return "", errGuesses // others guess just now
	case !ok:
		return "", errCredentials
	}
	return "password", nil
}

func (l *login) isToken(v string) bool {
	if l.o.Token == "" || v == "" {
		return false
	}
	// Hashes have one length, whatever is compared.
	a, b := sha256.Sum256([]byte(v)), sha256.Sum256([]byte(l.o.Token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (l *login) isPassword(ctx context.Context, c credentials) (bool, error) {
	if l.o.PasswordHash == "" {
		return false, nil
	}
	// A wrong name takes as long as a wrong password.
	ok := len(c.Password) <= maxPassword && subtle.ConstantTimeCompare([]byte(c.Username), []byte(l.o.Username)) == 1
	select {
	case l.working <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-l.working }()
	err := bcrypt.CompareHashAndPassword([]byte(l.o.PasswordHash), []byte(c.Password[:min(len(c.Password), maxPassword)]))
	return ok && err == nil, nil
}

// mayGuess counts a guess. While the store cannot count, this node lets few
// pass.
func (l *login) mayGuess(ctx context.Context, address string) bool {
	mine, err := l.store.Count(ctx, "adminui:guess:"+site(address), 1, time.Minute)
	if err != nil {
		return l.alone.Allow()
	}
	if mine > int64(l.o.Guesses) {
		return false // and does not use up everybody's
	}
	all, err := l.store.Count(ctx, "adminui:guess", 1, time.Minute)
	if err != nil {
		return l.alone.Allow()
	}
	return all <= int64(l.o.AllGuesses)
}

// site is what one guesser can hardly have many of: an IPv4 address, or the
// first 64 bits of another.
func site(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return "unknown"
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return "unknown"
	}
	return p.String()
}

// sessionBytes are random in a session's id.
const sessionBytes = 24

// key is where a session is kept: whoever reads the store cannot use it.
func key(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "adminui:session:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func (l *login) known(ctx context.Context, id string) (bool, error) {
	if len(id) != base64.RawURLEncoding.EncodedLen(sessionBytes) {
		return false, nil
	}
	value, ok, err := l.store.Fetch(ctx, key(id))
	return ok && subtle.ConstantTimeCompare(value, []byte(l.fingerprint)) == 1, err
}

// begin gives a page that has shown its password a session, once it was let
// in.
func (l *login) begin(ctx context.Context, s *socketio.Socket) error {
	st, err := socketio.Data[state](s)
	if err != nil {
		return err
	}
	if l.o.Hooks.Admitted != nil {
		l.o.Hooks.Admitted(st.By)
	}
	l.o.Logger.Info("admin ui: a page was let in", "by", st.By, "address", s.Handshake().Address)
	if st.By == "session" {
		return nil
	}
	var raw [sessionBytes]byte
	_, _ = rand.Read(raw[:]) // never fails
	id := base64.RawURLEncoding.EncodeToString(raw[:])
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := l.store.Put(ctx, key(id), []byte(l.fingerprint), l.o.SessionTTL); err != nil {
		// The page works; it will be asked for its password again.
		l.o.Logger.Warn("admin ui: session not kept", "error", err)
		return nil
	}
	return s.Emit("session", id)
}
