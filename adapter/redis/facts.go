package redis

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
)

// Verdict is what a finding means for a fleet on this Redis.
type Verdict uint8

const (
	Fine     Verdict = iota
	Unknown          // the service does not tell (CONFIG is refused on Memorystore)
	Doubtful         // works, and promises less than it could
	Wrong            // a fleet would not work, or would lose what it acknowledged
)

// Finding is one fact about a Redis.
type Finding struct {
	Subject string // what was looked at: "eviction"
	Verdict Verdict
	Text    string // what was found, on one line, without secrets
	Advice  string // what to change; "" when fine
	// choice: the operator's own, and as good as the other one. It is told before
	// a start, and not again by every node for ever.
	choice bool
}

const (
	leastMajor = 7  // of the version
	nodeNeeds  = 22 // connections of a node on a single Redis: see Options.Connections
	nearlyFull = 0.85
)

// facts are what INFO says of a Redis that is to serve a node with these options.
// Diagnose asks before a start, and each node when a link begins and at each audit:
// they judge alike.
type facts struct {
	o    *Options
	info map[string]string
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

// number is a field's; not ok when the service does not tell it.
func (f *facts) number(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(f.info[name], 10, 64)
	return n, err == nil
}

func found(subject string, v Verdict, text, advice string) Finding {
	return Finding{Subject: subject, Verdict: v, Text: text, Advice: advice}
}

func (f *facts) judge() []Finding {
	return []Finding{f.version(), f.replid(), f.role(), f.eviction(), f.memory(), f.file(), f.replicas(), f.clients()}
}

func (f *facts) version() Finding {
	v := f.info["redis_version"]
	major, _, _ := strings.Cut(v, ".")
	n, err := strconv.Atoi(major)
	switch {
	case v == "":
		return found("version", Unknown, "INFO does not tell redis_version", "make sure that it is 7.0 or later")
	case err != nil || n < leastMajor:
		return found("version", Wrong, v, "7.0 or later is needed")
	}
	return found("version", Fine, v, "")
}

func (f *facts) replid() Finding {
	if id := f.info["master_replid"]; len(id) != 40 {
		return found("master_replid", Wrong, "INFO does not show it", "a restarted Redis could not be told from one that lost messages: use a service whose INFO replication shows master_replid")
	}
	return found("master_replid", Fine, "shown", "")
}

func (f *facts) role() Finding {
	const advice = "redis.url must lead to the primary: use redis+sentinel:// or redis+cluster:// where it moves"
	switch role := f.info["role"]; role {
	case "master":
		return found("role", Fine, "primary", "")
	case "":
		return found("role", Unknown, "INFO does not tell role", advice)
	default:
		return found("role", Wrong, role, advice)
	}
}

func (f *facts) eviction() Finding {
	switch policy := f.info["maxmemory_policy"]; policy {
	case "noeviction":
		return found("eviction", Fine, policy, "")
	case "":
		return found("eviction", Unknown, "INFO does not tell maxmemory_policy", "make sure that it is noeviction")
	default:
		return found("eviction", Wrong, policy, "set maxmemory-policy noeviction: otherwise a full Redis drops rooms and sessions in silence (Memorystore: --redis-config maxmemory-policy=noeviction)")
	}
}

func (f *facts) memory() Finding {
	used, _ := f.number("used_memory")
	limit, ok := f.number("maxmemory")
	switch {
	case !ok:
		return found("memory", Unknown, fmt.Sprintf("%d MiB used, INFO does not tell maxmemory", used>>20), "make sure that a full Redis refuses instead of being killed")
	case limit == 0:
		return found("memory", Doubtful, fmt.Sprintf("%d MiB used, no maxmemory", used>>20), "set maxmemory to three quarters of the machine: a full Redis then refuses instead of being killed")
	case float64(used) > nearlyFull*float64(limit):
		return found("memory", Wrong, fmt.Sprintf("%d of %d MiB used", used>>20, limit>>20), "give Redis more memory, or lower log.max_messages or log.max_age: when it is full, messages are refused")
	}
	return found("memory", Fine, fmt.Sprintf("%d of %d MiB used", used>>20, limit>>20), "")
}

func (f *facts) file() Finding {
	replicas, _ := f.number("connected_slaves")
	const subject = "append-only file"
	switch on := f.info["aof_enabled"]; {
	case on == "":
		return found(subject, Unknown, "INFO does not tell aof_enabled", "without it a killed Redis loses what was acknowledged; members are told of it")
	case on == "1" && f.info["aof_last_write_status"] != "ok":
		return found(subject, Wrong, "its last write failed", "see Redis's log: the disk is full or broken")
	case on == "1":
		return found(subject, Fine, "on", "")
	case f.o.AckReplicas > 0 && replicas >= int64(f.o.AckReplicas):
		return found(subject, Fine, "off; replicas confirm each message", "")
	}
	return found(subject, Doubtful, "off", "set appendonly yes (Memorystore: --persistence-mode or a Standard tier with log.ack_replicas 1): a killed Redis loses what was acknowledged; members are told of it")
}

func (f *facts) replicas() Finding {
	n, ok := f.number("connected_slaves")
	switch {
	case !ok:
		return found("replicas", Unknown, "INFO does not tell connected_slaves", fmt.Sprintf("log.ack_replicas is %d: make sure that there are as many", f.o.AckReplicas))
	case n < int64(f.o.AckReplicas):
		return found("replicas", Wrong, fmt.Sprintf("%d connected, log.ack_replicas is %d", n, f.o.AckReplicas), "connect replicas or lower log.ack_replicas: as it is, every message is refused")
	case n > 0 && f.o.AckReplicas == 0:
		x := found("replicas", Doubtful, fmt.Sprintf("%d connected, none need confirm", n), "set log.ack_replicas 1 if a failover shall lose nothing that was acknowledged")
		x.choice = true
		return x
	}
	return found("replicas", Fine, fmt.Sprintf("%d connected, %d must confirm", n, f.o.AckReplicas), "")
}

func (f *facts) clients() Finding {
	limit, ok := f.number("maxclients")
	now, _ := f.number("connected_clients")
	switch {
	case !ok || limit == 0:
		return found("connections", Unknown, fmt.Sprintf("%d in use, the limit is not told", now), fmt.Sprintf("see that maxclients is %d for each node", nodeNeeds))
	case limit-now < nodeNeeds:
		return found("connections", Wrong, fmt.Sprintf("%d of %d in use", now, limit), fmt.Sprintf("raise maxclients: each node needs up to %d", nodeNeeds))
	}
	return found("connections", Fine, fmt.Sprintf("%d of %d in use: enough for %d more nodes", now, limit, (limit-now)/nodeNeeds), "")
}
