package engineio

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestQueue takes random messages through a queue in writes of random length, and
// compares with plain bytes.
func TestQueue(t *testing.T) {
	scratch := make([]byte, 0, maxWrite)
	for round := range 10 {
		var q queue
		var want, got []byte
		var pushed, messages int
		for pushed < 300 || q.count() > 0 {
			if pushed < 300 && rand.IntN(3) > 0 {
				n := rand.IntN(100)
				if rand.IntN(20) == 0 {
					n = rand.IntN(200_000)
				}
				p := prepare(3, bytes.Repeat([]byte{byte('a' + pushed%26)}, n), nil)
				if rand.IntN(10) == 0 {
					p = prepare(3, []byte("x"), [][]byte{{1, 2, 3}})
				}
				q.push(p)
				want = append(want, p.bytes(round%2 == 0)...)
				pushed++
				continue
			}
			s := scratch
			if rand.IntN(4) == 0 {
				s = nil
			}
			b := q.batch(s, round%2 == 0)
			if len(b) > maxWrite {
				t.Fatalf("batch of %d bytes", len(b))
			}
			if len(b) > 0 && rand.IntN(2) == 0 {
				b = b[:rand.IntN(len(b)+1)]
			}
			got = append(got, b...)
			messages += q.written(len(b), round%2 == 0)
		}
		if !bytes.Equal(got, want) || messages != pushed || q.waiting() != 0 || q.head != nil {
			t.Fatalf("%d of %d bytes, %d of %d messages, size %d", len(got), len(want), messages, pushed, q.waiting())
		}
		q.push(packetPing)
		q.push(packetPing)
		q.clear()
		if q.waiting() != 0 || q.count() != 0 || q.head != nil {
			t.Fatal("not empty after clear")
		}
	}
}
