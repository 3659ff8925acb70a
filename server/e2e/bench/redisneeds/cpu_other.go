//go:build !unix

package main

import "errors"

// ownCPU is known on Unix only.
func ownCPU() (float64, error) {
	return 0, errors.New("the processor time of this process is not known here")
}
