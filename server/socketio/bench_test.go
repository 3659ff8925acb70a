package socketio

import (
	"context"
	"fmt"
	"testing"

	"github.com/antchat/antchat/adapter"
)

// quietConn takes frames and keeps nothing.
type quietConn struct{ *fakeConn }

var quietFrame any = &fakeFrame{}

func (c *quietConn) Prepare([]byte, [][]byte) any { return quietFrame }
func (c *quietConn) Send(any) error               { return nil }
func (c *quietConn) Queue(any) error              { return nil }
func (c *quietConn) Idle() bool                   { return true }

// crowd is n sockets of one namespace: every form of an event is in use.
func crowd(tb testing.TB, n int) (*receiver, []adapter.Socket) {
	a := &stubAdapter{lanes: 1}
	srv := NewServer(a, Options{Recovery: true, Views: 2})
	ns := srv.Of("/")
	ns.Use(func(_ context.Context, s *Socket) error {
		s.SetUser(s.ID())
		s.SetView(View(len(s.ID()) % 2))
		return nil
	})
	to := make([]adapter.Socket, n)
	conns := make([]*fakeConn, n)
	for i := range n {
		c := newFakeConn(4 - i%2)
		if i%3 == 0 {
			c.headers = nil
		}
		conns[i] = c
		c.client = srv.Accept(&quietConn{c})
		if c.revision == 4 {
			if err := c.client.Text([]byte("0")); err != nil {
				tb.Fatal(err)
			}
		}
		eventually(tb, "connected", func() bool { return free(c.client.root) })
		to[i] = (*member)(c.client.root)
	}
	tb.Cleanup(func() {
		for _, c := range conns {
			c.Close("transport close")
			c.wg.Wait()
		}
		if err := srv.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return (*receiver)(ns), to
}

func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, to := crowd(b, n)
			e, err := NewEvent("new message", map[string]any{"room": "lobby", "message": "hello everybody", "id": "x", "seq": 12345})
			if err != nil {
				b.Fatal(err)
			}
			d := &adapter.Delivery{Namespace: "/", Event: e, Class: adapter.Logged, Sender: "somebody"}
			b.ReportAllocs()
			for b.Loop() {
				d.Position[0]++
				r.Deliver(d, to)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/recipient")
		})
	}
}

func BenchmarkConnect(b *testing.B) {
	for _, recovery := range []bool{false, true} {
		b.Run(fmt.Sprintf("recovery=%v", recovery), func(b *testing.B) {
			a := &stubAdapter{lanes: 1}
			srv := NewServer(a, Options{Recovery: recovery})
			srv.Of("/")
			c := newFakeConn(4)
			b.ReportAllocs()
			for b.Loop() {
				client := srv.Accept(&quietConn{c})
				if err := client.Text([]byte("0")); err != nil {
					b.Fatal(err)
				}
				s := client.root
				client.Closed("transport close")
				s.awaitGone(b.Context())
			}
			if err := srv.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkAck is one event of a client with its acknowledgement.
func BenchmarkAck(b *testing.B) {
	a := &stubAdapter{lanes: 1}
	srv := NewServer(a, Options{})
	ns := srv.Of("/")
	done := make(chan struct{}, 1)
	On(ns, "ping", func(_ context.Context, _ *Socket, in struct{ N int }) (int, error) {
		return in.N, nil
	})
	ns.UseEvent(func(next EventHandler) EventHandler {
		return func(ctx context.Context, s *Socket, e *Incoming) (Reply, error) {
			AfterReply(ctx, func() { done <- struct{}{} })
			return next(ctx, s, e)
		}
	})
	c := newFakeConn(4)
	client := srv.Accept(&quietConn{c})
	if err := client.Text([]byte("0")); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := client.Text([]byte(`21["ping",{"N":7}]`)); err != nil {
			b.Fatal(err)
		}
		<-done
	}
	client.Closed("transport close")
	if err := srv.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
