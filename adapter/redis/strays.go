package redis

import (
	"context"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter/roomindex"
)

// strays are what the store notes for this incarnation and the node does not
// have: the answer of a Create or an Add did not come, a link was lost before a
// cut's marker, Redis was away for longer than an End is kept. Nothing else would
// end them before the node does. They belong to the lane's audit loop.
type strays struct {
	sessions map[string]time.Time   // by private id: since when it has been one
	sockets  map[string]straySocket // by full name
}

type straySocket struct {
	since time.Time
	op    string // the cut that noted it; "" when it is noted for somebody else
}

const (
	// strayAudits is after how many audits strays are looked for.
	strayAudits = 5
	// maxStrays bounds each kind in one look; the rest has its turn later.
	maxStrays = 10_000
)

// due: what nobody here has waited for that long is no call under way.
func (a *Adapter) due(since time.Time) bool { return time.Since(since) > 2*a.o.Timeout }

// sweep ends strays that were there at an earlier look already.
func (l *lane) sweep(ctx context.Context, known *strays) error {
	ctx, cancel := context.WithTimeout(ctx, 10*l.a.o.Timeout)
	defer cancel()
	client, err := l.a.conn.pool(ctx, l.n, l.a.o.Connections)
	if err != nil {
		return err
	}
	sessions := make(map[string]time.Time)
	err = l.members(ctx, client, "on:", func(pids []string) error {
		for _, pid := range pids {
			if len(sessions) == maxStrays {
				return nil
			}
			if l.a.owned.has(pid) {
				continue
			}
			if sessions[pid] = known.sessions[pid]; sessions[pid].IsZero() {
				sessions[pid] = time.Now()
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	sockets := make(map[string]straySocket)
	err = l.members(ctx, client, "in:", func(names []string) error {
		var fresh []string
		for _, name := range l.homeless(ctx, names) {
			if len(sockets)+len(fresh) >= maxStrays {
				break
			}
			if s, ok := known.sockets[name]; ok {
				sockets[name] = s
			} else {
				fresh = append(fresh, name)
			}
		}
		return l.notedBy(ctx, client, fresh, sockets)
	})
	if err != nil {
		return err
	}
	known.sessions, known.sockets = sessions, sockets
	l.endStrays(known)
	return nil
}

// members pages through one of this incarnation's sets.
func (l *lane) members(ctx context.Context, client *goredis.Client, set string, f func(page []string) error) error {
	for cursor := uint64(0); ; {
		page, next, err := client.SScan(ctx, l.base+set+l.a.incarnation(), cursor, "", 1000).Result()
		if err != nil {
			return err
		}
		if err := f(page); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// homeless are those of some sockets' names that are not here.
func (l *lane) homeless(ctx context.Context, names []string) []string {
	found := make(chan []string, 1)
	if !l.a.seq.Push(roomindex.Func(func(*roomindex.Sequencer) {
		var out []string
		for _, name := range names {
			if _, ok := l.a.homes[name]; !ok {
				out = append(out, name)
			}
		}
		found <- out
	})) {
		return nil
	}
	select {
	case out := <-found:
		return out
	case <-ctx.Done():
		return nil
	}
}

// notedBy reads which cuts noted sockets for this incarnation.
func (l *lane) notedBy(ctx context.Context, client *goredis.Client, names []string, into map[string]straySocket) error {
	if len(names) == 0 {
		return nil
	}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = l.base + "i:" + name
	}
	values, err := client.MGet(ctx, keys...).Result()
	if err != nil {
		return err
	}
	for i, v := range values {
		who, op, _ := strings.Cut(asText(v), " ")
		if who != l.a.incarnation() {
			op = ""
		}
		into[names[i]] = straySocket{time.Now(), op}
	}
	return nil
}

// endStrays goes through the pipe, where a claim of the same session goes too: if
// one has just passed, what its resumption writes comes behind and counts.
func (l *lane) endStrays(known *strays) {
	var args []any
	send := func() {
		if len(args) > 0 {
			l.pipe.control(l.call(lua().strays, append([]any{l.a.o.Window.Milliseconds()}, args...)...))
			args = nil
		}
	}
	n := 0
	for pid, since := range known.sessions {
		if l.a.due(since) {
			delete(known.sessions, pid)
			n++
			if args = append(args, pid); len(args) >= 100 {
				send()
			}
		}
	}
	send()
	for name, s := range known.sockets {
		if l.a.due(s.since) {
			delete(known.sockets, name)
			n++
			l.pipe.control(l.call(lua().forget, name, s.op))
		}
	}
	if n > 0 {
		l.a.o.Logger.Info("Redis had sessions and sockets of this node that are not here", "lane", l.n, "number", n)
	}
}
