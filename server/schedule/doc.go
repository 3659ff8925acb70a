// Package schedule keeps things in the order in which they are due.
//
// One queue with one timer, or one look at it now and then, stands in for a
// timer each, which would be the largest part of what an idle connection costs.
// It knows no clock: whoever owns a queue says what time it is.
package schedule
