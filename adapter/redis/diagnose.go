package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// What Diagnose asks of a Redis.
const (
	rounds       = 25
	slowRound    = 5 * time.Millisecond // a median above it makes every message slow
	brokenRound  = time.Second          // a link is lost after a beat and 3 s
	skewed       = time.Second
	smallBuffer  = 1 << 20
	diagnoseKeys = time.Minute // what the trial leaves behind if it is cut off
)

// Diagnose looks at the Redis of o as a node would use it: it asks what the
// server says of itself, and tries what a node does (a script that writes, a
// published message that comes back) under a key of its own, which it deletes.
// It waits no longer than ctx and a few seconds for each primary. An error means
// bad options; that Redis is not there is a finding.
func Diagnose(ctx context.Context, o Options) ([]Finding, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	conn, err := newConnector(o)
	if err != nil {
		return nil, err
	}
	if err := o.fixLanes(conn.form); err != nil {
		return nil, err
	}
	defer conn.close()
	var keys []string
	for n := range o.Lanes {
		keys = append(keys, o.base(n)+"lane")
	}
	conn.serve(keys)
	d := &diagnosis{o: o, conn: conn}
	var seen []string
	for n := range o.Lanes {
		addr, err := conn.address(ctx, n)
		if err != nil {
			d.add("connection", Wrong, fmt.Sprintf("lane %d: %v", n, err), "see that Redis runs, that redis.url names it, and that this machine may reach it (on Cloud Run: Direct VPC egress into its network)")
			return d.findings, nil
		}
		if slices.Contains(seen, addr) {
			continue
		}
		seen = append(seen, addr)
		d.where = ""
		if conn.form != single {
			d.where = " (" + addr + ")"
		}
		d.primary(ctx, n)
	}
	return d.findings, nil
}

// diagnosis looks at one primary after the other.
type diagnosis struct {
	o        Options
	conn     *connector
	where    string // tells primaries of a Cluster apart
	findings []Finding

	// Of the primary under examination.
	client *goredis.Client
	info   map[string]string
}

func (d *diagnosis) add(subject string, v Verdict, text, advice string) {
	d.findings = append(d.findings, Finding{Subject: subject + d.where, Verdict: v, Text: text, Advice: advice})
}

func (d *diagnosis) primary(ctx context.Context, lane int) {
	client, err := d.conn.pool(ctx, lane, 2)
	if err == nil {
		err = client.Ping(ctx).Err()
	}
	if err != nil {
		d.add("connection", Wrong, d.conn.redact(err).Error(), "see that Redis runs, that redis.url (host, user, password, rediss for TLS) is right, and that this machine may reach it (on Cloud Run: Direct VPC egress into its network)")
		return
	}
	d.client = client
	d.add("connection", Fine, "answers", "")
	text, err := client.Info(ctx).Result()
	if err != nil {
		d.add("INFO", Wrong, d.conn.redact(err).Error(), "allow INFO to this user (ACL: +info): every message compares master_replid")
	} else {
		d.info = readInfo(text)
		for _, f := range (&facts{&d.o, d.info}).judge() {
			d.add(f.Subject, f.Verdict, f.Text, f.Advice)
		}
	}
	d.configured(ctx)
	d.pace(ctx)
	d.trial(ctx, lane)
	if lane == 0 {
		d.lanes(ctx)
	}
}

// configured judges what only CONFIG tells.
func (d *diagnosis) configured(ctx context.Context) {
	value := func(name string) (string, bool) {
		m, err := d.client.ConfigGet(ctx, name).Result()
		return m[name], err == nil && m[name] != ""
	}
	if fsync, ok := value("appendfsync"); d.info["aof_enabled"] == "1" {
		switch {
		case !ok:
			d.add("appendfsync", Unknown, "cannot tell: CONFIG is not allowed here", "with everysec a killed Redis loses about the last second")
		case fsync == "always":
			d.add("appendfsync", Fine, fsync, "")
		default:
			d.add("appendfsync", Doubtful, fsync, "set appendfsync always if an acknowledged message must survive a killed Redis")
		}
	}
	limits, ok := value("client-output-buffer-limit")
	if !ok {
		d.add("output buffer", Unknown, "cannot tell: CONFIG is not allowed here", "the default for pubsub, 32mb 8mb 60, is right")
	} else {
		v, text, advice := judgeBuffer(limits)
		d.add("output buffer", v, text, advice)
	}
	if least, ok := value("min-replicas-to-write"); ok && least == "0" && d.o.AckReplicas > 0 {
		d.add("min-replicas-to-write", Doubtful, least, "set it to 1: a primary that is cut off from its replicas then refuses writes by itself")
	}
}

// judgeBuffer reads "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432
// 8388608 60": hard limit, soft limit in bytes, seconds.
func judgeBuffer(limits string) (v Verdict, text, advice string) {
	const right = "set client-output-buffer-limit \"pubsub 32mb 8mb 60\""
	fields := strings.Fields(limits)
	at := slices.Index(fields, "pubsub")
	if at < 0 || at+3 >= len(fields) {
		return Unknown, "no limit for pubsub is told", right
	}
	hard, err := strconv.ParseInt(fields[at+1], 10, 64)
	text = "pubsub " + strings.Join(fields[at+1:at+4], " ")
	switch {
	case err != nil:
		return Unknown, text, right
	case hard == 0:
		return Doubtful, text, right + ": without a limit one node that does not read can fill Redis's memory"
	case hard < smallBuffer:
		return Doubtful, text, right + ": a node would be cut off, and have to read again what it missed, too often"
	}
	return Fine, text, ""
}

// pace measures round trips and compares the clocks.
func (d *diagnosis) pace(ctx context.Context) {
	var took []time.Duration
	var skew time.Duration
	best := time.Hour
	for range rounds {
		start := time.Now()
		at, err := d.client.Time(ctx).Result()
		if err != nil {
			d.add("latency", Wrong, d.conn.redact(err).Error(), "allow TIME to this user (ACL: +time)")
			return
		}
		round := time.Since(start)
		took = append(took, round)
		// The quickest answer says best what time it is there.
		if round < best {
			best, skew = round, at.Sub(start.Add(round/2))
		}
	}
	slices.Sort(took)
	median := took[len(took)/2]
	text := fmt.Sprintf("median %s, slowest %s of %d", short(median), short(took[len(took)-1]), rounds)
	switch {
	case median > brokenRound:
		d.add("latency", Wrong, text, "put nodes and Redis into one region and zone")
	case median > slowRound:
		d.add("latency", Doubtful, text, "put nodes and Redis into one region and zone: every message and join waits for a round trip")
	default:
		d.add("latency", Fine, text, "")
	}
	// Times of messages, leases and windows are Redis's alone. What the node's
	// own clock decides is when a token has expired.
	switch {
	case skew.Abs() > skewed+best:
		d.add("clock", Doubtful, fmt.Sprintf("Redis is %s %s of this machine", short(skew.Abs()), ahead(skew)), "run a time service (chrony, systemd-timesyncd) on both")
	default:
		d.add("clock", Fine, fmt.Sprintf("%s apart", short(skew.Abs())), "")
	}
}

func ahead(d time.Duration) string {
	if d < 0 {
		return "behind"
	}
	return "ahead"
}

func short(d time.Duration) string {
	if d >= time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// trialText does in one script what the node's own do.
const trialText = `redis.call('INFO', 'replication') redis.call('TIME')
redis.call('XADD', KEYS[1], '*', 'd', ARGV[3]) redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('HSET', KEYS[2], 'd', ARGV[3]) redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZADD', KEYS[3], 1, ARGV[3]) redis.call('PEXPIRE', KEYS[3], ARGV[4])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
return redis.call(ARGV[1], ARGV[2], ARGV[3])`

// trial subscribes, and writes and publishes in a script.
func (d *diagnosis) trial(ctx context.Context, lane int) {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	word := random(9)
	name := d.o.base(lane) + "doctor:" + word
	channel, publish := name, "PUBLISH"
	var err error
	defer func() {
		if err != nil {
			d.add("trial", Wrong, d.conn.redact(err).Error(), "allow this user what docs/operations.md lists, on keys and channels that begin with "+"ac1:"+d.o.Prefix)
			return
		}
		d.add("trial", Fine, "a script wrote, and what it published came back", "")
	}()
	var sub *goredis.PubSub
	if d.conn.form == cluster {
		publish = "SPUBLISH"
		sub = d.client.SSubscribe(ctx, channel)
	} else {
		sub = d.client.Subscribe(ctx, channel)
	}
	defer func() { _ = sub.Close() }()
	if _, err = sub.Receive(ctx); err != nil {
		return
	}
	if err = d.client.Eval(ctx, trialText, []string{name + ":s", name + ":h", name + ":z"}, publish, channel, word, diagnoseKeys.Milliseconds()).Err(); err != nil {
		return
	}
	if d.o.AckReplicas > 0 {
		// How many replicas confirm is told above; this is whether one may ask.
		if err = d.client.Wait(ctx, d.o.AckReplicas, d.o.AckTimeout).Err(); err != nil {
			return
		}
	}
	var m *goredis.Message
	if m, err = sub.ReceiveMessage(ctx); err == nil && m.Payload != word {
		err = fmt.Errorf("published %q, received %q", word, m.Payload)
	}
}

// lanes compares the number of lanes with what the fleet has fixed.
func (d *diagnosis) lanes(ctx context.Context) {
	have, err := d.client.HGet(ctx, d.o.base(0)+"cfg", "lanes").Result()
	switch {
	case err != nil:
		// No fleet has been here, or the trial has said what is not allowed.
	case have != strconv.Itoa(d.o.Lanes):
		d.add("lanes", Wrong, fmt.Sprintf("the fleet here has %s, this node would have %d", have, d.o.Lanes), "use another redis.prefix, or the kind of URL (redis, redis+cluster) that the fleet began with")
	default:
		d.add("lanes", Fine, have, "")
	}
}
