package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Where the documents of growth are, from the repository's root.
const (
	growthPath      = "docs/growth.json"
	growthPagePath  = "docs/growth.md"
	growthPlotsPath = "docs/growth"
)

// growth is a whole run of -growth: cost against size. docs/growth.md and its
// plots are made of it, and server/plan's model is held against it.
type growth struct {
	Date      string    `json:"date"`
	Machine   string    `json:"machine"`
	Versions  []version `json:"versions"`
	Arguments []string  `json:"arguments"` // of this program
	Runs      int       `json:"runs"`
	Seconds   float64   `json:"seconds"` // measured for each point
	Loads     []float64 `json:"loads"`   // of the machine, after each run
	// Stages by name: their points, ascending by size.
	Stages map[string][]point `json:"stages"`
	// Parts says of each stage how it was measured: -merge measures some anew.
	Parts map[string]part `json:"parts"`
}

// merge takes the stages that were measured now in the place of those that are
// recorded.
func (g *growth) merge(now *growth) {
	if g.Parts == nil {
		g.Parts = map[string]part{}
	}
	for name, p := range now.Parts {
		p.Merged = true
		g.Parts[name], g.Stages[name] = p, now.Stages[name]
	}
}

// point is what was measured at one size, run by run.
type point struct {
	Size   float64              `json:"size"`
	Shape  shape                `json:"shape"`
	Values map[string][]float64 `json:"values"`
}

// shape is the load of a point in the capacity model's terms.
type shape struct {
	Users  float64 `json:"users"`
	Rooms  float64 `json:"rooms"`
	Joined float64 `json:"joined"`
	Rate   float64 `json:"rate"`   // messages a second that were asked for; those that came are a value
	Nodes  float64 `json:"nodes"`  // that run
	Copies float64 `json:"copies"` // on which a room has members
}

// add takes a value of a point, which it makes if it is not there.
func (g *growth) add(stage string, size float64, of shape, key string, value float64) {
	points := g.Stages[stage]
	i, found := slices.BinarySearchFunc(points, size, func(p point, size float64) int { return cmp.Compare(p.Size, size) })
	if !found {
		points = slices.Insert(points, i, point{Size: size, Shape: of, Values: map[string][]float64{}})
		g.Stages[stage] = points
	}
	points[i].Values[key] = append(points[i].Values[key], value)
}

// curve is one line of a plot.
type curve struct {
	key, label, colour string
	digits             int
	// per: the value is of one of what the size counts. All of them together then
	// grow with a power one higher.
	per bool
	// about explains its form: each bend.
	about string
}

// diagram is a plot, a table and what is to be said of it.
type diagram struct {
	name, stage string
	title       string
	x, y        string // what the axes are
	about       string // how it was measured
	curves      []curve
}

// fit is a power law laid through medians: value = factor · size^power, by least
// squares of the logarithms.
type fit struct{ factor, power float64 }

// lay lays it through the points from the index on; ok is false with fewer than
// two of them that are above 0.
func lay(points []point, key string, from int) (f fit, ok bool) {
	var n, sx, sy, sxx, sxy float64
	for _, p := range points[min(max(from, 0), len(points)):] {
		if len(p.Values[key]) == 0 || median(p.Values[key]) <= 0 {
			continue
		}
		x, y := math.Log(p.Size), math.Log(median(p.Values[key]))
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if d := n*sxx - sx*sx; n < 2 || d <= 0 {
		return fit{}, false
	} else {
		f.power = (n*sxy - sx*sy) / d
	}
	f.factor = math.Exp((sy - f.power*sx) / n)
	return f, true
}

// mostPower is the greatest power that counts as linear: runs scatter.
const mostPower = 1.1

// powers are those of a curve's whole cost: through all points, and through the
// largest three, where a growth that is still to come shows first.
func (c curve) powers(points []point) (all, last float64, ok bool) {
	f, ok := lay(points, c.key, 0)
	if !ok {
		return 0, 0, false
	}
	g, ok := lay(points, c.key, len(points)-3)
	if !ok {
		return 0, 0, false
	}
	if c.per {
		f.power++
		g.power++
	}
	return f.power, g.power, true
}

// faster names the curves that grow faster than linearly where they are largest.
// Before that a curve may be steeper, on its way to its level.
func (g *growth) faster() (names []string) {
	for _, d := range diagrams {
		for _, c := range d.curves {
			all, last, ok := c.powers(g.Stages[d.stage])
			if ok && last > mostPower {
				names = append(names, fmt.Sprintf("%s, %s: power %.2f, of the largest %.2f", d.title, c.label, all, last))
			}
		}
	}
	return names
}

func readGrowth(path string) (*growth, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	g := &growth{}
	if err := d.Decode(g); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

// write puts the record and what is made of it below root.
func (g *growth) write(root string) error {
	for _, points := range g.Stages {
		for _, p := range points {
			for _, values := range p.Values {
				for i, v := range values {
					values[i] = round(v)
				}
			}
		}
	}
	b, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(root, growthPlotsPath)); err != nil {
		return err
	}
	files := g.documents()
	files[growthPath] = string(b) + "\n"
	return writeFiles(root, files)
}

// documents are the files made of it, by their paths below the root.
func (g *growth) documents() map[string]string {
	files := map[string]string{growthPagePath: g.page()}
	for _, d := range diagrams {
		if text := d.draw(g.Stages[d.stage]); text != "" {
			files[growthPlotsPath+"/"+d.name+".svg"] = text
		}
	}
	return files
}
