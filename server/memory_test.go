package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// Memory is given back when it is quiet after much was allocated, and not again
// for what cannot be had.
func TestMemory(t *testing.T) {
	m := newMemory()
	now := time.Now()
	look := func() bool {
		now = now.Add(memoryLook)
		return m.worth(now)
	}
	waste := func() {
		for range 1000 {
			sink = make([]byte, 64<<10)
		}
		sink = nil
	}
	debug.FreeOSMemory()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // nobody else collects
	_, _, m.idle = m.read()
	look()
	for range 5 {
		waste()
		if look() {
			t.Fatal("while it was busy")
		}
	}
	looks := 1
	for !look() {
		if looks++; looks > 20 {
			t.Fatal("never")
		}
	}
	if looks < memoryQuiet {
		t.Errorf("after %d looks", looks)
	}
	debug.FreeOSMemory()
	_, live, beyond := m.read()
	if m.idle = beyond; beyond > 32<<20+live {
		t.Errorf("%d bytes are held beyond %d", beyond, live)
	}
	for range 2 * int(memoryPause/memoryLook) {
		if look() {
			t.Fatal("again, with nothing to gain")
		}
	}
	waste()
	runtime.Gosched()
	for looks = 0; !look(); looks++ {
		if looks > 20 {
			t.Fatal("not after the next wave")
		}
	}
}

// sink keeps what is allocated from being optimised away.
var sink []byte
