// Package sandbox is the domain: what a sandbox is, which states it has, which steps
// lead from one to the next and what each step makes known. Rows, messages and JSON
// are mapped to its types at the edges, and it imports none of them.
package sandbox

import "git.omukk.dev/wrenn/sandbox/pkg/lifecycle"

// State is where a sandbox is in its life, as the control plane sees it.
type State string

// The states of a sandbox.
const (
	Creating State = "creating"
	Running  State = "running"
	Pausing  State = "pausing"
	Paused   State = "paused"
	Resuming State = "resuming"
	// Broken is kept by a host that cannot use it, because what it was paused to cannot
	// be read. Its team sees why and kills it.
	Broken  State = "broken"
	Killing State = "killing"
	// Killed is final, of a sandbox that ran.
	Killed State = "killed"
	// Failed is final, of a sandbox that never ran.
	Failed State = "failed"
)

// States returns all states, in the order of a life.
func States() []State {
	return []State{Creating, Running, Pausing, Paused, Resuming, Broken, Killing, Killed, Failed}
}

// table has the steps of transitions. Nothing changes a state past it.
var table = newTable()

func newTable() lifecycle.Table[State] {
	steps := map[State][]State{}
	for from, transitions := range transitions {
		for _, next := range States() {
			if _, allowed := transitions[next]; allowed {
				steps[from] = append(steps[from], next)
			}
		}
	}
	return lifecycle.Table[State]{States: States(), Steps: steps, Settled: []State{Running, Paused, Broken}}
}

// CanBecome reports whether a sandbox can go from one state to the next.
func (s State) CanBecome(next State) bool { return table.CanBecome(s, next) }

// From returns the states from which a sandbox can become next.
func From(next State) []State { return table.From(next) }

// Settled reports whether a sandbox stays in a state until something else is asked
// for. The others belong to an operation under way.
func (s State) Settled() bool { return table.IsSettled(s) }

// Over reports whether a state is final.
func (s State) Over() bool { return table.IsFinal(s) }

// Ending reports whether a sandbox is gone or being killed: it has an EndCause.
func (s State) Ending() bool { return s == Killing || s.Over() }

// Visible reports whether its team sees a sandbox: one that is being created is not
// there yet, and one that is being killed is not there any more.
func (s State) Visible() bool { return s != Creating && !s.Ending() }
