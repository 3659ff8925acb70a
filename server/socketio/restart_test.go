package socketio

import (
	"context"
	"fmt"
	"testing"

	"github.com/antchat/antchat/adapter/local"
)

// An offset given before the first broadcast of a node's life is good for a
// recovery too, on this node and on the one that follows it.
func TestRecoveryAcrossRestart(t *testing.T) {
	dir := t.TempDir()
	start := func() (*testServer, func()) {
		a, err := local.Open(local.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		s := &testServer{Server: NewServer(a, Options{Recovery: true}), t: t, adapter: a}
		ns := s.Of("/")
		ns.OnConnect(func(ctx context.Context, s *Socket) error {
			if !s.Recovered() {
				if err := s.Join(ctx, "lobby"); err != nil {
					return err
				}
			}
			return s.Emit("hello") // last: who has seen it is all there
		})
		On(ns, "post", func(ctx context.Context, s *Socket, text string) (uint64, error) { return post(ctx, s, text) })
		return s, func() {
			if err := s.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			for _, c := range s.conns {
				c.wg.Wait()
			}
			if err := a.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, stop := start()
	p := s.v5()
	sid, pid := p.connect("/", "")
	_, offset := split(t, p.next())
	stop()

	s, stop = start()
	q := s.v5()
	q.connect("/", "")
	split(t, q.next())
	q.say(`21["post","while away"]`)
	q.want("31[1]")
	r := s.v5()
	r.say(fmt.Sprintf(`0{"pid":%q,"offset":%q}`, pid, offset))
	r.want(fmt.Sprintf(`0{"sid":%q,"pid":%q}`, sid, pid))
	if e, _ := split(t, r.next()); e != `2["message","while away"]` {
		t.Errorf("got %s", e)
	}
	e, offset := split(t, r.next())
	if e != `2["hello"]` {
		t.Errorf("got %s", e)
	}
	stop() // the direct event's offset counts

	s, stop = start()
	defer stop()
	last := s.v5()
	last.say(fmt.Sprintf(`0{"pid":%q,"offset":%q}`, pid, offset))
	last.want(fmt.Sprintf(`0{"sid":%q,"pid":%q}`, sid, pid))
	if e, _ := split(t, last.next()); e != `2["hello"]` {
		t.Errorf("got %s again", e)
	}
}
