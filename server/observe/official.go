package observe

import (
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/adapter/redis/official"
)

// Official fills the hooks of the official packages' formats. The first message
// of each kind that comes to nothing is worth a line.
func (m *Metrics) Official(logger *slog.Logger) official.Hooks {
	refused := m.tally("official_refused_total", "Messages of emitters and Node servers that were not taken, by reason.", "reason", officialRefusals...)
	dropped := m.tally("official_dropped_total", "Messages from or to them that were given up, by what should have become of them.", "what", officialDrops...)
	lost := m.counter("official_links_lost_total", "Times that the subscriber connection to their channels was lost.")
	m.official = make(map[string]prometheus.Counter)
	warned := make(map[string]*sync.Once)
	for _, k := range []struct {
		verb string
		of   *tally
	}{{"refused ", refused}, {"dropped ", dropped}} {
		for value, c := range k.of.known {
			m.official[k.verb+value] = c
			warned[k.verb+value] = new(sync.Once)
		}
	}
	warn := func(why string) {
		if once := warned[why]; once != nil {
			once.Do(func() {
				logger.Warn("official formats: a message came to nothing; further ones are counted", "why", why)
			})
		}
	}
	return official.Hooks{
		Refused: func(why string) {
			refused.inc(why)
			warn("refused " + why)
		},
		Dropped: func(what string) {
			dropped.inc(what)
			warn("dropped " + what)
		},
		Lost: func(string) { lost.Inc() },
	}
}

// officialRefusals and officialDrops are every word that the bridge gives to
// Refused and Dropped.
var (
	officialRefusals = []string{"pickle", "malformed", "too large", "too many"}
	officialDrops    = []string{"publish", "append", "deliver"}
)

// officialTotals are what has been counted, for the summary.
func (m *Metrics) officialTotals() (list []slog.Attr) {
	for name, c := range m.official {
		if n := total(c); n > 0 {
			list = append(list, slog.Int64(name, n))
		}
	}
	slices.SortFunc(list, func(x, y slog.Attr) int { return strings.Compare(x.Key, y.Key) })
	return list
}
