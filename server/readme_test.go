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

// TestLinks: what a document of ours links to inside the project is there, and
// so is the heading after a #.
func TestLinks(t *testing.T) {
	documents := []string{"../README.md", "../SECURITY.md"}
	for _, pattern := range []string{"../docs/*.md", "../docs/decisions/*.md", "../deploy/*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, more...)
	}
	link := regexp.MustCompile(`\]\(([^)\s]*)\)`)
	code := regexp.MustCompile("`[^`\n]*`")
	checked := 0
	for _, document := range documents {
		raw, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(prose(string(raw)), ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			checked++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := document
			if path != "" {
				target = filepath.Join(filepath.Dir(document), path)
			}
			text, err := os.ReadFile(target)
			if info, e := os.Stat(target); e == nil && info.IsDir() {
				err = nil
			}
			if err != nil {
				t.Errorf("%s: %v", document, err)
				continue
			}
			if anchor != "" && !anchors(string(text))[anchor] {
				t.Errorf("%s links to %s, which has no heading #%s", document, target, anchor)
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d links found", checked)
	}
}

// TestCitations: what comments cite of docs/delivery.md stands there.
func TestCitations(t *testing.T) {
	delivery, err := os.ReadFile("../docs/delivery.md")
	if err != nil {
		t.Fatal(err)
	}
	cited := 0
	citation := regexp.MustCompile(`DELIVERY(?:,|\s\()[\s/-]*"([^"]+)"`)
	for _, dir := range []string{"../adapter", "."} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			if ext := filepath.Ext(path); d.IsDir() || ext != ".go" && ext != ".lua" {
				return nil
			}
			text, err := os.ReadFile(path)
			for _, m := range citation.FindAllSubmatch(text, -1) {
				cited++
				if name := string(m[1]); !strings.Contains(string(delivery), "\n## "+name+"\n") && !strings.Contains(string(delivery), "*"+name+"*") {
					t.Errorf("%s cites %q", path, name)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if cited < 20 {
		t.Errorf("only %d citations found", cited)
	}
}

// prose is a document without its blocks of code.
func prose(text string) string {
	return regexp.MustCompile("(?ms)^ *```.*?^ *```").ReplaceAllString(text, "")
}

// anchors are a document's headings as links name them: in small letters,
// without punctuation, with hyphens for spaces.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(prose(text), -1) {
		all[strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}
