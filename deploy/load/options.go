package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/antchat/antchat/deploy/load/result"
)

// options are the command line's.
type options struct {
	result.Options
	Quiet     bool
	JSON, SVG string

	servers []netip.AddrPort
	path    string
}

// What a run may have at most: every run is bounded.
const (
	mostClients  = 1_000_000
	mostRooms    = 99_999
	mostDuration = 2 * time.Hour
	mostParts    = 64
)

// partEnv holds a part's number: it makes this program one part of a run that
// another one divided (-processes).
const partEnv = "ANTCHAT_LOAD_PART"

// isPart says whether this process is a part, and its number.
func isPart() (number string, ok bool) { return os.LookupEnv(partEnv) }

var modes = []string{"idle", "room", "rooms", "chat", "storm", "slow"}

// parseOptions reads the command line. Servers other than this machine's own
// need -allow-remote.
func parseOptions(args []string) (*options, error) {
	o := &options{}
	var targets, pids string
	var remote bool
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.Usage = func() {
		_, _ = fmt.Fprint(f.Output(), "usage: go run ./deploy/load -mode MODE [options]\n\nModes:\n"+
			"  idle   connect, and stay\n  room   one room of all; -rate, or as fast as it goes (-window)\n"+
			"  rooms  many rooms (-rooms)\n  chat   people who write, type, join, leave, scroll back, drop and come back\n"+
			"  storm  all connections are cut at once (or a server is killed: -kill), and come back\n"+
			"  slow   a part of one room's members (-slow) never reads\n\nOptions:\n")
		f.PrintDefaults()
	}
	f.StringVar(&o.Mode, "mode", "room", "one of "+strings.Join(modes, ", "))
	f.StringVar(&targets, "targets", "http://127.0.0.1:3000", "servers, in turn, separated by commas; a path other than /socket.io/ behind the first counts for all")
	f.StringVar(&pids, "pids", "", "process ids of the servers on this machine, whose CPU and memory are reported")
	f.IntVar(&o.Clients, "clients", 1000, "clients")
	f.IntVar(&o.Rooms, "rooms", 0, "rooms; by default 1, in the modes rooms and chat a tenth of the clients")
	f.Float64Var(&o.Rate, "rate", 20, "messages a second, to all rooms together (chat: actions a second); 0 is as fast as it goes")
	f.IntVar(&o.Window, "window", 8, "messages under way at a time, when -rate is 0")
	f.IntVar(&o.Size, "size", 128, "bytes of a message's text")
	f.DurationVar(&o.WarmUp, "warm-up", 2*time.Second, "what goes before the measured time")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "measured time")
	f.DurationVar(&o.Limit, "limit", 10*time.Minute, "the whole run ends after this, whatever happens")
	f.DurationVar(&o.Grace, "grace", 15*time.Second, "how long after the measured time something may still arrive before it counts as lost")
	f.IntVar(&o.Opening, "opening", 64, "handshakes under way at a time")
	f.IntVar(&o.Sources, "sources", 1, "loopback addresses to come from: each has some 28,000 ports for each server")
	f.IntVar(&o.Processes, "processes", 1, "processes to divide clients, rooms and rate among: one may hold as many connections as ulimit -n; every room's clients are of one process")
	f.StringVar(&o.Revision, "revision", "4", "of Engine.IO: 4, 3 or mixed")
	f.StringVar(&o.Transport, "transport", "websocket", "websocket, polling or mixed")
	f.StringVar(&o.Vocabulary, "vocabulary", "plain", "plain: handlers join(room) and msg(room, text); antchat: docs/protocol.md")
	f.Float64Var(&o.Slow, "slow", 0.1, "part of the clients that never reads, in the mode slow")
	f.DurationVar(&o.Backoff, "backoff", time.Second, "first wait before a reconnect, half to one and a half of it, doubled up to 5 s")
	f.IntVar(&o.Kill, "kill", 0, "process id of the last target's server, which is killed in the mode storm instead of cutting all")
	f.IntVar(&o.OnKilled, "on-killed", 0, "clients on the server that is killed, the others are on the others; by default each server has its share")
	f.BoolVar(&o.Faults, "faults", false, "somebody ends servers and connections meanwhile: closes are counted, and no reason to fail")
	f.BoolVar(&o.Spin, "spin", false, "poll instead of sleeping: wake-ups then stay out of the servers' bill")
	f.BoolVar(&remote, "allow-remote", false, "allow targets beyond this machine: only with their owner's leave")
	f.BoolVar(&o.Quiet, "quiet", false, "no progress")
	f.StringVar(&o.JSON, "json", "", "write the result to this file, - is standard output")
	f.StringVar(&o.SVG, "svg", "", "write a plot of the run to this file")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q: everything is an option; see -help", f.Arg(0))
	}
	for text := range strings.SplitSeq(pids, ",") {
		if text == "" {
			continue
		}
		pid, err := strconv.Atoi(text)
		if err != nil || pid < 1 {
			return nil, fmt.Errorf("-pids: %q is no process id", text)
		}
		o.PIDs = append(o.PIDs, pid)
	}
	for text := range strings.SplitSeq(targets, ",") {
		if err := o.target(text, remote); err != nil {
			return nil, fmt.Errorf("-targets: %w", err)
		}
	}
	return o, o.check()
}

// target adds a server by its address.
func (o *options) target(text string, remote bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "ws" || u.Host == "" {
		return fmt.Errorf("%q: an address such as http://127.0.0.1:3000 (no TLS)", text)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Hostname())
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("port of %q", text)
	}
	if !all[0].IsLoopback() && !remote {
		return fmt.Errorf("%s is not this machine: -allow-remote allows it, with its owner's leave", text)
	}
	o.Targets = append(o.Targets, text)
	o.servers = append(o.servers, netip.AddrPortFrom(all[0].Unmap(), uint16(n)))
	if o.path == "" && u.Path != "" && u.Path != "/" {
		o.path = strings.TrimSuffix(u.Path, "/") + "/"
	}
	return nil
}

func (o *options) check() error {
	oneOf := func(name, value string, allowed ...string) error {
		for _, a := range allowed {
			if a == value {
				return nil
			}
		}
		return fmt.Errorf("-%s: %q is not one of %s", name, value, strings.Join(allowed, ", "))
	}
	within := func(name string, value, least, most float64) error {
		if value < least || value > most {
			return fmt.Errorf("-%s: %v is not from %v to %v", name, value, least, most)
		}
		return nil
	}
	if o.Rooms == 0 {
		o.Rooms = 1
		if o.Mode == "rooms" || o.Mode == "chat" {
			o.Rooms = max(1, o.Clients/10)
		}
	}
	if o.Mode == "room" || o.Mode == "slow" {
		o.Rooms = 1
	}
	err := errors.Join(
		oneOf("mode", o.Mode, modes...), oneOf("revision", o.Revision, "3", "4", "mixed"),
		oneOf("transport", o.Transport, "websocket", "polling", "mixed"), oneOf("vocabulary", o.Vocabulary, "plain", "antchat"),
		within("clients", float64(o.Clients), 1, mostClients), within("rooms", float64(o.Rooms), 1, float64(min(o.Clients, mostRooms))),
		within("rate", o.Rate, 0, 1e6), within("window", float64(o.Window), 1, 10_000), within("size", float64(o.Size), headSize, 60_000),
		within("warm-up", o.WarmUp.Seconds(), 0, 600), within("duration", o.Duration.Seconds(), 0.1, mostDuration.Seconds()),
		within("limit", o.Limit.Seconds(), 1, (mostDuration+10*time.Minute).Seconds()), within("grace", o.Grace.Seconds(), 0, 600), within("opening", float64(o.Opening), 1, 10_000),
		within("sources", float64(o.Sources), 1, 250), within("processes", float64(o.Processes), 1, mostParts), within("slow", o.Slow, 0, 0.9), within("backoff", o.Backoff.Seconds(), 0, 60),
	)
	if err != nil {
		return err
	}
	switch {
	case o.Rate == 0 && (o.Mode == "chat" || o.Mode == "storm" || o.Mode == "slow"):
		return fmt.Errorf("-rate: 0 is not allowed in the mode %s", o.Mode)
	case o.Kill != 0 && (o.Mode != "storm" || len(o.servers) < 2):
		return errors.New("-kill: needs the mode storm and a second target to go to")
	case o.Processes > min(o.Clients, o.Rooms):
		return errors.New("-processes: each needs a client and a room of its own (-rooms)")
	case o.Processes > 1 && o.Rate == 0:
		return errors.New("-processes: needs a -rate to divide")
	case o.Kill != 0 && o.Processes > 1:
		return errors.New("-kill: one process has to know of it")
	case o.Kill != 0 && (len(o.PIDs) == 0 || o.PIDs[len(o.PIDs)-1] != o.Kill):
		return errors.New("-kill: must be the last of -pids, and the last target's server")
	case o.OnKilled != 0 && (o.Kill == 0 || o.OnKilled < 0 || o.OnKilled > o.Clients-o.Rooms):
		return errors.New("-on-killed: needs -kill, and leaves a client of each room on the others")
	case o.Sources > 1 && !o.servers[0].Addr().IsLoopback():
		return errors.New("-sources: only for loopback")
	}
	return nil
}
