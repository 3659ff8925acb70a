package docs_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// decisions/README.md lists every note.
func TestDecisions(t *testing.T) {
	index, err := os.ReadFile("decisions/README.md")
	if err != nil {
		t.Fatal(err)
	}
	notes, err := filepath.Glob("decisions/2*.md")
	if err != nil || len(notes) < 10 {
		t.Fatalf("%d notes, %v", len(notes), err)
	}
	for _, note := range notes {
		text, err := os.ReadFile(note)
		if err != nil {
			t.Fatal(err)
		}
		heading, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
		name := filepath.Base(note)
		if line := fmt.Sprintf("- %s: [%s](%s)\n", name[:len("2006-01-02")], heading, name); !bytes.Contains(index, []byte(line)) {
			t.Errorf("decisions/README.md lacks the line\n%s", line)
		}
	}
}
