package socketio

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestFinish: a client that waits for answers gets them first, as far as there
// is time; one that does not is done at once.
func TestFinish(t *testing.T) {
	serve := func(t *testing.T, took time.Duration) *peer {
		s := newTestServer(t, Options{})
		s.Of("/").Handle("slow", func(context.Context, *Socket, *Incoming) (Reply, error) {
			time.Sleep(took)
			return Answer("handled"), nil
		})
		s.Of("/other")
		p := s.v5()
		p.connect("/", "")
		p.connect("/other", "")
		synctest.Wait()
		return p
	}
	finish := func(p *peer) (ended func() bool) {
		done := make(chan struct{})
		p.client.Finish(time.Second, func() { close(done) })
		return func() bool {
			select {
			case <-done:
				return true
			default:
				return false
			}
		}
	}
	passing(t, "idle", func(t *testing.T) {
		p := serve(t, 0)
		if !finish(p)() {
			t.Error("not done at once")
		}
	})
	passing(t, "busy", func(t *testing.T) {
		p := serve(t, 300*time.Millisecond)
		p.say(`20["slow"]`, `21["slow"]`)
		synctest.Wait()
		done := finish(p)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if done() {
			t.Error("done before the second event")
		}
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		if !done() {
			t.Error("not done after it")
		}
		p.want(`30["handled"]`, `31["handled"]`)
	})
	passing(t, "too long", func(t *testing.T) {
		p := serve(t, time.Minute)
		p.say(`20["slow"]`)
		synctest.Wait()
		done := finish(p)
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if done() {
			t.Error("done before the time")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if !done() {
			t.Error("not done in time")
		}
		time.Sleep(time.Minute)
	})
	passing(t, "gone meanwhile", func(t *testing.T) {
		p := serve(t, 200*time.Millisecond)
		p.say(`20["slow"]`)
		synctest.Wait()
		done := finish(p)
		p.Close(string(ReasonTransportClose))
		synctest.Wait()
		if !done() {
			t.Error("waits for a socket that has ended")
		}
	})
}
