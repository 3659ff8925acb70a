package e2e

import (
	"cmp"
	"net"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/antchat/antchat/server/e2e/loopback"
)

// TestOfficial: nodes of ours and Node servers with the official Redis adapter
// in one Redis, with emitters that only write.
func TestOfficial(t *testing.T) {
	runNode(t, map[string]string{"ANTCHAT_TEST_REDIS_URL": "redis://" + startRedis(t)}, "interop/official.test.mjs")
}

// TestAdminUI: the official Admin UI's namespace on two nodes, with clients of
// both parsers and sockets of both revisions.
func TestAdminUI(t *testing.T) {
	runNode(t, map[string]string{"ANTCHAT_TEST_REDIS_URL": "redis://" + startRedis(t), "ANTCHAT_TEST_BCRYPT": adminHash(t)}, "interop/adminui.test.mjs")
}

// adminHash is of the Admin UI's password in these tests, "ant chat".
func adminHash(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("ant chat"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// startRedis starts a redis-server that keeps nothing, for one test, and
// returns its address.
func startRedis(t *testing.T) string {
	t.Helper()
	program := cmp.Or(os.Getenv("ANTCHAT_TEST_REDIS"), "redis-server")
	addr, err := loopback.Addr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server is needed: %v (make setup, or set ANTCHAT_TEST_REDIS)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, "redis-server", func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return addr
}
