package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/antchat/antchat/server/e2e/child"
)

// startRoundRobin starts the proxy that gives each request to the next node, or, when
// sticky, to the session's.
func startRoundRobin(t *testing.T, sticky bool, nodes ...*process) (url string) {
	t.Helper()
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.addr)
	}
	args := []string{roundRobinBin, "-nodes", strings.Join(addrs, ",")}
	if sticky {
		args = append(args, "-sticky")
	}
	proxy := &child.Process{Name: "the proxy", Argv: args}
	line, err := proxy.StartLine(t.Context(), deadline)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proxy.End(syscall.SIGKILL, 0)
		http.DefaultClient.CloseIdleConnections()
	})
	return "http://" + strings.TrimPrefix(line, "listening on ")
}
