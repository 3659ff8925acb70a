package observe

import "log/slog"

// LogValue is the group of a last log line: what an operator asks about first.
func (m *Metrics) LogValue() slog.Value {
	list := []slog.Attr{
		slog.Int64("sessions", total(m.opened...)), slog.Int64("slow_clients", total(m.slow...)),
		slog.Int64("refused", total(m.refused...)), slog.Int64("panics", total(m.panics...)),
	}
	if o := m.officialTotals(); len(o) > 0 {
		list = append(list, slog.Attr{Key: "official", Value: slog.GroupValue(o...)})
	}
	return slog.GroupValue(list...)
}
