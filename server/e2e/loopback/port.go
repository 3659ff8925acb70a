// Package loopback finds ports for the servers that tests and measurements start.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports that servers get. Below those that systems deal out to connections
// and to listeners on port 0 (from 32768 on Linux, from 49152 elsewhere): a server
// that is killed must find its port free when it comes back, however many
// connections are opened meanwhile. And above 10080, which browsers and Node's
// fetch refuse to ask.
const (
	first = 10_100
	count = 19_900
)

// Addr is an address on 127.0.0.1, host:port, that nobody listens on now.
func Addr() (string, error) {
	var failure error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(count)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			failure = err
			continue
		}
		return addr, l.Close()
	}
	return "", fmt.Errorf("find a free port: %w", failure)
}

// Port is the port of an Addr.
func Port() (int, error) {
	addr, err := Addr()
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
