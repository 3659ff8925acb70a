package chat

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// A direct room is between two people, whoever else is in the chat. Its name is
// @A.B: their public ids, the lesser first. Only these two may read and write it,
// whatever the rules say, and it is in no list of rooms.
const directPrefix = "@"

// publicLen is the length of a public id: 16 bytes in base64url.
const publicLen = 22

// PublicID is how others name a user: stable, and telling nothing of the user id
// or of the subject behind it.
func PublicID(user string) string {
	sum := sha256.Sum256([]byte("antchat public\x00" + user))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// IsPublicID says whether a text has the form of a public id.
func IsPublicID(s string) bool {
	if len(s) != publicLen {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == 16
}

// direct is the pair of a direct room.
type direct struct{ a, b string }

func (d direct) has(public string) bool { return d.a == public || d.b == public }

// parseDirect reads the name of a direct room.
func parseDirect(room string) (d direct, ok bool) {
	pair, ok := strings.CutPrefix(room, directPrefix)
	if !ok {
		return d, false
	}
	d.a, d.b, ok = strings.Cut(pair, ".")
	return d, ok && d.a < d.b && IsPublicID(d.a) && IsPublicID(d.b)
}

// IsDirect says whether a room is between two people.
func IsDirect(room string) bool { _, ok := parseDirect(room); return ok }

// Partner is the public id of the other one in a direct room of user, "" when it
// is none.
func Partner(room, user string) string {
	d, ok := parseDirect(room)
	switch public := PublicID(user); {
	case !ok:
		return ""
	case d.a == public:
		return d.b
	case d.b == public:
		return d.a
	}
	return ""
}

// RoomFor checks and normalises a room as a user names it: by [Limits.Room], or
// as @ID, which is the direct room with the person of that public id.
func (l Limits) RoomFor(user, s string) (string, error) {
	other, ok := strings.CutPrefix(s, directPrefix)
	if !ok || !IsPublicID(other) {
		return l.Room(s)
	}
	own := PublicID(user)
	switch {
	case own == other:
		return "", &Invalid{FieldRoom, "must be between two people"}
	case own < other:
		return directPrefix + own + "." + other, nil
	}
	return directPrefix + other + "." + own, nil
}

// personalPrefix begins the adapter's name of the room that all of a user's
// sockets are in, whatever else they are in. No chat room can have such a name.
const personalPrefix = "user:"

// IsPersonalRoom says that an adapter's room is some user's own.
func IsPersonalRoom(adapterRoom string) bool { return strings.HasPrefix(adapterRoom, personalPrefix) }

// PersonalRoom is the adapter's name of the room of a user's own sockets.
func PersonalRoom(public string) string { return personalPrefix + public }
