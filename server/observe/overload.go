package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/antchat/antchat/server/overload"
)

// Overload fills the hooks of the monitor. What is refused is counted where it is
// refused.
func (m *Metrics) Overload() overload.Hooks {
	memory := m.gauge("overload_memory_ratio", "Memory that cannot be collected, as a share of the process's limit; 0 without a limit.")
	delay := m.gauge("overload_delay_seconds", "How long 1 in 10 goroutines waited for a processor, at least.")
	active := m.gauges("overload_active", "1 while a step is taken: what it names is refused.", "step")
	begun := m.counters("overload_begun_total", "Times that a step was taken.", "step")
	var now [overload.Steps]prometheus.Gauge
	var times [overload.Steps]prometheus.Counter
	for i := range now {
		step := overload.Step(i).String()
		now[i], times[i] = active.WithLabelValues(step), begun.WithLabelValues(step)
	}
	return overload.Hooks{
		Read: func(r overload.Reading) {
			memory.Set(r.Memory)
			delay.Set(r.Delay.Seconds())
		},
		Changed: func(step overload.Step, sheds bool, _ overload.Reading) {
			if sheds {
				now[step].Set(1)
				times[step].Inc()
			} else {
				now[step].Set(0)
			}
		},
	}
}
