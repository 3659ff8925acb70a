package e2e

import (
	"bufio"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// startRoundRobin starts the proxy that gives each request to the next node, or, when
// sticky, to the session's.
func startRoundRobin(t *testing.T, sticky bool, nodes ...*process) (url string) {
	t.Helper()
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.addr)
	}
	args := []string{"-nodes", strings.Join(addrs, ",")}
	if sticky {
		args = append(args, "-sticky")
	}
	cmd := exec.Command(roundRobinBin, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}
