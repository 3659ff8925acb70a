package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

// roamer is a client that is cut off at random moments and comes back with the
// last offset that it has read: what was in flight is lost with the connection.
type roamer struct {
	t    testing.TB
	s    *testServer
	rng  *rand.Rand
	name string

	p           *peer
	sid, pid    string
	offset      string
	lobby, all  []string // what was read, in order
	side        uint64   // last seq of the room joined later; 0 before
	joined      bool
	reconnected int
}

// come connects or reconnects, and reads up to the accept.
func (r *roamer) come() {
	auth := "{}"
	if r.pid != "" {
		fields := map[string]string{"pid": r.pid}
		if r.offset != "" {
			fields["offset"] = r.offset
		}
		b, _ := json.Marshal(fields)
		auth = string(b)
		r.reconnected++
	}
	old := r.p
	if old != nil && r.rng.IntN(2) == 0 {
		old.Close("transport close") // otherwise half-open: fenced
	}
	r.p = r.s.v5()
	sid, pid := r.p.connect("/", auth)
	if r.pid != "" && (sid != r.sid || pid != r.pid) {
		r.t.Errorf("%s was not recovered", r.name)
	}
	r.sid, r.pid = sid, pid
	if r.reconnected == 0 {
		r.until("4"+r.name, `24["ready"]`)
	}
}

// until says something and reads until its ack has come.
func (r *roamer) until(what, say string) {
	r.p.say(say)
	for {
		if r.read() == "ack" {
			return
		}
		if r.t.Failed() {
			return
		}
	}
}

// read reads one frame.
func (r *roamer) read() string {
	frame := r.p.next()
	if frame == "" {
		return ""
	}
	if strings.HasPrefix(frame, "3") {
		if h := between(frame, `{"head":`, "}"); h != "" {
			var head uint64
			_, _ = fmt.Sscan(h, &head)
			if r.joined && head != r.side {
				r.t.Errorf("%s joined again at %d, but has read up to %d", r.name, head, r.side)
			}
			r.side, r.joined = head, true
		}
		return "ack"
	}
	event, offset := split(r.t, frame)
	r.offset = offset
	var args []any
	if err := json.Unmarshal([]byte(event[1:]), &args); err != nil {
		r.t.Errorf("%s: %v", event, err)
		return ""
	}
	switch args[0] {
	case "message":
		r.lobby = append(r.lobby, args[1].(string))
	case "all":
		r.all = append(r.all, args[1].(string))
	case "side":
		// A session in the room before this client has read the answer to its
		// join may get messages early; the answer then covers them.
		seq := uint64(args[1].(float64))
		if r.joined && seq != r.side+1 {
			r.t.Errorf("%s: message %d of side after %d", r.name, seq, r.side)
		}
		r.side = seq
	}
	return args[0].(string)
}

func TestExactlyOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := newTestServer(t, Options{Recovery: true})
	ns := s.Of("/")
	ns.OnConnect(func(ctx context.Context, s *Socket) error {
		if s.Recovered() {
			return nil
		}
		return s.Join(ctx, "lobby")
	})
	logTo := func(ctx context.Context, s *Socket, room string, e adapter.Event) error {
		_, err := s.client.server.adapter.Append(ctx, adapter.Append{
			Namespace: "/", Room: room, Event: e, Sender: s.ID(), Owner: s.Owner(),
		})
		return err
	}
	On(ns, "ready", func(context.Context, *Socket, struct{}) (struct{}, error) { return struct{}{}, nil })
	On(ns, "post", func(ctx context.Context, s *Socket, text string) (struct{}, error) {
		e, err := NewEvent("message", text)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, logTo(ctx, s, "lobby", e)
	})
	On(ns, "direct", func(_ context.Context, s *Socket, _ struct{}) (struct{}, error) {
		return struct{}{}, s.Emit("direct")
	})
	On(ns, "join side", func(ctx context.Context, s *Socket, _ struct{}) (map[string]uint64, error) {
		cut, err := s.JoinRead(ctx, "side", adapter.LogRead{Limit: 1})
		if err != nil {
			return nil, err
		}
		return map[string]uint64{"head": cut.Read.Head}, nil
	})

	const roamers, posts = 5, 40
	var work, feeders sync.WaitGroup
	all := make([]*roamer, roamers)
	for i := range all {
		all[i] = &roamer{t: t, s: s, rng: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprint(i)}
		all[i].come()
	}
	stop := make(chan struct{})
	feeders.Go(func() {
		for i := 0; ; i++ {
			// Slow enough that nobody misses more than a held socket or the
			// room's log keeps, however busy the machine is.
			select {
			case <-stop:
				return
			case <-time.After(500 * time.Microsecond):
			}
			e, err := NewEvent("side", i+1)
			if err == nil {
				_, err = s.adapter.Append(t.Context(), adapter.Append{Namespace: "/", Room: "side", Event: e})
			}
			if err == nil && i%3 == 0 {
				err = ns.Emit(t.Context(), "all", fmt.Sprint(i))
			}
			if err == nil && i%5 == 0 {
				err = ns.To("lobby").Volatile().Emit(t.Context(), "now")
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i, r := range all {
		work.Go(func() {
			for n := range posts {
				switch r.rng.IntN(5) {
				case 0: // cut off with frames unread
					r.come()
				case 1:
					r.until("", `21["join side"]`)
				case 2:
					r.until("", `21["direct"]`)
				}
				if r.t.Failed() {
					return
				}
				post := fmt.Sprintf(`22["post","%d-%d"]`, i, n)
				if r.rng.IntN(3) == 0 {
					r.p.say(post)
				} else {
					r.until("", post)
				}
			}
		})
	}
	work.Wait()
	close(stop)
	feeders.Wait()
	for _, r := range all {
		r.come()
	}
	// What is sent now comes last to everybody.
	if err := ns.Emit(t.Context(), "all", "end"); err != nil {
		t.Fatal(err)
	}
	slice, err := s.adapter.Read(t.Context(), "/", "lobby", adapter.LogRead{Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	var generic []string
	for i, r := range all {
		for !t.Failed() && (len(r.all) == 0 || r.all[len(r.all)-1] != "end") {
			r.read()
		}
		var want []string
		for _, d := range slice.Entries {
			var args []string
			if err := json.Unmarshal(d.Event.Data, &args); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(args[1], fmt.Sprintf("%d-", i)) {
				want = append(want, args[1])
			}
		}
		if !slices.Equal(r.lobby, want) {
			t.Errorf("%s, reconnected %d times, read %d messages %q, want %d: %q", r.name, r.reconnected, len(r.lobby), r.lobby, len(want), want)
		}
		if i == 0 {
			generic = r.all
		} else if !slices.Equal(r.all, generic) {
			// The first to come may have been there for a few more.
			t.Errorf("%s read %d generic events, another %d", r.name, len(r.all), len(generic))
		}
		if t.Failed() {
			return
		}
	}
}
