package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// killedAfter is when a platform kills what has not ended on SIGTERM: Cloud
// Run's time, the shortest there is.
const killedAfter = 10 * time.Second

// rollout is a new version, as a platform brings it: for each node a new one is
// started, then the old one is told to end. An end that is late or not clean
// breaks a promise.
func rollout(ctx context.Context, w *world) error {
	defer w.healed()
	for i, old := range slices.Clone(w.servers) {
		s, link, err := w.newServer("new" + old.Name)
		if err != nil {
			return err
		}
		var oldLink *relay // a Sentinel's pair has none
		w.mu.Lock()
		w.servers = append(w.servers, s)
		if link != nil {
			oldLink, w.links = w.links[i], append(w.links, link)
		}
		w.mu.Unlock()
		if err := s.Start(); err != nil {
			return err
		}
		if err := s.awaitReady(ctx); err != nil {
			return err
		}
		w.probe(s)
		began := time.Now()
		if err := old.end(syscall.SIGTERM); err != nil {
			return err
		}
		took, code := time.Since(began), old.ExitCode()
		w.note("%s ended %.1fs after SIGTERM with exit code %d", old.Name, took.Seconds(), code)
		if took > killedAfter || code != 0 {
			w.ledger.complain("%s ended %v after SIGTERM with exit code %d:\n%s", old.Name, took, code, &old.log)
		}
		for _, line := range old.log.disasters() {
			w.ledger.complain("%s said: %s", old.Name, line)
		}
		w.mu.Lock()
		delete(w.health, old)
		w.mu.Unlock()
		if oldLink != nil {
			oldLink.close()
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers, w.links = slices.Clone(w.servers[len(w.servers)/2:]), slices.Clone(w.links[len(w.links)/2:])
	return nil
}

// shortLives are the settings for liveShort.
var shortLives = map[string]string{"ENGINE_MAX_AGE": "3s", "ENGINE_MAX_AGE_JITTER": "1s"}

// liveShort waits while connections reach their age again and again.
func liveShort(ctx context.Context, w *world) error {
	defer w.healed()
	before := w.ended(agedOut)
	if err := pause(ctx, 9*time.Second); err != nil {
		return err
	}
	ended := w.ended(agedOut) - before
	w.note("%d connections reached their age", ended)
	if ended < len(w.members) {
		return fmt.Errorf("only %d connections of %d members have reached their age", ended, len(w.members))
	}
	return nil
}

// agedOut tells whether a connection ended with a close frame that says nothing,
// in the words of the JavaScript client or of the load client.
func agedOut(reason string) bool {
	return reason == "transport close" || strings.HasPrefix(reason, "ws closed: 1005")
}

// ended counts the connections that have ended for some reasons.
func (w *world) ended(counts func(reason string) bool) (n int) {
	for _, m := range w.members {
		m.mu.Lock()
		for reason, times := range m.reasons {
			if counts(reason) {
				n += times
			}
		}
		m.mu.Unlock()
	}
	return n
}

// peak is the largest number of moments within any window of that length.
func peak(moments []time.Duration, window time.Duration) (most int) {
	moments = slices.Sorted(slices.Values(moments))
	first := 0
	for i, at := range moments {
		for at-moments[first] >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
