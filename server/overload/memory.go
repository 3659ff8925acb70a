package overload

import (
	"errors"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// goShare is the part of a container's memory that Go is told to keep to. The
// rest is for what it does not count: the kernel's buffers of connections above
// all.
const goShare = 0.9

// FitMemory has Go keep to the memory that the container has (cgroup v1 or v2),
// unless GOMEMLIMIT says something else. It returns the limit in force, in bytes,
// 0 for none, and whether it was set here. It is to be called once, at the start.
// An error says that the container's limit cannot be read; Go's own stays.
func FitMemory() (limit int64, fitted bool, err error) {
	if set := debug.SetMemoryLimit(-1); set != math.MaxInt64 {
		return set, false, nil
	}
	container, err := memlimit.FromCgroup()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrCgroupsNotSupported), errors.Is(err, memlimit.ErrNoCgroup):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case container == 0 || container > math.MaxInt64:
		return 0, false, nil
	}
	limit = int64(float64(container) * goShare)
	debug.SetMemoryLimit(limit)
	return limit, true, nil
}
