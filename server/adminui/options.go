package adminui

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Options of the namespace. A zero field means the default named here; one of
// PasswordHash and Token is required.
type Options struct {
	// Namespace is what the page asks for: "/admin".
	Namespace string
	// Username and PasswordHash, in bcrypt's form with a cost of at most
	// MaxCost, are what the page's form asks for. The name is "admin".
	Username     string
	PasswordHash string
	// Token lets in without a name: as the field token that a client sends
	// along, or as the password in the page's form. At least MinToken bytes.
	Token string
	// SessionTTL is how long a page that was let in comes back without its
	// password: 24 h.
	SessionTTL time.Duration
	// ReadOnly refuses every command.
	ReadOnly bool
	// Development shows each socket, its rooms, data and handshake, and each
	// event with its arguments. Off, only counts leave a node.
	Development bool

	// ServerID tells this node from all others: the host name and Node.
	ServerID string
	Node     string
	// Interval is the time between two reports of a node that is watched: 2 s.
	// The page takes a server for unhealthy after 10 s of silence.
	Interval time.Duration

	// Limits. MaxSockets bounds the sockets that a page is shown at its
	// beginning, and those of one node whose changes are followed: 5,000.
	// MaxListing bounds the former in bytes: 512 KiB, which must be well below
	// what a connection may have queued. MaxEvents bounds the events of clients
	// that a node tells of in a second: 200; more are left out and counted.
	// Guesses bounds the passwords tried in a minute from one address: 10;
	// AllGuesses those from everywhere: 120. Sessions do not count.
	MaxSockets, MaxListing, MaxEvents, Guesses, AllGuesses int

	// Logger gets logins and commands. Discarded when nil.
	Logger *slog.Logger
	Hooks  Hooks
}

// Hooks are called, when set, from the goroutine that does the work; they must
// be fast.
type Hooks struct {
	// Admitted: a page was let in, by "password", "token" or "session".
	Admitted func(by string)
	// Refused: it was not: "credentials", "guesses", "store".
	Refused func(why string)
	// Dropped: something was left out of what pages are told.
	Dropped func()
}

const (
	// MaxCost bounds the work that one guess makes: each step doubles it, and
	// 14 are about a second.
	MaxCost = 14
	// MinToken is the least length of a token in bytes.
	MinToken = 16
)

// HashPassword makes Options.PasswordHash: of 1 to 72 bytes, which is as much as
// bcrypt reads. It takes about a quarter of a second.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", fmt.Errorf("adminui: a password has 1 to %d bytes", maxPassword)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 12)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(hash), nil
}

// Errors of New.
var (
	ErrNoCredentials = errors.New("adminui: neither a password nor a token")
	ErrPasswordHash  = fmt.Errorf("adminui: no bcrypt hash with a cost of at most %d", MaxCost)
	ErrToken         = fmt.Errorf("adminui: a token has at least %d bytes", MinToken)
)

func (o Options) withDefaults() (Options, error) {
	def(&o.Namespace, "/admin")
	def(&o.Username, "admin")
	def(&o.SessionTTL, 24*time.Hour)
	def(&o.Interval, 2*time.Second)
	def(&o.MaxSockets, 5000)
	def(&o.MaxListing, 512<<10)
	def(&o.MaxEvents, 200)
	def(&o.Guesses, 10)
	def(&o.AllGuesses, 120)
	if o.ServerID == "" {
		o.ServerID = hostname()
		if o.Node != "" {
			o.ServerID += "#" + o.Node
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.PasswordHash == "" && o.Token == "" {
		return o, ErrNoCredentials
	}
	if o.PasswordHash != "" {
		if cost, err := bcrypt.Cost([]byte(o.PasswordHash)); err != nil || cost > MaxCost {
			return o, ErrPasswordHash
		}
	}
	if o.Token != "" && len(o.Token) < MinToken {
		return o, ErrToken
	}
	return o, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
