package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme: what README.md names as evidence, as a command or as a place is
// there.
func TestReadme(t *testing.T) {
	raw, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, dir := range []string{"../adapter", "."} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return nil
			}
			text, err := os.ReadFile(path)
			for _, m := range declared.FindAllSubmatch(text, -1) {
				tests[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := 0
	for _, m := range regexp.MustCompile(`\b(Test[A-Z]\w*)`).FindAllSubmatch(raw, -1) {
		if named++; !tests[string(m[1])] {
			t.Errorf("there is no %s", m[1])
		}
	}
	if named < 10 {
		t.Errorf("only %d tests are named", named)
	}
	for _, m := range regexp.MustCompile("(?:`|\n)make ([a-z-]+)").FindAllSubmatch(raw, -1) {
		if !regexp.MustCompile(`(?m)^` + string(m[1]) + `:`).Match(makefile) {
			t.Errorf("make has no target %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)(?:\(|^    |\x60)((?:server|adapter|web|docs|deploy)/[\w./-]*)`).FindAllSubmatch(raw, -1) {
		if _, err := os.Stat("../" + string(m[1])); err != nil {
			t.Error(err)
		}
	}
}
