package e2e

import (
	"syscall"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/antchat/antchat/server/e2e/child"
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
	redis, err := child.NewRedis(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.End(syscall.SIGKILL, 0) })
	if err := redis.Begin(t.Context(), deadline); err != nil {
		t.Fatal(err)
	}
	return redis.Addr
}
