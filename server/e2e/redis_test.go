package e2e

import (
	"cmp"
	"net"
	"os"
	"os/exec"
	"testing"
)

// startRedis starts a redis-server that keeps nothing, for one test, and
// returns its address.
func startRedis(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(cmp.Or(os.Getenv("ANTCHAT_TEST_REDIS"), "redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server is needed: %v (make setup, or set ANTCHAT_TEST_REDIS)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, "redis-server", func() bool {
		c, err := net.Dial("tcp", addr)
		return err == nil && c.Close() == nil
	})
	return addr
}
