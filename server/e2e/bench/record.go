package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// record is a whole run; docs/benchmarks.json is the last one, and
// docs/benchmarks.md, its plots and the README's figures are made of that.
type record struct {
	Date      string    `json:"date"`
	Machine   string    `json:"machine"`
	Versions  []version `json:"versions"`
	Arguments []string  `json:"arguments"` // of this program
	Runs      int       `json:"runs"`
	Seconds   float64   `json:"seconds"` // measured in each
	Idle      int       `json:"idle"`    // connections
	Loads     []float64 `json:"loads"`   // of the machine, after each run
	Figures   figures   `json:"figures"`
	Failures  []string  `json:"failures,omitempty"` // a peer that did not stand it
	// Parts says of each measurement when it was last made: -merge measures some
	// anew. What is above is of the last whole run.
	Parts map[string]part `json:"parts"`
}

// part is how one measurement was made.
type part struct {
	Commit  string    `json:"commit"`
	Date    string    `json:"date"`
	Peers   []string  `json:"peers,omitempty"` // that were measured then
	Runs    int       `json:"runs"`
	Seconds float64   `json:"seconds"`
	Loads   []float64 `json:"loads"`
	Merged  bool      `json:"merged,omitempty"` // into what another run had recorded
}

type version struct {
	What    string `json:"what"`
	Version string `json:"version"`
}

// Where the documents are, from the repository's root.
const (
	recordPath = "docs/benchmarks.json"
	pagePath   = "docs/benchmarks.md"
	plotsPath  = "docs/benchmarks"
	readmePath = "README.md"
)

// What stands between these in the README is ours to write.
const (
	readmeFrom = "<!-- figures: make bench -->\n"
	readmeTo   = "<!-- end of figures -->\n"
)

// commit is ours.
func (r *record) commit() string {
	for _, v := range r.Versions {
		if v.What == ourCommit {
			return v.Version
		}
	}
	return ""
}

const ourCommit = "Antchat, commit"

// merge takes what was measured now in the place of what was recorded of the
// same measurements and peers.
func (r *record) merge(now *record) {
	if r.Parts == nil {
		r.Parts = map[string]part{}
	}
	for name, p := range now.Parts {
		for key, byPeer := range r.Figures {
			if !strings.HasPrefix(key, name+" ") {
				continue
			}
			for _, peer := range p.Peers {
				delete(byPeer, peer)
			}
			if len(byPeer) == 0 {
				delete(r.Figures, key)
			}
		}
		r.Failures = slices.DeleteFunc(r.Failures, func(f string) bool {
			return slices.ContainsFunc(p.Peers, func(peer string) bool { return strings.HasPrefix(f, peer+" "+name+",") })
		})
		p.Merged = true
		r.Parts[name] = p
	}
	for key, byPeer := range now.Figures {
		for peer, values := range byPeer {
			for _, v := range values {
				if !derived(key) {
					r.Figures.add(key, peer, v)
				}
			}
		}
	}
	if _, ok := now.Parts["lobby"]; ok {
		r.Idle = now.Idle
	}
	r.Failures = append(r.Failures, now.Failures...)
	r.Figures.derive()
}

func readRecord(path string) (*record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	r := &record{}
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// write puts the record and what is made of it below root.
func (r *record) write(root string) error {
	for _, byPeer := range r.Figures {
		for _, values := range byPeer {
			for i, v := range values {
				values[i] = round(v)
			}
		}
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	files, err := r.documents(root)
	if err != nil {
		return err
	}
	// A plot of the last record may be none of this one.
	if err := os.RemoveAll(filepath.Join(root, plotsPath)); err != nil {
		return err
	}
	files[recordPath] = string(b) + "\n"
	return writeFiles(root, files)
}

// writeFiles writes texts by their paths below root.
func writeFiles(root string, files map[string]string) error {
	for path, text := range files {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// documents are the files made of the record, by their paths below root, whose
// README is read.
func (r *record) documents(root string) (map[string]string, error) {
	readme, err := os.ReadFile(filepath.Join(root, readmePath))
	if err != nil {
		return nil, err
	}
	before, rest, ok := strings.Cut(string(readme), readmeFrom)
	_, after, ends := strings.Cut(rest, readmeTo)
	if !ok || !ends {
		return nil, errors.New("README.md has no place for the figures")
	}
	files := map[string]string{
		readmePath: before + readmeFrom + r.short() + readmeTo + after,
		pagePath:   r.page(),
	}
	for _, p := range plots {
		if text := r.draw(p); text != "" {
			files[plotsPath+"/"+p.name+".svg"] = text
		}
	}
	return files, nil
}

// round keeps four digits: more would only make the record longer.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	if scale < 1 {
		return math.Round(v)
	}
	return math.Round(v*scale) / scale
}
