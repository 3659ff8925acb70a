package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// plot is bars of some figures, one per server: the median, and a whisker over
// the range. Less is better in all of them.
type plot struct {
	name, title string
	groups      []group
	quiet       bool // means nothing when the machine had other work
}

type group struct {
	key, label string
	digits     int
}

var plots = []plot{
	{name: "cpu", title: "Server CPU, seconds per million deliveries", groups: []group{
		{"saturated cpu", "room of 1,000, as fast as it goes", 1},
		{"paced cpu", "room of 1,000, 20 messages a second", 1},
		{"many-saturated cpu", "1,000 rooms of 10, as fast as it goes", 1},
		{"many-paced cpu", "1,000 rooms of 10, 1,000 messages a second", 1},
	}},
	{name: "memory", title: "Resident bytes per idle connection", groups: []group{{"idle bytes", "", 0}}},
	{name: "connects", title: "Server CPU, ms per 1,000 connects", groups: []group{{"idle connect cpu", "", 0}}},
	{name: "latency", title: "p99 latency, ms", quiet: true, groups: []group{
		{"paced p99", "room of 1,000, 20 messages a second", 1},
		{"many-paced p99", "1,000 rooms of 10, 1,000 messages a second", 1},
	}},
}

// A plot's measures, in pixels.
const (
	plotWidth, plotLeft, plotRight = 640, 110, 70
	plotTop, barHeight, groupGap   = 34, 18, 26
)

// draw is a plot of the record, "" when there is none.
func (r *record) draw(p plot) string {
	if p.quiet && r.loaded() {
		return ""
	}
	return p.draw(r.Figures)
}

// draw is the SVG, "" when nothing of it was measured.
func (p plot) draw(f figures) string {
	most := 0.0
	for _, g := range p.groups {
		for _, values := range f[g.key] {
			most = max(most, slices.Max(values))
		}
	}
	if most <= 0 {
		return ""
	}
	across := func(v float64) float64 { return max(v, 0) / most * (plotWidth - plotLeft - plotRight) }
	var b strings.Builder
	y := plotTop
	for _, g := range p.groups {
		if len(f[g.key]) == 0 {
			continue
		}
		if g.label != "" {
			fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#555">%s</text>`+"\n", plotLeft, y+12, html.EscapeString(g.label))
			y += barHeight
		}
		for _, server := range peers {
			values := f[g.key][server.name]
			if len(values) == 0 {
				continue
			}
			middle := median(values)
			least, greatest := across(slices.Min(values)), across(slices.Max(values))
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`,
				plotLeft-6, y+13, server.label, plotLeft, y+3, across(middle), barHeight-5, server.colour)
			fmt.Fprintf(&b, `<path d="M%.1f %dH%.1f" stroke="black"/><text x="%.1f" y="%d">%.*f</text>`+"\n",
				plotLeft+least, y+9, plotLeft+greatest, plotLeft+greatest+5, y+13, g.digits, middle)
			y += barHeight
		}
		y += groupGap - barHeight
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="%d" height="%d" fill="white"/>
<text x="%d" y="20" font-size="14" font-weight="bold">%s</text>
%s</svg>
`, plotWidth, y, plotWidth, y, plotLeft, html.EscapeString(p.title), b.String())
}
