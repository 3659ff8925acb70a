package socketio

import (
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

// A broadcast is encoded once per form in use, whoever many it goes to: a text
// without offset is the same for both revisions, binary is not.
func TestFormsOfABroadcast(t *testing.T) {
	encoded := make(chan [2]int, 1)
	s := newTestServer(t, Options{Recovery: true, Hooks: Hooks{Delivered: func(_ *adapter.Delivery, recipients, forms int, _ time.Duration) {
		encoded <- [2]int{recipients, forms}
	}}})
	ns := s.Of("/")
	var peers []*peer
	add := func(n, revision int, agent string, msgpack bool) {
		for range n {
			c := newFakeConn(revision)
			c.headers = map[string]string{"user-agent": agent}
			p := s.open(c)
			switch {
			case msgpack:
				p.sayBinary(append([]byte{0x82, 0xa4}, "type\x00\xa3nsp\xa1/"...))
			case revision == 4:
				p.say("0")
			}
			p.next()
			eventually(t, "connected", func() bool { return free(p.client.root) })
			peers = append(peers, p)
		}
	}
	check := func(what string, text, binary int) {
		t.Helper()
		for want, args := range map[int][]any{text: {"x"}, binary: {Binary{1}}} {
			if err := ns.Emit(t.Context(), "e", args...); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-encoded:
				if got != [2]int{len(peers), want} {
					t.Errorf("%s: %d recipients, %d forms, want %d, %d", what, got[0], got[1], len(peers), want)
				}
			case <-time.After(patience):
				t.Fatal("not delivered")
			}
		}
	}
	add(2, 3, "Mozilla/5.0", false)
	check("protocol 4", 1, 1)
	add(2, 4, "okhttp/4", false)
	if err := ns.Emit(t.Context(), "e"); err != nil {
		t.Fatal(err)
	}
	if got := <-encoded; got[1] != 1 {
		t.Errorf("text in both protocols took %d forms", got[1])
	}
	check("both", 1, 2)
	add(2, 4, "Mozilla/5.0", false)
	check("with offsets", 2, 3)
	add(2, 4, "Mozilla/5.0", true)
	check("with the msgpack parser", 3, 4)
	add(2, 4, "okhttp/4", true)
	check("everything", 4, 5)
}
