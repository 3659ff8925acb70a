// Package overload decides what a node stops doing when it has too much to do.
//
// # Flow
//
// A [Monitor] reads twice a second how full the memory is and how long goroutines
// wait for a processor, and compares both with the limits of each [Step]. Whoever
// begins something asks [Monitor.Sheds] first, which costs one load.
//
// The steps are ordered by what they cost those who are served: a new connection
// can go to another node, a sign of typing is worth little, a page of history can
// be asked for again, a message comes last.
//
// # What is measured
//
// Memory is what would remain after a garbage collection, as a share of the limit
// that Go keeps to (GOMEMLIMIT, or [FitMemory]): a heap that grows up to the limit
// before it is collected is no overload, one that cannot be collected is.
//
// Delay is what 1 in 10 goroutines waited at least, from being able to run until
// they ran, and the lateness of the monitor's own clock if that was more. It is the
// time that everything on the node takes longer, whatever the reason: its own work,
// a neighbour's, a quota of the platform.
//
// Store is what the node's calls to a shared store wait before they are sent. A store
// that cannot follow does not show in the node's own delay, and each new connection costs
// it several calls: after a fault all clients come back at once, and when none of their
// calls is answered in time, all of them were for nothing.
//
// # What it must not know
//
// Connections, requests, or what is shed: it imports no package of this module.
package overload
