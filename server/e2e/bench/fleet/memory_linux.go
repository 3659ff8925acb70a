package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// readMemory reads /proc/meminfo and /proc/net/sockstat (proc(5)).
func readMemory() (memory, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return memory{}, err
	}
	var m memory
	var total, available int64
	fields := map[string]*int64{"MemTotal:": &total, "MemAvailable:": &available, "Slab:": &m.Slab}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if to := fields[words[0]]; to != nil {
			n, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				return memory{}, fmt.Errorf("/proc/meminfo: %w", err)
			}
			*to = n << 10
		}
	}
	m.Used = total - available
	if text, err = os.ReadFile("/proc/net/sockstat"); err != nil {
		return memory{}, err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); words[0] == "TCP:" && len(words) > 2 {
			if m.Sockets, err = strconv.ParseInt(words[2], 10, 64); err != nil {
				return memory{}, fmt.Errorf("/proc/net/sockstat: %w", err)
			}
		}
	}
	return m, nil
}

// watchMemory keeps the most that was used, until ctx ends.
func watchMemory(ctx context.Context, most *memory) error {
	for {
		m, err := readMemory()
		if err != nil {
			return err
		}
		most.Used, most.Slab, most.Sockets = max(most.Used, m.Used), max(most.Slab, m.Slab), max(most.Sockets, m.Sockets)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}
