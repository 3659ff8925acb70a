package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// keysEvery is how often a soak weighs every key of Redis. It takes Redis a few
// milliseconds per thousand keys.
const keysEvery = 30 * time.Second

// keyClass is what Redis holds of one kind of key.
type keyClass struct {
	Keys  float64 `json:"keys"`
	Bytes float64 `json:"bytes"`
	// Lasting have no expiry. That is right only for what there is one of in a
	// lane, or what a living node has.
	Lasting float64 `json:"lasting"`
}

// classOf is the kind of a key, as adapter/redis and server/chat name them: a
// table's first word says what it is about, and "x:" has two kinds.
func classOf(key string) string {
	_, name, ok := strings.Cut(key, "}:")
	if !ok {
		return "foreign"
	}
	kind, rest, _ := strings.Cut(name, ":")
	switch kind {
	case "t", "x":
		if i := strings.IndexAny(rest, " :"); i > 0 {
			return kind + ":" + rest[:i]
		}
	case "v", "w":
		if rest == "" {
			return name
		}
	}
	return kind
}

// weigh is what Redis holds by kind of key.
func (s *store) weigh(ctx context.Context) (map[string]keyClass, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := goredis.NewClient(&goredis.Options{Addr: s.Addr, MaxRetries: -1, DisableIdentity: true})
	defer func() { _ = client.Close() }()
	all := make(map[string]keyClass)
	seen := make(map[string]bool) // SCAN may repeat itself
	var cursor uint64
	for {
		keys, next, err := client.Scan(ctx, cursor, "*", 500).Result()
		if err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		pipe := client.Pipeline()
		var fresh []string
		var sizes []*goredis.IntCmd
		var ends []*goredis.DurationCmd
		for _, key := range keys {
			if seen[key] {
				continue
			}
			seen[key] = true
			fresh, sizes, ends = append(fresh, key), append(sizes, pipe.MemoryUsage(ctx, key, 0)), append(ends, pipe.PTTL(ctx, key))
		}
		if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, goredis.Nil) {
			return nil, fmt.Errorf("weigh keys: %w", err)
		}
		for i, key := range fresh {
			size, err := sizes[i].Result()
			if err != nil {
				continue // gone since
			}
			c := all[classOf(key)]
			c.Keys++
			c.Bytes += float64(size)
			if ends[i].Val() == -1 {
				c.Lasting++
			}
			all[classOf(key)] = c
		}
		if cursor = next; cursor == 0 {
			return all, nil
		}
	}
}

// redisMemory is what Redis says of its memory. Data is all that is neither a
// connection's buffer nor the append-only file's.
type redisMemory struct{ used, data, clients, scripts float64 }

func parseMemory(info string) (m redisMemory, err error) {
	fields := make(map[string]float64)
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			fields[name] = v
		}
	}
	for _, name := range []string{"used_memory", "mem_clients_normal", "mem_aof_buffer"} {
		if _, ok := fields[name]; !ok {
			return m, fmt.Errorf("INFO memory has no %s", name)
		}
	}
	m.used = fields["used_memory"]
	m.clients = fields["mem_clients_normal"] + fields["mem_clients_slaves"] + fields["mem_aof_buffer"]
	m.scripts = fields["used_memory_vm_total"] + fields["used_memory_scripts"]
	m.data = m.used - m.clients
	return m, nil
}

// keyTrend is one kind of key over a soak.
type keyTrend struct {
	Class   string  `json:"class"`
	Keys    trend   `json:"keys"`
	Bytes   trend   `json:"bytes"`
	Lasting float64 `json:"lasting"` // at the end
}

// keyTrendsOf leaves out the first fifth, as trendsOf does. The heaviest comes
// first.
func keyTrendsOf(samples []soakSample) (all []keyTrend) {
	if len(samples) == 0 {
		return nil
	}
	from := samples[len(samples)-1].Seconds / 5
	var at []float64
	var weighed []map[string]keyClass
	var names []string
	for _, s := range samples {
		if s.Seconds < from || s.Classes == nil {
			continue
		}
		at, weighed = append(at, s.Seconds/3600), append(weighed, s.Classes)
		for name := range s.Classes {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		var keys, bytes []float64
		for _, w := range weighed {
			keys, bytes = append(keys, w[name].Keys), append(bytes, w[name].Bytes)
		}
		all = append(all, keyTrend{name, fit(at, keys), fit(at, bytes), weighed[len(weighed)-1][name].Lasting})
	}
	slices.SortFunc(all, func(a, b keyTrend) int {
		if a.Bytes.Last != b.Bytes.Last {
			return int(b.Bytes.Last - a.Bytes.Last)
		}
		return strings.Compare(a.Class, b.Class)
	})
	return all
}

func writeKeyTrends(w io.Writer, all []keyTrend) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(tw, "keys\tfirst\tlast\tan hour\t± (95 %)\twithout expiry\tbytes first\tlast\tan hour\t± (95 %)\t")
	for _, t := range all {
		_, _ = fmt.Fprintf(tw, "%s\t%.0f\t%.0f\t%+.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%+.0f\t%.0f\t\n", t.Class,
			t.Keys.First, t.Keys.Last, t.Keys.Slope, t.Keys.Error, t.Lasting, t.Bytes.First, t.Bytes.Last, t.Bytes.Slope, t.Bytes.Error)
	}
	return tw.Flush()
}
