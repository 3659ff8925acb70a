package process

import (
	"fmt"
	"os"
	"strings"
)

// Machine describes this machine: processor, cores that are online, memory, kernel.
func Machine() (string, error) {
	cpu, err := field("/proc/cpuinfo", "model name")
	if err != nil {
		return "", err
	}
	memory, err := field("/proc/meminfo", "MemTotal")
	if err != nil {
		return "", err
	}
	var kB float64
	if _, err := fmt.Sscan(memory, &kB); err != nil {
		return "", fmt.Errorf("/proc/meminfo: %w", err)
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", err
	}
	online, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return "", err
	}
	kernel, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-") // without its builder's own words
	return fmt.Sprintf("%s, cores %s, %.0f GiB, Linux %s", cpu, strings.TrimSpace(string(online)), kB/(1<<20), kernel), nil
}

// field is a value of a file of "name : value" lines.
func field(path, name string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s has no %q", path, name)
}
