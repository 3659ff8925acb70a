package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// check compares ours with each other server, now and in the last record, and
// says which ratios are worse by more than tolerance of the recorded one. Ratios,
// since they hold on another machine where seconds do not.
func check(w io.Writer, last, now *record, tolerance float64) error {
	compared := 0
	var fell []string
	for _, r := range rows {
		if !r.guard {
			continue
		}
		for _, p := range peers {
			was, ok := last.Figures.ratio(r.key, p.name)
			if !ok {
				continue
			}
			is, ok := now.Figures.ratio(r.key, p.name)
			if !ok {
				continue
			}
			compared++
			verdict := "holds"
			if is > was*(1+tolerance) {
				verdict = "FELL"
				fell = append(fell, fmt.Sprintf("%s to %s", r.key, p.name))
			}
			if _, err := fmt.Fprintf(w, "%-5s %s: %.2f times that of %s, was %.2f\n", verdict, r.key, is, p.label, was); err != nil {
				return err
			}
		}
	}
	if compared == 0 {
		return errors.New("nothing to compare: the record has none of these figures")
	}
	if len(fell) > 0 {
		return fmt.Errorf("%d of %d ratios are worse than recorded on %s by more than %.0f %%: %s",
			len(fell), compared, last.Date, 100*tolerance, strings.Join(fell, "; "))
	}
	_, err := fmt.Fprintf(w, "%d ratios, none worse than recorded on %s by more than %.0f %%\n", compared, last.Date, 100*tolerance)
	return err
}

// ratio is our median as a part of another's, where both were measured.
func (f figures) ratio(key, other string) (float64, bool) {
	ours, theirs := f[key]["antchat"], f[key][other]
	if other == "antchat" || len(ours) == 0 || len(theirs) == 0 || median(theirs) <= 0 {
		return 0, false
	}
	return median(ours) / median(theirs), true
}
