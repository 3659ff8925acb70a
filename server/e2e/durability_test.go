package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const durabilityRoom = "durable"

// sender writes numbered messages one after the other, each with its id, and
// sends one again under the same id until it is acknowledged.
type sender struct {
	name  string
	addr  string
	acked []int // the seq of each message, in the order of writing
	tries int
}

// dial connects as the same person as before: the secret proves it.
func (s *sender) dial(t *testing.T) *rawWS {
	ws, status, err := tryWS(t, s.addr, "EIO=4&transport=websocket", "")
	if err != nil || status != 101 {
		return nil
	}
	ws.text(fmt.Sprintf(`40{"session":"the secret of %s, long enough"}`, s.name))
	for {
		packet, err := ws.packet()
		if err != nil {
			ws.conn.Close()
			return nil
		}
		if strings.HasPrefix(packet, "40{") {
			break
		}
	}
	var joined json.RawMessage
	if err := ws.call(&joined, "join room", map[string]any{"room": durabilityRoom, "limit": 1}); err != nil || refused(joined) {
		ws.conn.Close()
		return nil
	}
	return ws
}

// run writes until stop; what it returns is an answer that no retry can mend.
func (s *sender) run(t *testing.T, stop <-chan struct{}, all *atomic.Int64) error {
	var ws *rawWS
	defer func() {
		if ws != nil {
			ws.conn.Close()
		}
	}()
	for n := 0; ; n++ {
		id := fmt.Sprintf("%s-%d", s.name, n)
		for acked := false; !acked; {
			if ws == nil {
				if ws = s.dial(t); ws == nil {
					time.Sleep(20 * time.Millisecond)
					continue
				}
			}
			s.tries++
			var ack struct {
				Seq   int
				ID    string
				Error *struct {
					Code      string
					Retryable bool
				}
			}
			err := ws.call(&ack, "new message", map[string]any{"room": durabilityRoom, "message": id, "id": id})
			switch {
			case err != nil:
				ws.conn.Close()
				ws = nil
			case ack.Error != nil && !ack.Error.Retryable:
				return fmt.Errorf("%s was refused: %s", id, ack.Error.Code)
			case ack.Error != nil:
				time.Sleep(20 * time.Millisecond)
			case ack.Seq == 0 || ack.ID != id:
				return fmt.Errorf("%s has an odd ack: %+v", id, ack)
			default:
				s.acked, acked = append(s.acked, ack.Seq), true
				all.Add(1)
			}
		}
		select {
		case <-stop:
			return nil
		default:
		}
	}
}

// TestNothingAckedIsLost: people write while the server is killed (kill -9) or
// stopped and started again and again. Afterwards the room holds every message
// that was acknowledged, under the number that was acknowledged, once, and
// each sender's in the order of writing.
func TestNothingAckedIsLost(t *testing.T) {
	p := startServer(t, map[string]string{"LOG_MAX_MESSAGES": "1000000", "FAIRNESS_MODE": "off"})
	senders := []*sender{{name: "하나"}, {name: "둘"}, {name: "셋"}, {name: "넷"}}
	var all atomic.Int64
	var done sync.WaitGroup
	stop := make(chan struct{})
	for _, s := range senders {
		s.addr = p.addr
		done.Go(func() {
			if err := s.run(t, stop, &all); err != nil {
				t.Error(err)
			}
		})
	}
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 8 {
		from := all.Load()
		waitFor(t, "the senders to write", func() bool { return all.Load() > from+50 })
		time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
		if round%4 == 3 {
			p.stop()
		} else {
			p.kill()
		}
		p.restart()
	}
	close(stop)
	done.Wait()

	stored := readRoom(t, p)
	place := map[string]int{}
	for i, m := range stored {
		if m.Seq != i+1 {
			t.Fatalf("message %d of the log has seq %d", i+1, m.Seq)
		}
		if m.ID != m.Message {
			t.Errorf("seq %d: id %q, text %q", m.Seq, m.ID, m.Message)
		}
		if first, twice := place[m.ID]; twice {
			t.Errorf("%s is there twice, as %d and %d", m.ID, first, m.Seq)
		}
		place[m.ID] = m.Seq
	}
	total := 0
	for _, s := range senders {
		last := 0
		for n, seq := range s.acked {
			id := fmt.Sprintf("%s-%d", s.name, n)
			if place[id] != seq {
				t.Errorf("%s was acknowledged as %d and is stored as %d", id, seq, place[id])
			}
			if seq <= last {
				t.Errorf("%s has seq %d, not after the one before it, %d", id, seq, last)
			}
			last = seq
		}
		total += len(s.acked)
		t.Logf("%s: %d messages acknowledged, %d sent again", s.name, len(s.acked), s.tries-len(s.acked))
	}
	if len(stored) != total {
		t.Errorf("%d messages stored, %d acknowledged", len(stored), total)
	}
}

// readRoom reads the whole log, page by page.
func readRoom(t *testing.T, p *process) (stored []message) {
	t.Helper()
	ws := connectWS(t, p.addr)
	for after := 0; ; {
		var page struct {
			Messages []message
			More     bool
		}
		ws.mustCall(&page, "history", map[string]any{"room": durabilityRoom, "after": after, "limit": 200})
		if len(page.Messages) == 0 {
			return stored
		}
		stored = append(stored, page.Messages...)
		after = page.Messages[len(page.Messages)-1].Seq
	}
}
