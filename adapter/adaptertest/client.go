package adaptertest

import (
	"github.com/antchat/antchat/adapter"
)

// client is what stands at the far end of a socket: it reads frames when it
// gets to it, keeps the offset of the last one, and comes back with it after a
// loss. What it had not read by then is lost with the connection.
type client struct {
	r      *rig
	s      *socket
	read   int
	lost   bool // the connection is gone, and the adapter was told
	seen   []frame
	offset *adapter.Position
}

func newClient(r *rig, s *socket) *client { return &client{r: r, s: s} }

// receive reads at most n frames.
func (c *client) receive(n int) {
	frames := c.s.got()
	for c.read < len(frames) && n > 0 {
		f := frames[c.read]
		c.read++
		n--
		if f.d == nil {
			continue
		}
		offset := f.pos
		c.offset = &offset
		if text(f.d.Event) != "settle" {
			c.seen = append(c.seen, f)
		}
	}
}

// drain reads everything.
func (c *client) drain() { c.receive(1 << 30) }

// lose ends the connection, and its node notices. A client that connects
// without a loss was half-open: its node has not noticed yet.
func (c *client) lose() {
	c.r.node(c.s.node).Gone(*c.s.owner)
	c.r.node(c.s.node).Remove(c.r.ns, c.s)
	c.lost = true
}

// connect recovers the session on node i.
func (c *client) connect(i int) error {
	s, err := c.r.resume(i, c.s, c.offset)
	if err != nil {
		return err
	}
	c.s, c.read, c.lost = s, 0, false
	return nil
}

// dense checks that the room's messages were seen without gap and repeat, from
// 1 on, and returns the last.
func (c *client) dense(room string) uint64 {
	c.r.Helper()
	next := uint64(1)
	for _, f := range c.seen {
		if f.d.Room != room {
			continue
		}
		if f.d.Seq != next {
			c.r.Errorf("%s: saw %d in room %q, %d wanted", c.s.id, f.d.Seq, room, next)
			next = f.d.Seq
		}
		next++
	}
	return next - 1
}

// ordered checks that what has a position was seen in the order of positions,
// lane by lane, across all rooms.
func (c *client) ordered() {
	c.r.Helper()
	var last adapter.Position
	for _, f := range c.seen {
		if f.d.Pos == 0 {
			continue
		}
		if f.d.Pos <= last[f.d.Lane] {
			c.r.Errorf("%s: saw %d after %d", c.s.id, f.d.Pos, last[f.d.Lane])
		}
		last[f.d.Lane] = f.d.Pos
	}
}
