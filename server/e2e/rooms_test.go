package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// TestRoomsPerUserOverNodes: the limit holds over the nodes of a fleet, each room
// counted once, and what a killed node held is free again.
func TestRoomsPerUserOverNodes(t *testing.T) {
	const most, free = 40, 2 // a twentieth on each node
	settings := map[string]string{"REDIS_URL": "redis://" + startRedis(t), "LIMITS_ROOMS_PER_USER": fmt.Sprint(most)}
	first, second := startServer(t, settings), startServer(t, settings)
	open := func(p *process) *rawWS {
		ws := openWS(t, p.addr)
		ws.text(`40{"session":"one-and-the-same-person"}`)
		ws.expect("40{")
		return ws
	}
	join := func(ws *rawWS, room int) bool {
		t.Helper()
		var answer struct {
			Room  string
			Error struct{ Code string }
		}
		if err := ws.call(&answer, "join room", map[string]any{"room": fmt.Sprint("room ", room)}); err != nil {
			t.Fatal(err)
		}
		if answer.Error.Code != "" && answer.Error.Code != "too_many_rooms" {
			t.Fatalf("room %d: %s", room, answer.Error.Code)
		}
		return answer.Error.Code == ""
	}
	here, there := open(first), open(second)
	for i := range 20 {
		if !join(here, i) {
			t.Fatalf("room %d of %d was refused", i, most)
		}
	}
	for i := 10; i < 20; i++ {
		if !join(there, i) {
			t.Errorf("room %d was refused there, and the person is in it", i)
		}
	}
	more := 0
	for i := 20; i < 60; i++ {
		if join(there, i) {
			more++
		}
	}
	if n := 20 + more; n < most || n > most+free {
		t.Errorf("the person got into %d rooms", n)
	}
	first.kill()
	waitFor(t, "the dead node's rooms to be free", func() bool {
		time.Sleep(50 * time.Millisecond) // more often would be beyond fairness.joins_socket in the end
		return join(there, 100)
	})
	var answer json.RawMessage
	there.mustCall(&answer, "who", map[string]any{"room": "room 100"})
}
