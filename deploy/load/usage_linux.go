package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/antchat/antchat/deploy/load/process"
	"github.com/antchat/antchat/deploy/load/result"
)

// usage is what the servers, and this program, used between marks.
type usage struct {
	pids  []int // the servers that live
	was   map[int]process.Usage
	marks map[string]mark
	// stormBegan is in seconds of the run; 0 for no storm.
	stormBegan float64
}

// mark is what had been used at a moment.
type mark struct {
	at       time.Time
	servers  map[int]process.Usage
	self     process.Usage
	sent     uint64 // bytes
	received uint64
}

func newUsage(pids []int) usage {
	return usage{pids: slices.Clone(pids), was: map[int]process.Usage{}, marks: map[string]mark{}}
}

// mark notes what has been used now. The marks are begin, connected, the
// measured time's from and to, and a storm's cut and whole.
func (u *usage) mark(name string, sent, received uint64) error {
	m := mark{at: time.Now(), servers: map[int]process.Usage{}, sent: sent, received: received}
	var err error
	if m.self, err = process.Read(os.Getpid()); err != nil {
		return err
	}
	for _, pid := range u.pids {
		if m.servers[pid], err = process.Read(pid); err != nil {
			return fmt.Errorf("-pids: %w", err)
		}
	}
	u.marks[name] = m
	if name == "begin" {
		u.was = maps.Clone(m.servers)
	}
	return nil
}

// gone takes a server out that was killed.
func (u *usage) gone(pid int) {
	u.pids = slices.DeleteFunc(u.pids, func(p int) bool { return p == pid })
}

// since is what the servers used since the last call, span seconds ago: cores,
// and bytes.
func (u *usage) since(span float64) (cores float64, rss int64, err error) {
	for _, pid := range u.pids {
		now, err := process.Read(pid)
		if err != nil {
			return 0, 0, fmt.Errorf("a server has ended: %w", err)
		}
		cores += (now.CPU - u.was[pid].CPU).Seconds() / span
		rss += now.RSS
		u.was[pid] = now
	}
	return cores, rss, nil
}

// report adds rates and costs to a result whose options, counts and samples are
// set. Without the mark to, there was no measured time.
func (u *usage) report(x *result.Run) {
	begin, connected, from, to := u.marks["begin"], u.marks["connected"], u.marks["from"], u.marks["to"]
	clients := float64(x.Options.Clients)
	if !connected.at.IsZero() {
		x.Rate.Connects = clients / connected.at.Sub(begin.at).Seconds()
	}
	before := u.marks["cut"]
	for pid, at := range u.marks["whole"].servers {
		x.Storm.CPU += (at.CPU - before.servers[pid].CPU).Seconds()
	}
	for _, s := range x.Samples {
		if u.stormBegan == 0 || s.Seconds < u.stormBegan {
			continue
		}
		x.Storm.PeakConnects, x.Storm.PeakCPU = max(x.Storm.PeakConnects, s.Connects), max(x.Storm.PeakCPU, s.CPU)
	}
	if to.at.IsZero() {
		return
	}
	span := to.at.Sub(from.at).Seconds()
	x.Rate.Sent, x.Rate.Deliveries = float64(x.Counts.Sent)/span, float64(x.Counts.Deliveries)/span
	x.Rate.BytesIn, x.Rate.BytesOut = float64(to.received-from.received)/span, float64(to.sent-from.sent)/span
	for _, pid := range x.Options.PIDs {
		last, there := to.servers[pid]
		s := result.Server{
			PID: pid, Name: begin.servers[pid].Name, Killed: !there,
			ConnectCPU:   (connected.servers[pid].CPU - begin.servers[pid].CPU).Seconds(),
			RSSPerClient: float64(connected.servers[pid].RSS-begin.servers[pid].RSS) / clients,
		}
		if there {
			s.CPU, s.RSS = (last.CPU - from.servers[pid].CPU).Seconds(), last.RSS
			if x.Counts.Deliveries > 0 {
				s.CPUPerMillion = s.CPU / float64(x.Counts.Deliveries) * 1e6
			}
		}
		x.Servers = append(x.Servers, s)
	}
	cpu := (to.self.CPU - from.self.CPU).Seconds()
	x.Self = &result.Self{CPU: cpu, Cores: cpu / span, RSS: to.self.RSS}
}
