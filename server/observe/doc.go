// Package observe says what the server does: metrics for Prometheus, logs,
// traces, profiles. It knows the hooks of the other packages and fills them; they
// know nothing of it, and cost nothing where a hook is nil.
//
// # Metrics
//
// There is a file for each package that offers hooks (engineio.go, socketio.go,
// …), with one type that holds its metrics and one method of [Metrics] that
// returns its hooks filled. A new hook gets its metric there, and a row in
// docs/operations.md: a test compares the two lists.
//
// Labels have closed sets of values, each of which is there from the start, so
// that a rate over it exists before the first event. Nothing that a client makes
// up (a room, a name, an event that nobody handles) becomes a label: see
// [tally].
//
// Hooks on the path of a delivery add to counters that were looked up at the
// start: no lock, no allocation. What is a sum over all connections is counted
// when somebody asks ([Metrics.Watch]).
//
// What it must not know: settings, which main maps to options.
package observe
