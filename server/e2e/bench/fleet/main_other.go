//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "fleet: Linux only (as the load tool is)")
	os.Exit(1)
}
