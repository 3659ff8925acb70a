package chat

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"
)

// A user id names a person across sockets and reconnects. In open mode it is a
// hash of something only that person's client knows; with tokens, of the
// subject. It never leaves the fleet. The first character says where it comes from.
const (
	userSession    = 's' // the client's session secret
	userPID        = 'p' // the private id of its first recovery session
	userConnection = 'c' // nothing that lasts: ends with the connection
	userSubject    = 't' // the subject of a token
	userBackend    = 'k' // a program with a key, and no person
)

// maxUser is the length of a user id: where it comes from, and 16 bytes in base64url.
const maxUser = 1 + publicLen

// Author is who sends: the stable identity and the name that others see.
type Author struct {
	User string
	Name string
}

// UserOfSecret is the user of a client-made session secret of 16 to 128 bytes.
// Only this hash is kept. Its errors are [*Invalid].
func UserOfSecret(secret string) (string, error) {
	if len(secret) < MinSecret || len(secret) > MaxSecret {
		return "", &Invalid{FieldSecret, fmt.Sprintf("must have %d to %d bytes", MinSecret, MaxSecret)}
	}
	if err := printable(FieldSecret, secret); err != nil {
		return "", err
	}
	return hashed(userSession, secret), nil
}

// UserOfPID is the user of a client without a secret that can recover: only it
// and the server know the pid. Only this hash is kept.
func UserOfPID(pid string) string { return hashed(userPID, pid) }

// UserOfConnection is the user of a client that can prove nothing.
func UserOfConnection(id string) string { return hashed(userConnection, id) }

// UserOfSubject is the user whom a token's issuer calls so.
func UserOfSubject(subject string) string { return hashed(userSubject, subject) }

// UserOfBackend is the user of a program that is called so.
func UserOfBackend(id string) string { return hashed(userBackend, id) }

// Proven: the user id came from a session secret or a token, so whoever claims to
// be that user must show it again.
func Proven(user string) bool {
	return user != "" && (user[0] == userSession || user[0] == userSubject)
}

// GuestName is the name of somebody who has given none: stable for the user,
// and telling nothing of the user id.
func GuestName(user string) string {
	sum := sha256.Sum256([]byte("antchat guest\x00" + user))
	return "guest-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5]))[:6]
}

func hashed(kind byte, secret string) string {
	sum := sha256.Sum256([]byte("antchat user\x00" + string(kind) + secret))
	return string(kind) + base64.RawURLEncoding.EncodeToString(sum[:16])
}
