package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/antchat/antchat/adapter/redis"
)

// people is how many connect to one node.
const people = 10_000

// personal says what people cost who are all in the lobby and, with own, each in a room
// of its own too, as the chat has it. The two are measured by two runs of this program:
// what the first has left would be the second's.
func personal(ctx context.Context, own bool) error {
	figures, err := connected(ctx, own)
	if err != nil {
		return err
	}
	where := "in the lobby"
	if own {
		where += " and in a room of its own"
	}
	fmt.Printf("%d people on a node, each %s:\n", people, where)
	for i, name := range []string{
		"Redis: bytes per person", "Redis: µs of CPU per connect", "node: bytes of heap per person", "node: µs of CPU per connect",
		"Redis: % of a core while nothing happens", "node: % of a core while nothing happens",
	} {
		fmt.Printf("  %8.2f  %s\n", figures[i], name)
	}
	return nil
}

// connected has the people connect, and then nothing happen for a minute, in which the
// heads of all rooms are looked at once.
func connected(ctx context.Context, own bool) (figures [6]float64, err error) {
	s, err := startStore(ctx, "")
	if err != nil {
		return figures, err
	}
	defer s.stop()
	a, err := s.node(ctx, redis.Options{})
	if err != nil {
		return figures, err
	}
	a.Open(namespace, quiet{})
	defer func() { _ = a.Close(ctx) }()
	sockets := make([]quiet, people)
	for i := range sockets {
		sockets[i] = quiet{id()}
	}
	var marks [3]mark
	if marks[0], err = s.mark(ctx); err != nil {
		return figures, err
	}
	err = each(people, 64, func(i int) error {
		if err := a.Add(ctx, namespace, sockets[i], nil); err != nil {
			return err
		}
		rooms := []string{"chat:lobby"}
		if own {
			rooms = append(rooms, "user:"+sockets[i].id+"xx") // as long as a public id
		}
		_, err := a.Join(ctx, namespace, sockets[i], rooms, false, nil)
		return err
	})
	if err != nil {
		return figures, err
	}
	if marks[1], err = s.mark(ctx); err != nil {
		return figures, err
	}
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
		return figures, ctx.Err()
	}
	if marks[2], err = s.mark(ctx); err != nil {
		return figures, err
	}
	runtime.KeepAlive(sockets)
	up, still := marks[1].since(marks[0]), marks[2].since(marks[1])
	return [6]float64{
		up.memory / people, 1e6 * up.redis / people, up.heap / people, 1e6 * up.node / people,
		100 * still.redis / 60, 100 * still.node / 60,
	}, nil
}

// mark is what was used up to a moment: bytes, and seconds of CPU.
type mark struct{ memory, redis, heap, node float64 }

func (m mark) since(was mark) mark {
	return mark{m.memory - was.memory, m.redis - was.redis, m.heap - was.heap, m.node - was.node}
}

func (s *store) mark(ctx context.Context) (m mark, err error) {
	runtime.GC()
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	own, err := ownCPU()
	if err != nil {
		return m, err
	}
	got, err := s.infos(ctx, "used_memory", "used_cpu_user", "used_cpu_sys")
	if err != nil {
		return m, err
	}
	return mark{got["used_memory"], got["used_cpu_user"] + got["used_cpu_sys"], float64(heap.HeapAlloc), own}, nil
}
