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
	nodeNeeds  = 20 // connections of a node on a single Redis: see Options.Connections
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

func (f *facts) judge() []Finding {
	return []Finding{f.version(), f.replid(), f.role(), f.eviction(), f.memory(), f.file(), f.replicas(), f.clients()}
}

func (f *facts) version() Finding {
	v := f.info["redis_version"]
	major, _, _ := strings.Cut(v, ".")
	n, err := strconv.Atoi(major)
	switch {
	case v == "":
		return Finding{"version", Unknown, "INFO does not tell redis_version", "make sure that it is 7.0 or later", false}
	case err != nil || n < leastMajor:
		return Finding{"version", Wrong, v, "7.0 or later is needed", false}
	}
	return Finding{"version", Fine, v, "", false}
}

func (f *facts) replid() Finding {
	if id := f.info["master_replid"]; len(id) != 40 {
		return Finding{"master_replid", Wrong, "INFO does not show it", "a restarted Redis could not be told from one that lost messages: use a service whose INFO replication shows master_replid", false}
	}
	return Finding{"master_replid", Fine, "shown", "", false}
}

func (f *facts) role() Finding {
	const advice = "redis.url must lead to the primary: use redis+sentinel:// or redis+cluster:// where it moves"
	switch role := f.info["role"]; role {
	case "master":
		return Finding{"role", Fine, "primary", "", false}
	case "":
		return Finding{"role", Unknown, "INFO does not tell role", advice, false}
	default:
		return Finding{"role", Wrong, role, advice, false}
	}
}

func (f *facts) eviction() Finding {
	switch policy := f.info["maxmemory_policy"]; policy {
	case "noeviction":
		return Finding{"eviction", Fine, policy, "", false}
	case "":
		return Finding{"eviction", Unknown, "INFO does not tell maxmemory_policy", "make sure that it is noeviction", false}
	default:
		return Finding{"eviction", Wrong, policy, "set maxmemory-policy noeviction: otherwise a full Redis drops rooms and sessions in silence (Memorystore: --redis-config maxmemory-policy=noeviction)", false}
	}
}

func (f *facts) memory() Finding {
	used, _ := f.number("used_memory")
	limit, ok := f.number("maxmemory")
	switch {
	case !ok:
		return Finding{"memory", Unknown, fmt.Sprintf("%d MiB used, INFO does not tell maxmemory", used>>20), "make sure that a full Redis refuses instead of being killed", false}
	case limit == 0:
		return Finding{"memory", Doubtful, fmt.Sprintf("%d MiB used, no maxmemory", used>>20), "set maxmemory to three quarters of the machine: a full Redis then refuses instead of being killed", false}
	case float64(used) > nearlyFull*float64(limit):
		return Finding{"memory", Wrong, fmt.Sprintf("%d of %d MiB used", used>>20, limit>>20), "give Redis more memory, or lower log.max_messages or log.max_age: when it is full, messages are refused", false}
	}
	return Finding{"memory", Fine, fmt.Sprintf("%d of %d MiB used", used>>20, limit>>20), "", false}
}

func (f *facts) file() Finding {
	replicas, _ := f.number("connected_slaves")
	const subject = "append-only file"
	switch on := f.info["aof_enabled"]; {
	case on == "":
		return Finding{subject, Unknown, "INFO does not tell aof_enabled", "without it a killed Redis loses what was acknowledged; members are told of it", false}
	case on == "1" && f.info["aof_last_write_status"] != "ok":
		return Finding{subject, Wrong, "its last write failed", "see Redis's log: the disk is full or broken", false}
	case on == "1":
		return Finding{subject, Fine, "on", "", false}
	case f.o.AckReplicas > 0 && replicas >= int64(f.o.AckReplicas):
		return Finding{subject, Fine, "off; replicas confirm each message", "", false}
	}
	return Finding{subject, Doubtful, "off", "set appendonly yes (Memorystore: --persistence-mode or a Standard tier with log.ack_replicas 1): a killed Redis loses what was acknowledged; members are told of it", false}
}

func (f *facts) replicas() Finding {
	n, ok := f.number("connected_slaves")
	switch {
	case !ok:
		return Finding{"replicas", Unknown, "INFO does not tell connected_slaves", fmt.Sprintf("log.ack_replicas is %d: make sure that there are as many", f.o.AckReplicas), false}
	case n < int64(f.o.AckReplicas):
		return Finding{"replicas", Wrong, fmt.Sprintf("%d connected, log.ack_replicas is %d", n, f.o.AckReplicas), "connect replicas or lower log.ack_replicas: as it is, every message is refused", false}
	case n > 0 && f.o.AckReplicas == 0:
		return Finding{"replicas", Doubtful, fmt.Sprintf("%d connected, none need confirm", n), "set log.ack_replicas 1 if a failover shall lose nothing that was acknowledged", true}
	}
	return Finding{"replicas", Fine, fmt.Sprintf("%d connected, %d must confirm", n, f.o.AckReplicas), "", false}
}

func (f *facts) clients() Finding {
	limit, ok := f.number("maxclients")
	now, _ := f.number("connected_clients")
	switch {
	case !ok || limit == 0:
		return Finding{"connections", Unknown, fmt.Sprintf("%d in use, the limit is not told", now), fmt.Sprintf("see that maxclients is %d for each node", nodeNeeds), false}
	case limit-now < nodeNeeds:
		return Finding{"connections", Wrong, fmt.Sprintf("%d of %d in use", now, limit), fmt.Sprintf("raise maxclients: each node needs up to %d", nodeNeeds), false}
	}
	return Finding{"connections", Fine, fmt.Sprintf("%d of %d in use: enough for %d more nodes", now, limit, (limit-now)/nodeNeeds), "", false}
}
