package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/antchat/antchat/server/e2e/child"
)

// TestExamples: real clients with the programs that docs/embedding.md shows.
func TestExamples(t *testing.T) {
	urls := map[string]string{}
	for _, name := range []string{"rooms", "kitchen"} {
		bin := filepath.Join(t.TempDir(), name)
		if err := build(bin, "../../docs/examples/"+name); err != nil {
			t.Fatal(err)
		}
		p := newProcess(t, bin)
		p.Env = child.Env()
		p.start("/socket.io/?EIO=4&transport=polling", "-addr", p.addr)
		urls["ANTCHAT_"+strings.ToUpper(name)] = p.url
	}
	runNode(t, urls, "interop/examples.test.mjs")
}
