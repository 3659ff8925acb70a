package docs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// embedding.md shows the programs in examples, letter by letter.
func TestEmbedding(t *testing.T) {
	doc, err := os.ReadFile("embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	programs, err := filepath.Glob("examples/*/main.go")
	if err != nil || len(programs) < 2 {
		t.Fatalf("%q, %v", programs, err)
	}
	for _, name := range programs {
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(doc, append([]byte("```go\n"), append(code, "```"...)...)) {
			t.Errorf("embedding.md does not have %s", name)
		}
	}
}
