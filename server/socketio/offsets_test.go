package socketio

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/antchat/antchat/adapter"
)

// stubAdapter lets a test be the sequencer: it calls the receiver itself.
type stubAdapter struct {
	adapter.Adapter // what is not needed panics
	lanes           int
	receiver        adapter.Receiver
}

func (a *stubAdapter) Lanes() int                                                        { return a.lanes }
func (a *stubAdapter) NodeID() string                                                    { return "node-1" }
func (a *stubAdapter) Open(_ string, r adapter.Receiver)                                 { a.receiver = r }
func (a *stubAdapter) Add(context.Context, string, adapter.Socket, *adapter.Owner) error { return nil }
func (a *stubAdapter) Remove(string, adapter.Socket)                                     {}
func (a *stubAdapter) Gone(adapter.Owner)                                                {}
func (a *stubAdapter) End(adapter.Owner)                                                 {}
func (a *stubAdapter) Rooms(string, string) []string                                     { return nil }
func (a *stubAdapter) Create(_ context.Context, s adapter.Session) (adapter.Owner, error) {
	return adapter.Owner{PID: s.PID, Token: 1}, nil
}

// TestOffsetClaims: at whatever frame a client is cut off, the offset of the
// last frame that it read is at least the position of every broadcast before
// it and below that of every broadcast after it, those kept back included. So
// the client gets each exactly once, on recovery or before. Deliveries, holds,
// releases and direct emits come in any order, on one lane and on several.
func TestOffsetClaims(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lanes := rapid.IntRange(1, adapter.MaxLanes).Draw(t, "lanes")
		a := &stubAdapter{lanes: lanes}
		srv := NewServer(a, Options{Recovery: true, Offsets: OffsetsAlways})
		srv.Of("/")
		const n = 3
		var conns [n]*fakeConn
		var sockets [n]*Socket
		for i := range n {
			c := newFakeConn(4)
			c.client = srv.Accept(c)
			if err := c.client.Text([]byte("0")); err != nil {
				t.Fatal(err)
			}
			conns[i] = c
			for !free(c.client.root) {
			}
			sockets[i] = c.client.root
			c.sent = nil
		}
		defer func() {
			for _, c := range conns {
				c.Close("transport close")
				c.wg.Wait()
			}
			if err := srv.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}()

		type delivered struct {
			lane int
			pos  uint64
		}
		var at adapter.Position
		var due [n]map[int]delivered // by number, what each socket is to get
		var holds [n][]adapter.Position
		for i := range n {
			due[i] = make(map[int]delivered)
		}
		number := 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "socket")
			switch rapid.SampledFrom([]string{"deliver", "deliver", "ephemeral", "direct", "hold", "release", "tell"}).Draw(t, "step") {
			case "deliver":
				lane := rapid.IntRange(0, lanes-1).Draw(t, "lane")
				at[lane] += uint64(rapid.IntRange(1, 3).Draw(t, "distance"))
				number++
				var to []adapter.Socket
				for j, s := range sockets {
					if j == i || rapid.Bool().Draw(t, "also") {
						to = append(to, (*member)(s))
						due[j][number] = delivered{lane, at[lane]}
					}
				}
				e, _ := NewEvent("b", number)
				a.receiver.Deliver(&adapter.Delivery{
					Namespace: "/", Event: e, Class: adapter.Recoverable, Position: at, Lane: lane, Pos: at[lane],
				}, to)
			case "ephemeral":
				e, _ := NewEvent("x")
				a.receiver.Deliver(&adapter.Delivery{Namespace: "/", Event: e, Position: at}, []adapter.Socket{(*member)(sockets[i])})
			case "tell":
				e, _ := NewEvent("x")
				sockets[i].ns.tell(e, "", []adapter.Socket{(*member)(sockets[i])})
			case "direct":
				if err := sockets[i].Emit("x"); err != nil {
					t.Fatal(err)
				}
			case "hold":
				(*member)(sockets[i]).Hold()
				holds[i] = append(holds[i], at)
			case "release":
				if len(holds[i]) > 0 {
					k := rapid.IntRange(0, len(holds[i])-1).Draw(t, "which")
					cut := holds[i][k]
					holds[i] = append(holds[i][:k:k], holds[i][k+1:]...)
					sockets[i].release(&cut)
				}
			}
		}
		for i, c := range conns {
			seen := make(map[int]bool)
			var last int
			var offset adapter.Position
			for _, f := range c.sent {
				text, off := splitOffset(t, f.text)
				p, err := adapter.ParseOffset(off, lanes)
				if err != nil {
					t.Fatalf("offset %q: %v", off, err)
				}
				if !covers(p, offset) {
					t.Fatalf("socket %d: offset went back", i)
				}
				offset = p
				var k int
				if _, err := fmt.Sscanf(text, `2["b",%d]`, &k); err == nil {
					if seen[k] || k < last {
						t.Fatalf("socket %d: %d repeated or out of order", i, k)
					}
					seen[k], last = true, k
				}
				for k, d := range due[i] {
					if seen[k] != (d.pos <= offset[d.lane]) {
						t.Fatalf("socket %d: broadcast %d at %d/%d read: %v, but the offset is %v", i, k, d.lane, d.pos, seen[k], offset)
					}
				}
			}
			if len(holds[i]) == 0 && len(seen) != len(due[i]) {
				t.Fatalf("socket %d got %d of %d", i, len(seen), len(due[i]))
			}
		}
	})
}

// free says that a socket is connected and let go of.
func free(s *Socket) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == socketAccepted && s.holds == 0 && !s.running
}

func splitOffset(t *rapid.T, frame string) (event, offset string) {
	i := strings.LastIndex(frame, `,"1.`)
	if i < 0 {
		t.Fatalf("no offset in %s", frame)
	}
	return frame[:i] + "]", frame[i+2 : len(frame)-2]
}
