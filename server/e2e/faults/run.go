package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
)

// settings of a run.
type settings struct {
	bin, here string
	clockBin  string // a server whose clock can jump; for faults that need it
	form      form
	nodes     int
	size      size
	seed      uint64
	debug     bool
	env       map[string]string // of the servers, besides their usual one
	restless  bool
	watched   bool // servers have an address for operators
	out       io.Writer
}

// normal is a few hundred connections; short is what a test can afford.
var (
	normal = size{goClients: 240, nodeClients: 60, rooms: 8, roomsEach: 2, senders: 60, every: time.Second, warmUp: 2 * time.Second, after: 3 * time.Second}
	short  = size{goClients: 64, nodeClients: 16, rooms: 4, roomsEach: 2, senders: 20, every: 500 * time.Millisecond, warmUp: time.Second, after: time.Second}
)

// mayLose: with everysec Redis answers before its file is safe.
func (s *settings) mayLose(f fault) bool { return f.loses || s.form.fsync == "everysec" }

// run builds a world, lets the fault happen in it, and judges. An error says
// that the run itself failed; what the servers did wrong stands in the figures.
func run(ctx context.Context, s settings, f fault) (*figures, error) {
	began := time.Now()
	figures := &figures{Fault: f.name, Form: s.form.name, Nodes: s.nodes, Seed: s.seed}
	s.env, s.restless = f.env, f.restless
	if f.clock {
		s.bin = s.clockBin
	}
	w, err := build(ctx, &s, newShared(s.seed))
	if err != nil {
		return nil, err
	}
	err = w.observe(ctx, f, figures)
	said := w.serverLogs()
	figures.Broken = append(figures.Broken, lines(w.end())...)
	figures.Notes = slices.Concat(w.notes, w.ledger.notes)
	figures.Took = time.Since(began)
	if err != nil {
		return nil, errors.Join(err, saveLogs(s.out, said))
	}
	if s.debug || !figures.kept(s.mayLose(f)) {
		return figures, saveLogs(s.out, said)
	}
	return figures, nil
}

func lines(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}

func (w *world) serverLogs() map[string]string {
	said := make(map[string]string)
	for _, s := range w.servers {
		said[s.Name] = s.log.String()
	}
	if w.store != nil {
		said["redis"] = w.store.log.String()
	}
	if w.pair != nil {
		said["sentinel"] = w.pair.log.String()
		for _, x := range w.pair.stores {
			said[x.Name] = x.log.String()
		}
	}
	return said
}

// saveLogs keeps what the servers of a broken run have said.
func saveLogs(out io.Writer, said map[string]string) error {
	dir, err := os.MkdirTemp("", "antchat-faults-logs-")
	if err != nil {
		return err
	}
	for name, text := range said {
		if err := os.WriteFile(filepath.Join(dir, name+".log"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintln(out, "       logs of the servers: "+dir)
	return nil
}

// observe is the time from the first message to the verdict.
func (w *world) observe(ctx context.Context, f fault, figures *figures) error {
	stop := w.load()
	err := pause(ctx, w.size.warmUp)
	if err == nil {
		err = f.strike(ctx, w)
	}
	if err == nil {
		err = pause(ctx, w.size.after)
	}
	stopped := stop()
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	if stopped != nil {
		w.ledger.complain("%v", stopped)
	}

	// Nothing is sent any more: who lacks the last message of a room must be
	// found by the servers themselves.
	quiet := time.Now()
	if err := child.Await(ctx, deadline, w.back()); err != nil {
		w.ledger.complain("not everybody came back: %s", w.unsettled())
	}
	logs, err := w.logs(ctx)
	if err != nil {
		return err
	}
	whole := func() bool { return !slices.ContainsFunc(w.members, func(m *member) bool { return !m.hasAll(logs) }) }
	if err := child.Await(ctx, deadline, whole); err != nil && ctx.Err() != nil {
		return err
	}
	figures.Settle = time.Since(quiet)
	absent, err := w.presence(ctx)
	if err != nil {
		return err
	}
	figures.Absent = absent
	w.judge(logs, figures)
	return ctx.Err()
}

// presence counts the rooms in which a server tells another number of people
// than there are: right within the lease and the grace.
func (w *world) presence(ctx context.Context) (wrong int, err error) {
	people := make(map[string]int)
	for _, m := range w.members {
		if !m.named {
			continue
		}
		for room := range m.views {
			people[room]++
		}
	}
	for _, s := range w.servers {
		r, err := openReader(ctx, s.addr)
		if err != nil {
			return 0, err
		}
		defer r.socket.close()
		for _, room := range w.rooms {
			var got struct{ NumUsers int }
			var failed error
			err := child.Await(ctx, lease+15*time.Second, func() bool {
				failed = r.ask("who", map[string]string{"room": room}, &got)
				return failed == nil && got.NumUsers == people[room]
			})
			if failed != nil {
				return 0, failed
			}
			if err != nil {
				wrong++
				w.ledger.complain("%s counts %d people in %s, where %d are", s.Name, got.NumUsers, room, people[room])
			}
		}
	}
	return wrong, nil
}

// buildServer makes the program under test.
func buildServer(ctx context.Context, dir string, race bool, flags ...string) (string, error) {
	bin := filepath.Join(dir, "antchat")
	args := append([]string{"build", "-o", bin}, flags...)
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/antchat/antchat/server")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return bin, nil
}
