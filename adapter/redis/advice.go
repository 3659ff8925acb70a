package redis

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// inspect looks at how a lane's primary is set, when a link begins and at each
// audit. What the promises need, and is not so, is said in the Status and,
// once, in the log. All of it stands in INFO, which is needed anyway: CONFIG is
// not allowed on many services.
func (l *lane) inspect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.a.o.Timeout)
	defer cancel()
	client, err := l.a.conn.pool(ctx, l.n, l.a.o.Connections)
	if err != nil {
		return err
	}
	// Without sections: several at once are asked for since 7.0 only.
	text, err := client.Info(ctx).Result()
	if err != nil {
		return err
	}
	found := l.a.o.advice(readInfo(text))
	l.mu.Lock()
	before := l.warnings
	l.warnings = found
	l.mu.Unlock()
	for _, w := range found {
		if !slices.Contains(before, w) {
			l.a.o.Logger.Warn("Redis is not set as it should be", "lane", l.n, "what", w)
		}
	}
	return nil
}

// readInfo reads the answer to INFO.
func readInfo(text string) map[string]string {
	out := make(map[string]string)
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok {
			out[name] = value
		}
	}
	return out
}

// advice is what is wrong with a Redis of which INFO says this. What a service
// does not tell is not complained of.
func (o *Options) advice(info map[string]string) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if v := info["redis_version"]; v != "" {
		major, _, _ := strings.Cut(v, ".")
		if n, err := strconv.Atoi(major); err == nil && n < leastMajor {
			say("version %s: 7.0 or later is needed", v)
		}
	}
	if p := info["maxmemory_policy"]; p != "" && p != "noeviction" {
		say("maxmemory-policy is %s: rooms and sessions may vanish without a word; set noeviction", p)
	}
	if info["maxmemory"] == "0" {
		say("maxmemory is not set: a Redis that is full is killed, instead of refusing")
	}
	if o.AckReplicas > 0 {
		if n, err := strconv.Atoi(info["connected_slaves"]); err == nil && n < o.AckReplicas {
			say("log.ack_replicas is %d, and it has %d replicas: every message is refused", o.AckReplicas, n)
		}
	}
	if info["aof_enabled"] == "0" {
		say("appendonly is no: what was acknowledged is lost when it is killed")
	}
	return all
}
