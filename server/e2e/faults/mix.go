package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// A mix is written as tracks, separated by slashes, that run side by side; the
// faults of a track, separated by plus signs, come one after the other:
//
//	node-kill+node-term/client-switch/redis-kill
//
// What one track does to the nodes, the clients, or Redis and its links, no
// other may do at the same time.

// mixed draws some faults and lets those run side by side that can. Where the
// store must lose nothing, it draws none that make it.
func mixed(f form, n int, random *rand.Rand) fault {
	var some []fault
	for _, x := range faultsFor(f) {
		if x.name != "calm" && (!x.loses || f.fsync == "everysec") {
			some = append(some, x)
		}
	}
	var tracks [3][]fault
	for range n {
		x := some[random.IntN(len(some))]
		switch {
		case strings.HasPrefix(x.name, "node"):
			tracks[0] = append(tracks[0], x)
		case strings.HasPrefix(x.name, "client"):
			tracks[1] = append(tracks[1], x)
		default:
			tracks[2] = append(tracks[2], x)
		}
	}
	var used [][]fault
	for _, t := range tracks {
		if len(t) > 0 {
			used = append(used, t)
		}
	}
	return together(used)
}

// parseMix reads a mix. Faults that a world of that form cannot have are left
// out; nil when none is left.
func parseMix(text string, possible []fault) (*fault, error) {
	var tracks [][]fault
	for names := range strings.SplitSeq(text, "/") {
		var track []fault
		for name := range strings.SplitSeq(names, "+") {
			if find(faults, name) == nil {
				return nil, fmt.Errorf("no fault %q: see -list", name)
			}
			if f := find(possible, name); f != nil {
				track = append(track, *f)
			}
		}
		if len(track) > 0 {
			tracks = append(tracks, track)
		}
	}
	if len(tracks) == 0 {
		return nil, nil
	}
	mix := together(tracks)
	return &mix, nil
}

func find(some []fault, name string) *fault {
	for i := range some {
		if some[i].name == name {
			return &some[i]
		}
	}
	return nil
}

// together is one fault made of tracks.
func together(tracks [][]fault) fault {
	if len(tracks) == 1 && len(tracks[0]) == 1 {
		return tracks[0][0]
	}
	all := fault{env: make(map[string]string)}
	names := make([]string, len(tracks))
	for i, track := range tracks {
		for j, f := range track {
			if j > 0 {
				names[i] += "+"
			}
			names[i] += f.name
			all.fleet = all.fleet || f.fleet
			all.loses = all.loses || f.loses
			all.clock = all.clock || f.clock
			all.lone, all.pair = all.lone || f.lone, all.pair || f.pair
			all.restless = all.restless || f.restless
			maps.Copy(all.env, f.env)
		}
	}
	all.name = strings.Join(names, "/")
	all.strike = func(ctx context.Context, w *world) error {
		errs := make([]error, len(tracks))
		var wg sync.WaitGroup
		for i, track := range tracks {
			wg.Go(func() { errs[i] = strikeAll(ctx, w, track) })
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	return all
}

func strikeAll(ctx context.Context, w *world, track []fault) error {
	for _, f := range track {
		if err := pause(ctx, time.Duration(w.random.IntN(1500))*time.Millisecond); err != nil {
			return err
		}
		if err := f.strike(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// sharedSource lets tracks draw from one source.
type sharedSource struct {
	mu  sync.Mutex
	pcg *rand.PCG // guarded by mu
}

func newShared(seed uint64) *rand.Rand {
	return rand.New(&sharedSource{pcg: rand.NewPCG(seed, 1)})
}

func (s *sharedSource) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pcg.Uint64()
}
