package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/antchat/antchat/deploy/load/result"
)

// The storm is the load tool's, with its check: of so many nodes one is killed
// with most of the clients on it, and they come back to the others as
// socket.io-client does. Everyone is in a room of ten, and people write there
// meanwhile.
const (
	stormRate    = 300 // messages a second
	stormMembers = 10
)

func storm(ctx context.Context, f *fleet, _ *load, o options, add func(string, float64)) error {
	clients := o.storm + o.storm/5
	rooms := max(1, clients/stormMembers)
	var targets, pids []string
	for _, s := range f.nodes {
		targets = append(targets, fmt.Sprintf("http://127.0.0.1:%d", s.port))
		pids = append(pids, strconv.Itoa(s.PID()))
	}
	cmd := exec.CommandContext(ctx, o.loadTool, "-mode", "storm", "-vocabulary", "antchat", "-quiet", "-json", "-",
		"-targets", strings.Join(targets, ","), "-pids", strings.Join(pids, ","), "-kill", pids[len(pids)-1],
		"-clients", strconv.Itoa(clients), "-on-killed", strconv.Itoa(o.storm), "-rooms", strconv.Itoa(rooms), "-opening", "128",
		// Each room has said something by then: a client without an offset has
		// nothing to recover from.
		"-rate", strconv.Itoa(stormRate), "-warm-up", fmt.Sprintf("%.1fs", 1+float64(rooms)/stormRate), "-duration", "3s", "-limit", "3m")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the load tool: %w", err)
	}
	var got result.Run
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		return fmt.Errorf("the load tool's result: %w", err)
	}
	if got.Storm.Cut != o.storm {
		return fmt.Errorf("%d clients were cut, not %d", got.Storm.Cut, o.storm)
	}
	if got.Delivery == nil {
		return errors.New("nothing was delivered")
	}
	add("storm whole", got.Storm.WholeSeconds)
	add("storm recovered", 100*float64(got.Counts.Recovered)/float64(o.storm))
	add("storm connects", got.Storm.PeakConnects)
	add("storm peak", got.Storm.PeakCPU)
	add("storm cpu", 1e6*got.Storm.CPU/float64(o.storm))
	add("storm p99", got.Delivery.P99)
	return nil
}
