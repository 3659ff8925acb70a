package web

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestClientIsUnmodified holds the bundles against the sums in their README.
func TestClientIsUnmodified(t *testing.T) {
	readme, err := os.ReadFile("client/README.md")
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([0-9a-f]{64})` \\| (\\S+) \\|$").FindAllStringSubmatch(string(readme), -1) {
		sums[row[2]] = row[1]
	}
	names, err := fs.Glob(Client(), "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(Client(), name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:]); got != sums[name] {
			t.Errorf("%s: sha256 is %s, its README says %q", name, got, sums[name])
		}
		delete(sums, name)
	}
	if len(sums) != 0 {
		t.Errorf("named in the README, not embedded: %v", sums)
	}
	for _, variant := range []string{"", ".min", ".esm.min", ".msgpack.min"} {
		for _, name := range []string{"socket.io" + variant + ".js", "socket.io" + variant + ".js.map"} {
			if !slices.Contains(names, name) {
				t.Errorf("%s is missing", name)
			}
		}
	}
	if !slices.Contains(names, "LICENSE") {
		t.Error("the bundles are shipped without their licence")
	}
}

// TestPageIsWhole: what the page and its modules name is embedded, and nothing
// is embedded that no one names.
func TestPageIsWhole(t *testing.T) {
	var (
		files []string
		named = map[string]string{"index.html": "the server"}
		refs  = regexp.MustCompile(`(?:\bfrom\s+|\bimport\s+|\bimport\(|\bsrc=|\bhref=|"src": )"([^"]+)"`)
	)
	walkPage(t, func(name, text string) {
		files = append(files, name)
		for _, ref := range refs.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(ref[1], "#") {
				named[path.Join(path.Dir(name), ref[1])] = name
			}
		}
	})
	for target, by := range named {
		if bundle, ok := strings.CutPrefix(target, "socket.io/"); ok {
			if _, err := fs.Stat(Client(), bundle); err != nil {
				t.Errorf("%s names %s: %v", by, target, err)
			}
			continue
		}
		if !slices.Contains(files, target) {
			t.Errorf("%s names %s, which is not embedded", by, target)
		}
	}
	for _, name := range files {
		if named[name] == "" {
			t.Errorf("%s is embedded and nobody names it", name)
		}
	}
}

// TestPageKeepsItsRules: the promises that doc.go makes about the page.
func TestPageKeepsItsRules(t *testing.T) {
	rules := []struct {
		what string
		in   *regexp.Regexp // which files
		not  *regexp.Regexp
	}{
		{"text goes in by textContent", regexp.MustCompile(`\.js$`), regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment`)},
		{"no code made from text", regexp.MustCompile(`\.js$`), regexp.MustCompile(`\beval\(|new Function|setTimeout\(\s*["'\x60]`)},
		{"no inline script", regexp.MustCompile(`\.html$`), regexp.MustCompile(`(?i)<script(?:\s+type="module")?\s*>|\son\w+\s*=|javascript:`)},
		{"no inline style", regexp.MustCompile(`\.html$`), regexp.MustCompile(`(?i)<style|\sstyle\s*=`)},
		{"no style attribute", regexp.MustCompile(`\.js$`), regexp.MustCompile(`setAttribute\(\s*["']style`)},
		{"nobody else is asked", regexp.MustCompile(`.`), regexp.MustCompile(`(?:https?:)?//(?:[a-z0-9-]+\.)+[a-z]{2,}`)},
	}
	walkPage(t, func(name, text string) {
		// An SVG's name space is an address that nobody fetches.
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")
		for _, r := range rules {
			if found := r.not.FindString(text); r.in.MatchString(name) && found != "" {
				t.Errorf("%s: %s, but it has %q", name, r.what, found)
			}
		}
	})
}

func walkPage(t *testing.T, see func(name, text string)) {
	t.Helper()
	seen := 0
	err := fs.WalkDir(FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(FS(), name)
		if err != nil {
			return err
		}
		seen++
		see(name, string(data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("no page is embedded")
	}
}
