// Package plan says what a fleet for so many users needs: nodes and what bounds
// them, Redis, memory, network, and what that costs a month on Cloud Run, on
// Kubernetes and on virtual machines.
//
//	Load ─┐
//	      ├─ Size ─ Need ─┐
//	node ─┘               ├─ Bills, Turn
//	             Prices ──┘
//
// The constants (constants.go, constants.json) are fitted to what was measured.
// The tests hold the model against the records (docs/growth.json,
// docs/benchmarks.json), within 25 %. It knows nothing of the servers, and starts
// nothing.
package plan
