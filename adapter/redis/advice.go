package redis

import (
	"context"
	"slices"
)

// inspect looks at how a lane's primary is set, when a link begins and at each
// audit. What the promises need, and is not so, is said in the Status and,
// once, in the log. All of it stands in INFO, which is needed anyway: CONFIG is
// not allowed on many services.
func (l *lane) inspect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.a.o.Timeout)
	defer cancel()
	client, err := l.a.conn.client(ctx, l.n, upkeep, len(l.a.lanes))
	if err != nil {
		return err
	}
	// Without sections: several at once are asked for since 7.0 only.
	text, err := client.Info(ctx).Result()
	if err != nil {
		return err
	}
	found := slices.DeleteFunc((&facts{&l.a.o, readInfo(text)}).judge(), func(f Finding) bool {
		return f.Verdict == Fine || f.Verdict == Unknown || f.choice
	})
	l.mu.Lock()
	before := l.warnings
	l.warnings = found
	l.mu.Unlock()
	for _, f := range found {
		if !slices.ContainsFunc(before, f.same) {
			l.a.o.Logger.Warn("Redis is not set as it should be", "lane", l.n, "what", f.Subject, "found", f.Text, "advice", f.Advice)
		}
	}
	return nil
}

// same: figures in the text change by themselves.
func (f Finding) same(x Finding) bool { return f.Subject == x.Subject && f.Advice == x.Advice }

// warnings are those of all lanes, each once.
func (a *Adapter) warnings() (all []string) {
	var seen []Finding
	for _, l := range a.lanes {
		l.mu.Lock()
		for _, f := range l.warnings {
			if !slices.ContainsFunc(seen, f.same) {
				seen = append(seen, f)
				all = append(all, f.Subject+": "+f.Text+": "+f.Advice)
			}
		}
		l.mu.Unlock()
	}
	return all
}
