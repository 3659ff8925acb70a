package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// figures are what one run has shown. Durations are in nanoseconds in JSON.
type figures struct {
	Fault string `json:"fault"`
	Form  string `json:"form"`
	Nodes int    `json:"nodes"`
	Seed  uint64 `json:"seed"`

	Members    int            `json:"members"`
	Reconnects int            `json:"reconnects"`
	Fresh      int            `json:"fresh"` // came back as a new session, although able to recover
	Tries      int            `json:"tries"`
	Acked      int            `json:"acked"`
	Endings    map[string]int `json:"endings,omitempty"`  // of connections, by the client's reason
	Refusals   map[string]int `json:"refusals,omitempty"` // by code

	Lost        int `json:"lost"`        // acknowledged, and not in the log
	Missed      int `json:"missed"`      // (member, message): in the log, neither shown nor told of
	Repeated    int `json:"repeated"`    // shown twice, stored twice, acknowledged as two
	Reordered   int `json:"reordered"`   // shown or stored in another order
	Told        int `json:"told"`        // notices of a loss
	Untold      int `json:"untold"`      // (member, message): gone, and not told: lost minus told
	False       int `json:"false"`       // (member, message): told of, and in the log
	Unrecovered int `json:"unrecovered"` // members that were not whole at the end
	Absent      int `json:"absent"`      // rooms whose numUsers was wrong in the end

	Whole   time.Duration `json:"whole"`   // longest, from a heal until a member had what it had missed
	Late    time.Duration `json:"late"`    // longest from a message's acknowledgement until a member was shown it
	Outage  time.Duration `json:"outage"`  // longest time that one client was without connection
	Peak    int           `json:"peak"`    // most clients that came back within one second
	Silence time.Duration `json:"silence"` // longest time without any acknowledgement
	Wait    time.Duration `json:"wait"`    // longest from a first send to its acknowledgement
	Settle  time.Duration `json:"settle"`  // from the end of the load until everybody was whole
	Took    time.Duration `json:"took"`

	Notes  []string `json:"notes,omitempty"`
	Broken []string `json:"broken,omitempty"`
}

// kept says whether the promises were. A store that loses must tell; one that
// cannot lose must not, and it keeps sessions, too.
func (f *figures) kept(mayLose bool) bool {
	if f.Acked == 0 || len(f.Broken) > 0 {
		return false
	}
	if f.Missed+f.Repeated+f.Reordered+f.Untold+f.Unrecovered+f.Absent+f.False > 0 {
		return false
	}
	return mayLose || f.Lost+f.Told+f.Fresh == 0
}

var columns = []string{
	"form", "fault", "acked", "lost", "missed", "repeated", "reordered", "told", "lost-told", "unrecovered", "reconnects", "new",
	"whole", "late", "outage", "peak", "silence", "wait", "",
}

func (f *figures) row(ok bool) []string {
	verdict := "ok"
	if !ok {
		verdict = "BROKEN"
	}
	return []string{
		f.Form, f.Fault, fmt.Sprint(f.Acked), fmt.Sprint(f.Lost), fmt.Sprint(f.Missed), fmt.Sprint(f.Repeated), fmt.Sprint(f.Reordered),
		fmt.Sprint(f.Told), fmt.Sprint(f.Untold), fmt.Sprint(f.Unrecovered), fmt.Sprint(f.Reconnects), fmt.Sprint(f.Fresh),
		seconds(f.Whole), seconds(f.Late), seconds(f.Outage), fmt.Sprint(f.Peak), seconds(f.Silence), seconds(f.Wait), verdict,
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }

// writeLine is the row as soon as it is known.
func writeLine(w io.Writer, f *figures, ok bool) {
	cells := f.row(ok)
	var b strings.Builder
	for i, c := range cells[2 : len(cells)-1] {
		fmt.Fprintf(&b, " %s=%s", columns[i+2], c)
	}
	_, _ = fmt.Fprintf(w, "%-7s%s %s:%s took=%s\n", cells[len(cells)-1], f.Form, f.Fault, b.String(), seconds(f.Took))
	for _, n := range f.Notes {
		_, _ = fmt.Fprintf(w, "         %s\n", n)
	}
	for _, n := range f.Broken {
		_, _ = fmt.Fprintf(w, "       ! %s\n", n)
	}
}

// writeTable is all rows again, one under the other.
func writeTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range append([][]string{columns}, rows...) {
		if _, err := fmt.Fprintln(t, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

func writeJSON(w io.Writer, all []*figures) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(all)
}
