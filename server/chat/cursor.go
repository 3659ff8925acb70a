package chat

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// A page of the list of rooms may end at a room that its reader must not know of. So
// its cursor is sealed: with a key that the fleet shares, in a table, and that is made
// when it is first needed. Nodes that make one at the same moment agree on the one that
// was stored last; a cursor of the other is none any more, and its reader begins anew.

const (
	cursorField = "rooms"
	cursorKey   = 32 // bytes: AES-256
	// maxCursor bounds a cursor, in bytes: nonce, name and tag in base64url.
	maxCursor = 2048
)

func (c *Chat) cursorTable() string { return "cursor key " + c.namespace }

// cursorSeal is the cipher. fresh has the key read again.
func (c *Chat) cursorSeal(ctx context.Context, fresh bool) (cipher.AEAD, error) {
	if seal := c.seal.Load(); seal != nil && !fresh {
		return *seal, nil
	}
	for range 2 {
		fields, err := c.store.Fields(ctx, c.cursorTable())
		if err != nil {
			return nil, fmt.Errorf("read cursor key: %w", err)
		}
		if key := fields[cursorField]; len(key) == cursorKey {
			block, err := aes.NewCipher(key)
			if err != nil {
				return nil, fmt.Errorf("cursor key: %w", err)
			}
			seal, err := cipher.NewGCMWithRandomNonce(block)
			if err != nil {
				return nil, fmt.Errorf("cursor key: %w", err)
			}
			c.seal.Store(&seal)
			return seal, nil
		}
		key := make([]byte, cursorKey)
		rand.Read(key) // never fails
		if err := c.store.SetField(ctx, c.cursorTable(), cursorField, key, pointerKeep); err != nil {
			return nil, fmt.Errorf("store cursor key: %w", err)
		}
	}
	return nil, fmt.Errorf("cursor key: the store has another than was stored")
}

// SealRoom makes the cursor of a page that ends at a room.
func (c *Chat) SealRoom(ctx context.Context, room string) (string, error) {
	seal, err := c.cursorSeal(ctx, false)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(seal.Seal(nil, nil, []byte(room), []byte(cursorField))), nil
}

// OpenRoom is the room at which the page of a cursor ended. *[Invalid] when it is none.
func (c *Chat) OpenRoom(ctx context.Context, cursor string) (string, error) {
	invalid := &Invalid{FieldCursor, "is none of a page of rooms, or too old"}
	if len(cursor) > maxCursor {
		return "", invalid
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", invalid
	}
	for _, fresh := range []bool{false, true} {
		seal, err := c.cursorSeal(ctx, fresh)
		if err != nil {
			return "", err
		}
		if room, err := seal.Open(nil, nil, sealed, []byte(cursorField)); err == nil {
			return string(room), nil
		}
	}
	return "", invalid
}
