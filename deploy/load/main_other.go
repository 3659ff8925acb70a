//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "load: Linux only (it drives its clients with epoll and reads /proc)")
	os.Exit(1)
}
