// Package state is the states of a sandbox on its host, and the table of the steps
// between them.
package state

import (
	"slices"

	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

// State is where a sandbox is in its life.
type State string

// The states of a sandbox. Gone is announced and never written to a record. Failed is
// not written either: the sandbox cannot be used, and its record keeps what it was for
// the next host agent to try again.
const (
	Creating     State = "creating"
	Running      State = "running"
	Pausing      State = "pausing"
	Paused       State = "paused"
	Resuming     State = "resuming"
	Snapshotting State = "snapshotting"
	Updating     State = "updating"
	Killing      State = "killing"
	Gone         State = "gone"
	Failed       State = "failed"
)

// table lists every step a sandbox can take. Nothing else changes a state.
var table = lifecycle.Table[State]{
	States: []State{Creating, Running, Pausing, Paused, Resuming, Snapshotting, Updating, Failed, Killing, Gone},
	Steps: map[State][]State{
		Creating:     {Running, Killing},
		Running:      {Pausing, Snapshotting, Updating, Killing},
		Pausing:      {Paused, Running, Failed},
		Paused:       {Resuming, Killing},
		Resuming:     {Running, Paused, Failed},
		Snapshotting: {Running, Paused, Failed},
		Updating:     {Running},
		Failed:       {Pausing, Killing},
		Killing:      {Gone},
	},
	Settled: []State{Running, Paused, Failed},
}

// All lists all states, in the order of a life.
func All() []State { return slices.Clone(table.States) }

// CanBecome reports whether a sandbox can go from one state to the next.
func (s State) CanBecome(next State) bool { return table.CanBecome(s, next) }

// Settled reports whether a sandbox stays in a state until the next call. In the other
// states an operation is under way.
func (s State) Settled() bool { return table.IsSettled(s) }

// HasMachine reports whether a record with this state names a VM that runs: the VM of a
// sandbox that was being paused or snapshotted runs too, stopped perhaps.
func (s State) HasMachine() bool {
	switch s {
	case Running, Pausing, Snapshotting, Updating:
		return true
	default:
		return false
	}
}
