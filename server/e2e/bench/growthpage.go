package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"golang.org/x/text/language"
	localized "golang.org/x/text/message"
)

// page is docs/growth.md.
func (g *growth) page() string {
	var b strings.Builder
	b.WriteString(`# Growth

What things cost as they get larger. This page, its plots and [growth.json](growth.json) are written by ` + "`make growth`" + `; tests hold that
they agree, that nothing grows faster than linearly, and that the [capacity model](capacity.md) says what was measured here.

` + "```sh\nmake growth         # some 10 minutes, on a machine that does nothing else\n```\n\n")
	fmt.Fprintf(&b, "This is of %s, by\n\n```sh\ngo run ./server/e2e/bench %s\n```\n\n", g.Date, strings.Join(g.Arguments, " "))
	runs := fmt.Sprintf("%d runs", g.Runs)
	if g.Runs == 1 {
		runs = "1 run"
	}
	fmt.Fprintf(&b, "Medians of %s of %g s for each point after 2 s of warm-up, and in brackets the range. The machine: %s. ", runs, g.Seconds, g.Machine)
	fmt.Fprintf(&b, "All nodes are on the first core, load and Redis on the second. The machine's load average after each run: %s. ", loads(g.Loads))
	if g.loaded() {
		b.WriteString("**The measurement alone makes up to 2: this machine did other work at the same time.** CPU and memory more or less hold; times are longer than they would be, and no power is judged.")
	} else {
		b.WriteString("The measurement alone makes up to 2.")
	}
	var all []string
	for _, v := range g.Versions {
		all = append(all, v.What+" "+v.Version)
	}
	fmt.Fprintf(&b, " %s.\n\n", strings.Join(all, "; "))
	if names := anew(g.Parts); len(names) > 0 {
		b.WriteString("Measured anew since:")
		for i, name := range names {
			if i > 0 {
				b.WriteString(";")
			}
			p := g.Parts[name]
			fmt.Fprintf(&b, " *%s* at commit %s on %s, %d of %g s, load %s", name, p.Commit, p.Date, p.Runs, p.Seconds, loads(p.Loads))
		}
		b.WriteString(".\n\n")
	}
	b.WriteString(`The nodes are the program as a user runs it, over one Redis that syncs its file each second: messages are logged, acknowledged and
checked: a lost or repeated one ends the run.

A *power* is that of the size in the curve that fits best (least squares of the logarithms): 1 is linear, 0 does not grow. It is that of the whole cost:
where a plot shows the cost of one of many, 1 is added. The second one is through the three largest sizes alone, where a curve is on its
level, and a growth that is still to come shows first: it must be 1 or less, as far as runs scatter (` + fmt.Sprintf("%.1f", mostPower) + `), or the test fails.
`)
	for _, d := range diagrams {
		points := g.Stages[d.stage]
		if d.draw(points) == "" {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s (Stage *%s*.)\n\n![%s](growth/%s.svg)\n\n| %s |", d.title, d.about, d.stage, d.title, d.name, d.x)
		for _, c := range d.curves {
			b.WriteString(" " + c.label + " |")
		}
		b.WriteString("\n|" + strings.Repeat(" --- |", len(d.curves)+1) + "\n")
		for _, p := range points {
			fmt.Fprintf(&b, "| %s |", english.Sprintf("%.0f", p.Size))
			for _, c := range d.curves {
				b.WriteString(" " + span(p.Values[c.key], c.digits) + " |")
			}
			b.WriteString("\n")
		}
		b.WriteString("| **power**; of the three largest |")
		for _, c := range d.curves {
			b.WriteString(" " + c.verdict(points) + " |")
		}
		b.WriteString("\n\n")
		for _, c := range d.curves {
			if c.about != "" {
				fmt.Fprintf(&b, "- *%s*: %s\n", c.label, c.about)
			}
		}
	}
	return b.String()
}

// loaded says that the machine had other work too.
func (g *growth) loaded() bool {
	all := slices.Clone(g.Loads)
	for _, p := range g.Parts {
		all = append(all, p.Loads...)
	}
	return slices.Max(append(all, 0)) > quietLoad
}

func (c curve) verdict(points []point) string {
	all, last, ok := c.powers(points)
	if !ok {
		return "-"
	}
	verdict := "linear or less"
	if last > mostPower {
		verdict = "**FASTER THAN LINEAR**"
	}
	return fmt.Sprintf("**%.2f**; %.2f: %s", all, last, verdict)
}

// english writes numbers with commas.
var english = localized.NewPrinter(language.English)

// A diagram's measures, in pixels.
const (
	diagramWidth, diagramHeight = 640, 320
	diagramLeft, diagramRight   = 70, 20
	diagramTop, diagramBottom   = 40, 46
	legendLine                  = 16
)

// draw is the SVG, both axes logarithmic, "" when there is nothing to draw: the
// medians, their ranges, and the fits as dashed lines.
func (d diagram) draw(points []point) string {
	least, most := math.Inf(1), 0.0
	for _, p := range points {
		for _, c := range d.curves {
			for _, v := range p.Values[c.key] {
				if v > 0 {
					least, most = min(least, v), max(most, v)
				}
			}
		}
	}
	if most == 0 || len(points) < 2 {
		return ""
	}
	height := diagramHeight + legendLine*len(d.curves) + 8
	// From and to a round value, at least a decade: what does not grow should not
	// look as if it did.
	low, high := below(least), above(most)
	if high < 10*low {
		high = 10 * low
	}
	from, to := points[0].Size, points[len(points)-1].Size
	across := func(x float64) float64 {
		return diagramLeft + math.Log(x/from)/math.Log(to/from)*(diagramWidth-diagramLeft-diagramRight)
	}
	up := func(y float64) float64 {
		return diagramHeight - diagramBottom - math.Log(y/low)/math.Log(high/low)*(diagramHeight-diagramBottom-diagramTop)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="%d" height="%d" fill="white"/>
<text x="%d" y="18" font-size="14" font-weight="bold">%s</text>
<text x="%d" y="%d" text-anchor="middle">%s</text>
<text x="14" y="%d" text-anchor="middle" transform="rotate(-90 14 %d)">%s</text>
`, diagramWidth, height, diagramWidth, height, diagramLeft, html.EscapeString(d.title),
		(diagramLeft+diagramWidth-diagramRight)/2, diagramHeight-8, html.EscapeString(d.x),
		(diagramTop+diagramHeight-diagramBottom)/2, (diagramTop+diagramHeight-diagramBottom)/2, html.EscapeString(d.y))
	for y := low; y <= high*1.001; y = above(y * 1.01) {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.4g</text>`+"\n",
			diagramLeft, diagramWidth-diagramRight, up(y), up(y), diagramLeft-6, up(y)+4, y)
	}
	for _, p := range points {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#eee"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			across(p.Size), across(p.Size), diagramTop, diagramHeight-diagramBottom, across(p.Size), diagramHeight-diagramBottom+16, english.Sprintf("%.0f", p.Size))
	}
	for i, c := range d.curves {
		var line strings.Builder
		for _, p := range points {
			v := p.Values[c.key]
			if len(v) == 0 || slices.Min(v) <= 0 {
				continue
			}
			fmt.Fprintf(&line, "%.1f,%.1f ", across(p.Size), up(median(v)))
			fmt.Fprintf(&b, `<path d="M%.1f %.1fV%.1f" stroke="%s"/><circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n",
				across(p.Size), up(slices.Min(v)), up(slices.Max(v)), c.colour, across(p.Size), up(median(v)), c.colour)
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>`+"\n", c.colour, strings.TrimSpace(line.String()))
		y := diagramHeight + legendLine*i + 14
		text := c.label
		if f, ok := lay(points, c.key, 0); ok {
			clip := func(v float64) float64 { return min(max(v, low), high) }
			fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-dasharray="4 4"/>`+"\n",
				across(from), across(to), up(clip(f.factor*math.Pow(from, f.power))), up(clip(f.factor*math.Pow(to, f.power))), c.colour)
			text += fmt.Sprintf(": size to the power of %.2f (dashed)", f.power)
		}
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="12" height="4" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			diagramLeft, y-4, c.colour, diagramLeft+18, y, html.EscapeString(text))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// steps are the round values of a decade.
var steps = []float64{1, 2, 5, 10}

// below is the greatest round value that is not above v, above the least that is
// not below it.
func below(v float64) float64 {
	base, found := math.Pow(10, math.Floor(math.Log10(v))), 0.0
	for _, s := range steps {
		if s*base <= v*1.0001 {
			found = s * base
		}
	}
	return found
}

func above(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, s := range steps {
		if s*base >= v*0.9999 {
			return s * base
		}
	}
	return 10 * base
}
