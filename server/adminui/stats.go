package adminui

import (
	"context"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// stats are this node's counts. What Engine.IO does is told by main, through
// the exported methods of UI.
type stats struct {
	started time.Time

	clients, polling                                       atomic.Int64
	opened, packetsIn, packetsOut, bytesIn, bytesOut       atomic.Int64
	mu                                                     sync.Mutex
	closed                                                 map[string]int64 // by reason; guarded by mu
	lastOpened, lastIn, lastOut, lastBytesIn, lastBytesOut int64            // the worker's
	lastClosed                                             map[string]int64 // the worker's
	waiting                                                []aggregated     // the worker's: not yet reported
}

// aggregated is how often something happened in a second.
type aggregated struct {
	Timestamp int64  `json:"timestamp"` // ms
	Type      string `json:"type"`
	SubType   string `json:"subType,omitempty"`
	Count     int64  `json:"count"`
}

// maxReasons bounds the kinds of ends that are counted apart.
const maxReasons = 32

// maxWaiting bounds what waits for the next report.
const maxWaiting = 1000

func (s *stats) init() {
	s.started = time.Now()
	s.closed = make(map[string]int64)
}

// Opened, Closed and Upgraded count Engine.IO sessions; transport is "polling"
// or "websocket".
func (u *UI) Opened(transport string) {
	u.stats.clients.Add(1)
	u.stats.opened.Add(1)
	if transport == "polling" {
		u.stats.polling.Add(1)
	}
}

// Closed: see Opened.
func (u *UI) Closed(transport, reason string) {
	u.stats.clients.Add(-1)
	if transport == "polling" {
		u.stats.polling.Add(-1)
	}
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	if _, ok := u.stats.closed[reason]; !ok && len(u.stats.closed) >= maxReasons {
		reason = "other"
	}
	u.stats.closed[reason]++
}

// Upgraded: see Opened.
func (u *UI) Upgraded() { u.stats.polling.Add(-1) }

// Received and Sent count Engine.IO packets and their bytes.
func (u *UI) Received(packets, bytes int) {
	u.stats.packetsIn.Add(int64(packets))
	u.stats.bytesIn.Add(int64(bytes))
}

// Sent: see Received.
func (u *UI) Sent(packets, bytes int) {
	u.stats.packetsOut.Add(int64(packets))
	u.stats.bytesOut.Add(int64(bytes))
}

// reset begins to count: what was before nobody has asked for.
func (s *stats) reset() {
	s.bucket(time.Now())
	s.waiting = nil
}

// bucket notes what has happened since the last one.
func (s *stats) bucket(now time.Time) {
	at := now.Truncate(time.Second).UnixMilli()
	add := func(kind, sub string, n int64) {
		if n <= 0 {
			return
		}
		if len(s.waiting) >= maxWaiting {
			s.waiting = append(s.waiting[:0], s.waiting[1:]...)
		}
		s.waiting = append(s.waiting, aggregated{at, kind, sub, n})
	}
	count := func(kind string, total *atomic.Int64, last *int64) {
		n := total.Load()
		add(kind, "", n-*last)
		*last = n
	}
	count("rawConnection", &s.opened, &s.lastOpened)
	count("packetsIn", &s.packetsIn, &s.lastIn)
	count("packetsOut", &s.packetsOut, &s.lastOut)
	count("bytesIn", &s.bytesIn, &s.lastBytesIn)
	count("bytesOut", &s.bytesOut, &s.lastBytesOut)
	s.mu.Lock()
	closed := maps.Clone(s.closed)
	s.mu.Unlock()
	for reason, n := range closed {
		add("rawDisconnection", reason, n-s.lastClosed[reason])
	}
	s.lastClosed = closed
}

// serverStats is what a page knows of a node.
type serverStats struct {
	ServerID   string       `json:"serverId"`
	Hostname   string       `json:"hostname"`
	PID        int          `json:"pid"`
	Uptime     float64      `json:"uptime"` // s
	Clients    int64        `json:"clientsCount"`
	Polling    int64        `json:"pollingClientsCount"`
	Aggregated []aggregated `json:"aggregatedEvents"`
	Namespaces []namespace  `json:"namespaces"`
}

type namespace struct {
	Name    string `json:"name"`
	Sockets int    `json:"socketsCount"`
}

// maxNamespaces bounds those that are listed; dynamic ones may be many.
const maxNamespaces = 100

// tellStats reports this node's figures.
func (u *UI) tellStats(ctx context.Context) {
	s := &u.stats
	r := serverStats{
		ServerID: u.o.ServerID, Hostname: hostname(), PID: os.Getpid(), Uptime: time.Since(s.started).Seconds(),
		Clients: s.clients.Load(), Polling: s.polling.Load(), Aggregated: s.waiting, Namespaces: []namespace{},
	}
	if r.Aggregated == nil {
		r.Aggregated = []aggregated{}
	}
	for _, ns := range u.server.Namespaces() {
		if len(r.Namespaces) < maxNamespaces {
			r.Namespaces = append(r.Namespaces, namespace{ns.Name(), ns.Sockets()})
		}
	}
	s.waiting = nil
	u.tell(ctx, "server_stats", r)
}
