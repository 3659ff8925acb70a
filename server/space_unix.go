//go:build unix && !(netbsd || solaris || illumos || aix)

package main

import "golang.org/x/sys/unix"

// freeSpace is how many bytes this user may still write where dir lies.
func freeSpace(dir string) (free uint64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	// The fields' types, and their signs, differ between systems.
	return uint64(max(s.Bavail, 0)) * uint64(s.Bsize), true //nolint:unconvert // see above
}
