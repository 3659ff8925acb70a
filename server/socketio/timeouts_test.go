package socketio

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// passing runs a test in a bubble of its own time.
func passing(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestTimeouts(t *testing.T) {
	passing(t, "connect", func(t *testing.T) {
		s := newTestServer(t, Options{})
		s.Of("/").Use(func(context.Context, *Socket) error { return errors.New("no") })
		s.Of("/open")
		start := time.Now()
		silent, refused, joined, old := s.v5(), s.v5(), s.v5(), s.v4()
		refused.say("0")
		joined.connect("/open", "")
		for _, p := range []*peer{silent, refused, old} {
			p.mu.Lock()
			for p.reason == "" {
				p.cond.Wait()
			}
			p.mu.Unlock()
			if d := time.Since(start); d != 45*time.Second || p.reason != "forced server close" {
				t.Errorf("closed after %v by %q", d, p.reason)
			}
		}
		time.Sleep(time.Hour)
		if joined.reason != "" {
			t.Errorf("closed: %q", joined.reason)
		}
	})
	passing(t, "ack", func(t *testing.T) {
		timedOut := 0
		s := newTestServer(t, Options{Hooks: Hooks{AckTimedOut: func(*Socket) { timedOut++ }}})
		s.Of("/")
		p := s.v5()
		p.connect("/", "")
		synctest.Wait()
		root := p.client.root
		start := time.Now()
		_, err := root.EmitWithAck(t.Context(), "q")
		if !errors.Is(err, ErrAckTimeout) || time.Since(start) != 10*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		start = time.Now()
		_, err = root.Timeout(70*time.Millisecond).EmitWithAck(t.Context(), "q")
		if !errors.Is(err, ErrAckTimeout) || time.Since(start) != 70*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if timedOut != 2 || root.workLocked().acks != nil {
			t.Errorf("%d timed out, %d left", timedOut, len(root.workLocked().acks))
		}
	})
	passing(t, "broadcast ack", func(t *testing.T) {
		s := newTestServer(t, Options{})
		ns := s.Of("/")
		p, q, r := s.v5(), s.v4(), s.v5()
		p.connect("/", "")
		q.want("0")
		r.connect("/", "")
		synctest.Wait()
		go func() {
			synctest.Wait()
			p.say(`31["yes",1]`)
			q.say(`31[]`)
		}()
		start := time.Now()
		a, err := ns.Timeout(2*time.Second).Request(t.Context(), "q", "x")
		if err != nil || a.Expected != 3 || len(a.Replies) != 2 || a.Complete() || time.Since(start) != 2*time.Second {
			t.Errorf("got %+v, %v after %v", a, err, time.Since(start))
		}
		for _, reply := range a.Replies {
			if want := map[string]string{p.client.root.ID(): `["yes",1]`, q.id: "[]"}[reply.SocketID]; string(reply.Args) != want {
				t.Errorf("%s answered %s, want %s", reply.SocketID, reply.Args, want)
			}
		}
		p.want(`21["q","x"]`)
		time.Sleep(time.Millisecond)
		r.client.root.mu.Lock()
		defer r.client.root.mu.Unlock()
		if r.client.root.workLocked().acks != nil {
			t.Error("an ack is still expected")
		}
	})
	passing(t, "inbox", func(t *testing.T) {
		s := newTestServer(t, Options{Inbox: 1})
		On(s.Of("/"), "hang", func(ctx context.Context, _ *Socket, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			return struct{}{}, ctx.Err()
		})
		p := s.v5()
		p.connect("/", "")
		start := time.Now()
		p.say(`2["hang"]`)
		synctest.Wait()
		p.say(`2["hang"]`, `2["hang"]`)
		p.wantClosed("forced server close")
		if d := time.Since(start); d != time.Minute {
			t.Errorf("after %v", d)
		}
		// The handler still hangs; its context ends a little later.
		p.client.root.awaitGone(t.Context())
		if d := time.Since(start); d != time.Minute+drainTimeout {
			t.Errorf("torn down after %v", d)
		}
	})
	passing(t, "slow replay", func(t *testing.T) {
		s := newTestServer(t, Options{Recovery: true})
		s.Of("/").OnConnect(func(ctx context.Context, s *Socket) error { return nil })
		On(s.Of("/"), "ready", func(context.Context, *Socket, struct{}) (struct{}, error) { return struct{}{}, nil })
		p := s.v5()
		_, pid := p.connect("/", "")
		p.say(`21["ready"]`)
		p.want("31[]")
		p.Close("transport close")
		for range paceEvents + 1 {
			if err := s.Of("/").Emit(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		start := time.Now()
		r := newFakeConn(4)
		r.busy = true
		q := s.open(r)
		q.say(`0{"pid":"` + pid + `"}`)
		q.mu.Lock()
		for q.reason == "" {
			q.cond.Wait()
		}
		q.mu.Unlock()
		if d := time.Since(start); d != paceWait || q.reason != "slow client" || len(q.sent) != paceEvents+1 {
			t.Errorf("closed after %v by %q with %d frames", d, q.reason, len(q.sent))
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deadlines
		var fired []int
		start := time.Now()
		add := func(i int) *deadline {
			return d.add(time.Duration(i)*time.Second, func() {
				if time.Since(start) != time.Duration(i)*time.Second {
					t.Errorf("%d fired after %v", i, time.Since(start))
				}
				fired = append(fired, i)
				if i == 3 {
					d.add(time.Second, func() { fired = append(fired, 40) })
				}
			})
		}
		for _, i := range []int{5, 1, 3, 9, 7} {
			add(i)
		}
		first := add(2)
		d.remove(first)
		d.remove(first)
		d.remove(nil)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		want := []int{1, 3, 40, 5, 7}
		if len(fired) != len(want) {
			t.Fatalf("fired %v", fired)
		}
		for i := range want {
			if fired[i] != want[i] {
				t.Fatalf("fired %v, want %v", fired, want)
			}
		}
		d.close()
		d.add(time.Second, func() { t.Error("fired after close") })
		time.Sleep(time.Minute)
	})
}
