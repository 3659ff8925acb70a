package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"

	"github.com/antchat/antchat/deploy/load/result"
)

// The plot's measures, in pixels.
const (
	plotWidth, panelHeight      = 900, 150
	leftMargin, rightMargin     = 80, 20
	topMargin, panelGap, footer = 44, 30, 30
)

// line is one curve of a panel.
type line struct {
	name, colour string
	of           func(s result.Sample) float64
}

// panel is a diagram over time; all its lines share a scale.
type panel struct {
	title string
	lines []line
}

var panels = []panel{
	{"clients ready", []line{{"", "#1f77b4", func(s result.Sample) float64 { return float64(s.Ready) }}}},
	{"connects a second", []line{{"", "#1f77b4", func(s result.Sample) float64 { return s.Connects }}}},
	{"deliveries a second", []line{{"", "#2ca02c", func(s result.Sample) float64 { return s.Deliveries }}}},
	{"latency, ms", []line{{"p50", "#ff7f0e", func(s result.Sample) float64 { return s.P50 }}, {"p99", "#d62728", func(s result.Sample) float64 { return s.P99 }}}},
	{"servers' CPU, cores", []line{{"", "#9467bd", func(s result.Sample) float64 { return s.CPU }}}},
	{"servers' memory, MiB", []line{{"", "#8c564b", func(s result.Sample) float64 { return float64(s.RSS) / (1 << 20) }}}},
}

// plot writes the run over time as an SVG.
func plot(w io.Writer, r *result.Run) {
	var b strings.Builder
	height := topMargin + len(panels)*(panelHeight+panelGap) + footer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, height)
	o := r.Options
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="15">%s</text>`+"\n", leftMargin, html.EscapeString(fmt.Sprintf(
		"%s: %d clients, %d rooms, revision %s over %s, %d servers; %s", o.Mode, o.Clients, o.Rooms, o.Revision, o.Transport, len(o.Targets), r.Started)))
	end := 1.0
	for _, s := range r.Samples {
		end = max(end, s.Seconds)
	}
	across := func(t float64) float64 { return leftMargin + t/end*(plotWidth-leftMargin-rightMargin) }
	for i, p := range panels {
		p.draw(&b, r.Samples, topMargin+i*(panelHeight+panelGap), end, across)
	}
	for _, t := range ticks(end) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%g s</text>`+"\n", across(t), height-10, t)
	}
	b.WriteString("</svg>\n")
	_, _ = io.WriteString(w, b.String())
}

func (p panel) draw(b *strings.Builder, samples []result.Sample, top int, end float64, across func(float64) float64) {
	most := 0.0
	for _, s := range samples {
		for _, l := range p.lines {
			most = max(most, l.of(s))
		}
	}
	if most == 0 {
		most = 1
	}
	upTo := most * 1.05
	up := func(v float64) float64 { return float64(top+panelHeight) - v/upTo*panelHeight }
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", leftMargin, top-6, html.EscapeString(p.title))
	for _, v := range ticks(upTo) {
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			leftMargin, plotWidth-rightMargin, up(v), up(v), leftMargin-6, up(v)+4, tidy(v))
	}
	for _, t := range ticks(end) {
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#eee"/>`+"\n", across(t), across(t), top, top+panelHeight)
	}
	for i, l := range p.lines {
		var points strings.Builder
		for _, s := range samples {
			fmt.Fprintf(&points, "%.1f,%.1f ", across(s.Seconds), up(l.of(s)))
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>`+"\n", l.colour, strings.TrimSpace(points.String()))
		if l.name != "" {
			fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s" text-anchor="end">%s</text>`+"\n", plotWidth-rightMargin-40*i, top-6, l.colour, l.name)
		}
	}
}

// ticks are 0 and up to five round values up to most.
func ticks(most float64) []float64 {
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, part := range []float64{0.1, 0.2, 0.5, 1, 2} {
		if most/(step*part) <= 5 {
			step *= part
			break
		}
	}
	var all []float64
	for i := 0; float64(i)*step <= most; i++ {
		all = append(all, float64(i)*step)
	}
	return all
}

func tidy(v float64) string {
	if v >= 10_000 {
		return fmt.Sprintf("%g k", v/1000)
	}
	return fmt.Sprintf("%.4g", v)
}
