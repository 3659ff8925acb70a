package config

import "strings"

// suggest ends the line about an unknown name: with the names nearest to it if
// there are any, and in any case with where all of them are.
func suggest(name, prefix string, names []string) string {
	name = strings.ToLower(name)
	best, distance := "", len(name)/3+1
	for _, n := range names {
		if d := edits(name, strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	if best != "" {
		return "; did you mean " + prefix + best + "? --help lists all that are allowed"
	}
	return "; --help lists all that are allowed"
}

// edits counts the insertions, deletions and replacements between two names.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
