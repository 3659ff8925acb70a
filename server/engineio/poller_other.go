//go:build !(linux && (amd64 || arm64 || riscv64 || loong64))

package engineio

import "net"

// poller is not there on this system: every connection is a plainConn.
type poller struct{}

func newPoller(*network) (*poller, error) { return nil, nil }

func (*poller) adopt(net.Conn) conn { return nil }

func (*poller) close() {}
