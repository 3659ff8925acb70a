//go:build !race

package socketio

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/antchat/antchat/adapter"
)

// A broadcast allocates for its forms, not for its recipients. The race
// detector allocates by itself, so this runs without it.
func TestDeliverAllocatesNothingPerRecipient(t *testing.T) {
	r, to := crowd(t, 600)
	var at adapter.Position
	for _, name := range []string{"text", "binary"} {
		t.Run(name, func(t *testing.T) {
			args := []any{"hello"}
			if name == "binary" {
				args = append(args, Binary{1})
			}
			e, err := NewEvent("message", args...)
			if err != nil {
				t.Fatal(err)
			}
			d := &adapter.Delivery{Namespace: "/", Event: e, Class: adapter.Logged, Sender: "somebody"}
			measure := func(to []adapter.Socket) float64 {
				return testing.AllocsPerRun(50, func() {
					at[0]++
					d.Position = at
					r.Deliver(d, to)
				})
			}
			// Six in a row have every form that there is.
			if few, many := measure(to[:6]), measure(to); many > few {
				t.Errorf("%v allocations for 6 recipients, %v for %d", few, many, len(to))
			}
		})
	}
}

// What this layer adds to an idle connection that can recover, in bytes.
func TestIdleMemory(t *testing.T) {
	a := &stubAdapter{lanes: 1}
	srv := NewServer(a, Options{Recovery: true})
	srv.Of("/")
	const n = 5000
	conn := &quietConn{newFakeConn(4)}
	clients := make([]*Client, n)
	before := heapInUse()
	for i := range clients {
		clients[i] = srv.Accept(conn)
		if err := clients[i].Text([]byte("0")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range clients {
		eventually(t, "connected", func() bool { return free(c.root) })
	}
	each := (heapInUse() - before) / n
	t.Logf("%d bytes", each)
	if each > 1200 {
		t.Errorf("an idle connection takes %d bytes", each)
	}
	for _, c := range clients {
		c.Closed("transport close")
	}
	if err := srv.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// An idle connection's fixed part. Raise the limits with care: they are paid
// for by every connection.
func TestIdleSizes(t *testing.T) {
	if n := unsafe.Sizeof(Socket{}); n > 192 {
		t.Errorf("a Socket has %d bytes", n)
	}
	if n := unsafe.Sizeof(Client{}); n > 128 {
		t.Errorf("a Client has %d bytes", n)
	}
}
