//go:build !linux

package child

import "syscall"

// DiesWithParent is for Linux.
func DiesWithParent() *syscall.SysProcAttr { return nil }
