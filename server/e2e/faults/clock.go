package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
)

// What a server says that was built so that its clock can jump
// (server/clockjump.go).
const jumped = "the clock has jumped"

// jumpSource is added to package time.
const jumpSource = `package time

import "sync/atomic"

var jumpSeconds atomic.Int64

// JumpForFaults sets the wall clock of this process forward or, negative, back.
func JumpForFaults(d Duration) { jumpSeconds.Add(int64(d / Second)) }
`

// buildClockServer makes a program whose wall clock can jump: the real one,
// with its own copy of package time.
func buildClockServer(ctx context.Context, dir string, race bool) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find Go's source: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	text, err := os.ReadFile(filepath.Join(src, "time.go"))
	if err != nil {
		return "", err
	}
	const call = "sec, nsec, mono := runtimeNow()\n"
	begin := strings.Index(string(text), "func Now() Time {")
	if begin < 0 || !strings.HasPrefix(strings.TrimLeft(string(text[begin+len("func Now() Time {"):]), "\n\t"), call) {
		return "", fmt.Errorf("this Go's time.Now is not the one that is known here: see %s", src)
	}
	rest := strings.Replace(string(text[begin:]), call, call+"\tsec += jumpSeconds.Load()\n", 1)
	files := map[string]string{"time.go": string(text[:begin]) + rest, "jump_for_faults.go": jumpSource}
	replace := make(map[string]string)
	for name, content := range files {
		own := filepath.Join(dir, name)
		if err := os.WriteFile(own, []byte(content), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(src, name)] = own
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		return "", err
	}
	return buildServer(ctx, dir, race, "-tags", "clockjump", "-overlay", path)
}

// jumpClock sets one node's clock an hour ahead, then an hour back, then right.
func jumpClock(ctx context.Context, w *world) error {
	n := w.anyServer()
	for _, s := range []struct {
		signal syscall.Signal
		times  int
	}{{sigUser1, 1}, {sigUser2, 2}, {sigUser1, 1}} {
		for range s.times {
			before := n.log.count(jumped)
			n.Signal(s.signal)
			if err := child.Await(ctx, deadline, func() bool { return n.log.count(jumped) > before }); err != nil {
				return fmt.Errorf("%s has not said that its clock has jumped: %w", n.Name, err)
			}
		}
		if err := pause(ctx, 4*time.Second); err != nil {
			return err
		}
	}
	w.note("%s: its clock was an hour ahead, then an hour behind", n.Name)
	w.healed()
	return nil
}
