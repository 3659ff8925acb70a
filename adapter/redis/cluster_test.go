package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// movingCluster is a Cluster whose slots can move and whose primaries can die.
type movingCluster struct {
	t       testing.TB
	servers []*server
	clients []*goredis.Client
}

// newMovingCluster starts three primaries, each with a replica if wanted.
func newMovingCluster(t testing.TB, replicas bool) *movingCluster {
	t.Helper()
	x := &movingCluster{t: t}
	n := 3
	if replicas {
		n = 6
	}
	x.servers = startClusterOf(t, n, "--cluster-node-timeout", "1500", "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
	for _, s := range x.servers {
		x.clients = append(x.clients, s.client(t))
	}
	return x
}

func (x *movingCluster) url() string {
	var addrs []string
	for _, s := range x.servers {
		addrs = append(addrs, s.addr)
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// owner is who has a slot, as most see it.
func (x *movingCluster) owner(slot int) int {
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		votes := make(map[string]int)
		for i, c := range x.clients {
			if x.servers[i].cmd == nil {
				continue
			}
			ranges, err := c.ClusterSlots(x.t.Context()).Result() //nolint:staticcheck // as connect.go
			if err != nil {
				continue
			}
			for _, r := range ranges {
				if r.Start <= slot && slot <= r.End && len(r.Nodes) > 0 {
					votes[r.Nodes[0].Addr]++
				}
			}
		}
		for i, s := range x.servers {
			if s.cmd != nil && votes[s.addr] > len(x.clients)/2 {
				return i
			}
		}
	}
	x.t.Fatal("nobody has the slot")
	return 0
}

func (x *movingCluster) do(i int, args ...any) string {
	x.t.Helper()
	v, err := x.clients[i].Do(x.t.Context(), args...).Result()
	if err != nil {
		x.t.Fatalf("%v: %v", args, err)
	}
	return fmt.Sprint(v)
}

// move carries a slot to another primary as redis-cli does it, slowly enough
// for others to meet it half way.
func (x *movingCluster) move(slot, from, to int) {
	x.t.Helper()
	ids := map[int]string{from: x.do(from, "CLUSTER", "MYID"), to: x.do(to, "CLUSTER", "MYID")}
	x.do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from])
	x.do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
	host, port, _ := strings.Cut(x.servers[to].addr, ":")
	for {
		keys, err := x.clients[from].ClusterGetKeysInSlot(x.t.Context(), slot, 2).Result()
		if err != nil {
			x.t.Fatal(err)
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", host, port, "", 0, 5000, "KEYS"}
		for _, k := range keys {
			args = append(args, k)
		}
		x.do(from, args...)
		time.Sleep(5 * time.Millisecond)
	}
	x.do(to, "CLUSTER", "SETSLOT", slot, "NODE", ids[to])
	x.do(from, "CLUSTER", "SETSLOT", slot, "NODE", ids[to])
}

// roomIn is a room of a lane.
func roomIn(a *Adapter, lane int, prefix string) string {
	for i := 0; ; i++ {
		if name := prefix + strconv.Itoa(i); a.laneOf("/", name).n == lane {
			return name
		}
	}
}

// joiner joins and leaves another room of the lane until it is stopped: cuts
// under way while the ground moves.
func startJoiner(t testing.TB, m *member, room string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, err := m.a.Join(ctx, "/", m, []string{room}, false, nil)
			if err == nil {
				err = m.a.Leave(ctx, "/", m, []string{room})
			}
			if err != nil && !errors.Is(err, adapter.ErrUnavailable) {
				t.Errorf("a cut: %v", err)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() { cancel(); <-done }
}

// TestSlotMigration moves the slot of a lane there and back while appends,
// links and cuts use it.
func TestSlotMigration(t *testing.T) {
	x := newMovingCluster(t, false)
	f := newFleet(t, "", 2, Options{URL: x.url(), Timeout: 20 * time.Second, Beat: 500 * time.Millisecond})
	a := f.nodes[0]
	const lane = 2
	room, other := roomIn(a, lane, "room "), roomIn(a, lane, "another ")
	slot, err := x.clients[0].ClusterKeySlot(t.Context(), a.lanes[lane].base+"lane").Result()
	if err != nil {
		t.Fatal(err)
	}
	m, n := newMember(t, a, room), newMember(t, f.nodes[1], room)
	w := startWriter(t, a, room)
	stop := startJoiner(t, n, other)
	from := x.owner(int(slot))
	to := (from + 1) % 3
	for _, way := range [][2]int{{from, to}, {to, from}} {
		time.Sleep(200 * time.Millisecond)
		x.move(int(slot), way[0], way[1])
		if at := x.owner(int(slot)); at != way[1] {
			t.Fatalf("the slot is at %d", at)
		}
		for _, a := range f.nodes {
			ready(t, a)
		}
		// The links are where the slot is.
		until(t, "resubscription in the new place", func() bool {
			got, err := x.clients[way[1]].PubSubShardNumSub(t.Context(), a.lanes[lane].base+"c:"+fullName("/", room)).Result()
			if err != nil {
				return false
			}
			for _, n := range got {
				return n == 2
			}
			return false
		})
	}
	until(t, "messages in the old place again", func() bool { return len(m.texts()) >= 20 })
	stop()
	total := w.end()
	m.wantTexts(total)
	n.wantTexts(total)
	if total < 20 || len(m.gaps())+len(n.gaps()) > 0 {
		t.Errorf("%d messages, gaps %v %v", total, m.gaps(), n.gaps())
	}
	t.Logf("%d messages", total)
}

// TestClusterFailover kills the primary of a lane whose replica has confirmed
// every append.
func TestClusterFailover(t *testing.T) {
	x := newMovingCluster(t, true)
	f := newFleet(t, "", 2, Options{URL: x.url(), Timeout: 20 * time.Second, Beat: 500 * time.Millisecond, AckReplicas: 1})
	a := f.nodes[0]
	const lane = 1
	room, other := roomIn(a, lane, "room "), roomIn(a, lane, "another ")
	slot, err := x.clients[0].ClusterKeySlot(t.Context(), a.lanes[lane].base+"lane").Result()
	if err != nil {
		t.Fatal(err)
	}
	m, n := newMember(t, a, room), newMember(t, f.nodes[1], room)
	w := startWriter(t, a, room)
	stop := startJoiner(t, n, other)
	time.Sleep(300 * time.Millisecond)
	old := x.owner(int(slot))
	x.servers[old].kill()
	until(t, "another primary", func() bool { return x.owner(int(slot)) != old })
	// It comes back as the new one's replica, so that there is one to confirm.
	if err := x.servers[old].start(); err != nil {
		t.Fatal(err)
	}
	for _, a := range f.nodes {
		ready(t, a)
	}
	before := m.texts()
	until(t, "messages behind the failover", func() bool { return len(m.texts()) > len(before)+5 })
	stop()
	total := w.end()
	m.wantTexts(total)
	n.wantTexts(total)
	if len(m.gaps())+len(n.gaps()) > 0 {
		t.Errorf("gaps %v %v", m.gaps(), n.gaps())
	}
	t.Logf("%d messages", total)
}
