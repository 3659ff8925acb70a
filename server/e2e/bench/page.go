package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// page is docs/benchmarks.md.
func (r *record) page() string {
	var b strings.Builder
	present := r.present()
	b.WriteString(`# Benchmarks

Antchat beside what else one could pick: one load, one machine, in turns. This page, its plots, [benchmarks.json](benchmarks.json)
and the figures in the README are written by ` + "`make bench`" + `; a test holds that they agree. ` + "`make bench-check`" + ` compares ours as a part of
each other server's, in CPU and memory, with what is recorded here, and fails if one is more than 25 % worse (` + "`ARGS='-tolerance 0.4'`" + `
for another measure). Where only the ratio to one server is worse, it is that server, or the machine; where the one to the bare
writes is, it is ours.

` + "```sh\nmake bench          # measure all, and write this page: some 40 minutes, on a machine that does nothing else\n" +
		"make bench ARGS='-only slow,storm -merge'   # measure these again, and leave the rest of the record as it is\n" +
		"make bench-check    # measure the main ones again, and say which ratios fell: some 10 minutes\n" +
		"go run ./server/e2e/bench -help   # parts of it\n```\n\n")
	fmt.Fprintf(&b, "This is of %s, by\n\n```sh\ngo run ./server/e2e/bench %s\n```\n\n", r.Date, strings.Join(r.Arguments, " "))
	fmt.Fprintf(&b, "Medians of %s of %g s after 2 s of warm-up, and in brackets the range. ", r.runs(), r.Seconds)
	fmt.Fprintf(&b, "The machine: %s. The server is pinned to the first core, load and Redis to the second.\n\n", r.Machine)
	fmt.Fprintf(&b, "The machine's load average after each run: %s. ", loads(r.Loads))
	if r.loaded() {
		b.WriteString("**The benchmark alone makes up to 2: this machine did other work at the same time.** CPU and memory are the server " +
			"processes' own and hold as ratios; latencies and deliveries a second are worse than they would be, for all of them. A server with " +
			"fewer deliveries a second than were asked for was full, and its figures at that rate are those of a full server.\n\n")
	} else {
		b.WriteString("The benchmark alone makes up to 2.\n\n")
	}
	b.WriteString("| what | version |\n| --- | --- |\n")
	for _, v := range r.Versions {
		fmt.Fprintf(&b, "| %s | %s |\n", v.What, v.Version)
	}
	b.WriteString(`
Each server has two handlers: ` + "`join(room)` joins and acknowledges; `msg(room, payload)` emits `msg(payload)`" + ` to the room, 128 bytes.
All run with their defaults, Node with ` + "`NODE_ENV=production`" + `, several nodes of it with @socket.io/redis-adapter; Antchat has recovery
and limits on and sends the recovery offset with each delivery; in the lines of *the program* it is the whole chat. googollee speaks revision 3
only and is driven so. *Bare writes* is no Socket.IO server: one epoll loop that writes a ready-made frame to each connection, checks
nothing and promises nothing: the kernel's own price when each delivery is one write. Antchat can be below it where it writes several
deliveries at once.

`)
	for _, p := range plots {
		if r.draw(p) != "" {
			fmt.Fprintf(&b, "![%s](benchmarks/%s.svg)\n\n", p.title, p.name)
		}
	}
	b.WriteString("| what |")
	for _, p := range present {
		b.WriteString(" " + p.label + " |")
	}
	b.WriteString(" of Node's | target | of bare writes' | target |\n|" + strings.Repeat(" --- |", len(present)+5) + "\n")
	for _, row := range rows {
		byPeer := r.Figures[row.key]
		if byPeer == nil {
			continue
		}
		label := row.label
		if strings.HasPrefix(label, " ") {
			label = "… " + strings.TrimSpace(label)
		}
		b.WriteString("| " + label + " |")
		for _, p := range present {
			b.WriteString(" " + span(byPeer[p.name], row.digits) + " |")
		}
		node, nodeTarget, bare, bareTarget := row.verdict(byPeer)
		fmt.Fprintf(&b, " %s | %s | %s | %s |\n", node, nodeTarget, bare, bareTarget)
	}
	if names := anew(r.Parts); len(names) > 0 {
		b.WriteString("\nMeasured anew since:\n\n| lines of | servers | commit | date | runs | load average after each |\n| --- | --- | --- | --- | --- | --- |\n")
		for _, name := range names {
			p := r.Parts[name]
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %d of %g s | %s |\n", name, strings.Join(p.Peers, ", "), p.Commit, p.Date, p.Runs, p.Seconds, loads(p.Loads))
		}
	}
	if len(r.Failures) > 0 {
		b.WriteString("\nRuns that failed, which have no figure in the table:\n\n")
		for _, f := range r.Failures {
			b.WriteString("- " + f + "\n")
		}
		if r.loaded() {
			b.WriteString("\nWith so much other work on the machine this says nothing about these servers.\n")
		}
	}
	return b.String()
}

func loads(all []float64) string {
	text := make([]string, len(all))
	for i, v := range all {
		text[i] = fmt.Sprintf("%.1f", v)
	}
	return strings.Join(text, ", ")
}

// anew are the parts that were measured after the whole run.
func anew(parts map[string]part) (names []string) {
	for name, p := range parts {
		if p.Merged {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// quietLoad is what the benchmark itself makes, and a little.
const quietLoad = 2.5

// loaded says that the machine had other work too.
func (r *record) loaded() bool { return slices.Max(append([]float64{0}, r.Loads...)) > quietLoad }

func (r *record) runs() string {
	if r.Runs == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", r.Runs)
}

// present are the peers that have a figure.
func (r *record) present() []peer {
	var all []peer
	for _, p := range peers {
		for _, byPeer := range r.Figures {
			if len(byPeer[p.name]) > 0 {
				all = append(all, p)
				break
			}
		}
	}
	return all
}

// short is the README's table: ours first, beside the others.
func (r *record) short() string {
	var b strings.Builder
	present := r.present()
	slices.SortStableFunc(present, func(p, q peer) int {
		switch {
		case p.ours() && !q.ours():
			return -1
		case q.ours() && !p.ours():
			return 1
		}
		return 0
	})
	b.WriteString("| one core for the server |")
	for _, p := range present {
		b.WriteString(" " + p.label + " |")
	}
	b.WriteString("\n| ---" + strings.Repeat(" | ---:", len(present)) + " |\n")
	for _, line := range []struct{ key, label string }{
		{"saturated cpu", "room of 1,000, as fast as it goes: CPU s per million deliveries"},
		{"paced cpu", "room of 1,000, 20 messages a second: CPU s per million deliveries"},
		{"many-saturated cpu", "1,000 rooms of 10, as fast as it goes: CPU s per million deliveries"},
		{"idle bytes", "resident bytes per idle connection"},
		{"idle connect cpu", "CPU ms per 1,000 connects"},
	} {
		byPeer := r.Figures[line.key]
		if byPeer == nil {
			continue
		}
		b.WriteString("| " + line.label + " |")
		for _, p := range present {
			cell := "-"
			if v := byPeer[p.name]; len(v) > 0 {
				cell = digits(median(v))
			}
			if p.ours() {
				cell = "**" + cell + "**"
			}
			b.WriteString(" " + cell + " |")
		}
		b.WriteString("\n")
	}
	of := "Medians"
	if r.loaded() {
		of = "On a machine that did other work too: medians"
	}
	fmt.Fprintf(&b, "\n*Bare writes* is the kernel's own price when each delivery is one write. %s of %s, %s. `make bench` measures them anew; machine, versions, ranges and latencies: [docs/benchmarks.md](docs/benchmarks.md).\n",
		of, r.runs(), r.Date)
	return b.String()
}

// digits writes three digits, and thousands whole with their comma.
func digits(v float64) string {
	if v < 999.5 {
		return fmt.Sprintf("%.3g", v)
	}
	n := int(math.Round(v))
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
