//go:build !unix || netbsd || solaris || illumos || aix

package main

// freeSpace is not known here.
func freeSpace(string) (free uint64, known bool) { return 0, false }
