package local

import (
	"crypto/sha256"
	"encoding/binary"
)

// keyHash stands for a room and a dedupe key: 128 bits of SHA-256, so that
// keys of any length cost the same and none can be made to collide.
type keyHash [16]byte

func hashKey(k roomKey, key string) keyHash {
	h := sha256.New()
	var n [8]byte
	for _, s := range []string{k.namespace, k.room} {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	h.Write([]byte(key))
	var sum [sha256.Size]byte
	return keyHash(h.Sum(sum[:0])[:16])
}

// answered is the first answer to a key.
type answered struct {
	log    *roomLog
	seq    uint64
	pos    uint64
	at     int64
	digest [16]byte
}

// dedupe remembers keys in two buckets of a window each: a key is known for at
// least one window and at most two (DELIVERY, "Append", step 3). Owned by the
// committer.
type dedupe struct {
	windowMilli int64
	max         int
	bucket      int64 // number of the current bucket
	current     map[keyHash]answered
	last        map[keyHash]answered
}

func newDedupe(windowMilli int64, maxKeys int, nowMilli int64) *dedupe {
	return &dedupe{
		windowMilli: windowMilli, max: maxKeys, bucket: nowMilli / windowMilli,
		current: make(map[keyHash]answered), last: make(map[keyHash]answered),
	}
}

// turn moves on to the bucket of a time. Time going back turns nothing.
func (d *dedupe) turn(nowMilli int64) {
	b := nowMilli / d.windowMilli
	switch {
	case b <= d.bucket:
		return
	case b == d.bucket+1:
		d.last, d.current = d.current, make(map[keyHash]answered)
	default:
		d.last, d.current = make(map[keyHash]answered), make(map[keyHash]answered)
	}
	d.bucket = b
}

func (d *dedupe) find(h keyHash) (answered, bool) {
	if a, ok := d.current[h]; ok {
		return a, true
	}
	a, ok := d.last[h]
	return a, ok
}

func (d *dedupe) full(more int) bool { return d.len()+more >= d.max }

func (d *dedupe) len() int { return len(d.current) + len(d.last) }

// oldest is the time of the oldest key that is still to be known.
func (d *dedupe) oldest() int64 { return (d.bucket - 1) * d.windowMilli }

func (d *dedupe) put(h keyHash, a answered) {
	switch b := a.at / d.windowMilli; {
	case b >= d.bucket:
		d.current[h] = a
	case b == d.bucket-1:
		d.last[h] = a
	}
}
