package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const controlRoom = "control"

// control is two people who go on chatting, whatever others do to the server.
type control struct {
	t    *testing.T
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	said  int           // guarded by mu
	heard int           // guarded by mu
	worst time.Duration // guarded by mu; from saying to hearing
	times map[string]time.Time
	err   error // guarded by mu; the first thing that went wrong
}

type message struct {
	Username string `json:"username"`
	Message  string `json:"message"`
	Room     string `json:"room"`
	ID       string `json:"id"`
	Seq      int    `json:"seq"`
}

// startControl begins the conversation; it is checked when the test ends.
func startControl(t *testing.T, p *process) *control {
	t.Helper()
	c := &control{t: t, stop: make(chan struct{}), times: map[string]time.Time{}}
	speaker, listener := connectWS(t, p.addr), connectWS(t, p.addr)
	for _, ws := range []*rawWS{speaker, listener} {
		ws.mustCall(nil, "join room", map[string]any{"room": controlRoom})
	}
	c.done.Go(func() { c.speak(speaker) })
	c.done.Go(func() { c.listen(listener) })
	t.Cleanup(func() {
		close(c.stop)
		c.done.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		t.Logf("the control client said %d things and heard %d, the slowest after %v", c.said, c.heard, c.worst)
		switch {
		case c.err != nil:
			t.Errorf("the control client: %v", c.err)
		case c.heard == 0:
			t.Error("the control client heard nothing")
		}
	})
	return c
}

// advance waits until something said from now on was heard.
func (c *control) advance() {
	c.t.Helper()
	c.mu.Lock()
	from := c.said
	c.mu.Unlock()
	waitFor(c.t, "the control client to be heard", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.heard > from+1 || c.err != nil
	})
}

func (c *control) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

func (c *control) speak(ws *rawWS) {
	for i := 1; ; i++ {
		id := fmt.Sprint(i)
		c.mu.Lock()
		c.said, c.times[id] = i, time.Now()
		c.mu.Unlock()
		var ack struct {
			Seq   int
			Error json.RawMessage
		}
		if err := ws.call(&ack, "new message", map[string]any{"room": controlRoom, "message": "still here " + id, "id": id}); err != nil {
			c.fail(fmt.Errorf("message %d: %w", i, err))
			return
		}
		if ack.Seq != i {
			c.fail(fmt.Errorf("message %d: seq %d, error %s", i, ack.Seq, ack.Error))
			return
		}
		select {
		case <-c.stop:
			// The last word, for the listener.
			if err := ws.call(&ack, "new message", map[string]any{"room": controlRoom, "message": "bye", "id": "bye"}); err != nil {
				c.fail(fmt.Errorf("last message: %w", err))
			}
			return
		case <-time.After(100 * time.Millisecond): // as often as anybody may
		}
	}
}

func (c *control) listen(ws *rawWS) {
	for seq := 1; ; {
		p, err := ws.packet()
		if err != nil {
			c.fail(fmt.Errorf("listening: %w", err))
			return
		}
		data, ok := strings.CutPrefix(p, `42["new message",`)
		if !ok {
			continue
		}
		var m message
		err = json.NewDecoder(strings.NewReader(data)).Decode(&m)
		if err == nil && m.Room != controlRoom {
			continue // the lobby: everybody is in it
		}
		if err != nil || m.Seq != seq {
			c.fail(errors.Join(fmt.Errorf("heard %q, expected seq %d", p, seq), err))
			return
		}
		if m.Message == "bye" {
			return
		}
		seq++
		c.mu.Lock()
		c.heard++
		c.worst = max(c.worst, time.Since(c.times[m.ID]))
		delete(c.times, m.ID)
		c.mu.Unlock()
	}
}
