package observe

import "github.com/antchat/antchat/server/adminui"

// AdminUI fills the hooks of the Admin UI's namespace.
func (m *Metrics) AdminUI() adminui.Hooks {
	admitted := m.tally("admin_ui_admitted_total", "Pages of the Admin UI that were let in, by what they showed.", "by", "password", "token", "session")
	refused := m.tally("admin_ui_refused_total", "Pages that were not let in, by reason.", "reason", "credentials", "guesses", "store")
	dropped := m.counter("admin_ui_dropped_total", "Things that pages were not told of, since there were too many.")
	return adminui.Hooks{Admitted: admitted.inc, Refused: refused.inc, Dropped: dropped.Inc}
}
