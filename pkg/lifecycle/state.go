// Package lifecycle says what states a sandbox can be in, as the control plane
// sees it, and how it moves between them.
package lifecycle

import "slices"

// State is where a sandbox is in its life.
type State string

// The states of a sandbox. Killed and Failed are final: a failed sandbox is one
// that never ran. A broken one is kept by a host that cannot use it, because what
// it was paused to cannot be read, and waits for its team to see why and kill it.
const (
	Creating State = "creating"
	Running  State = "running"
	Pausing  State = "pausing"
	Paused   State = "paused"
	Resuming State = "resuming"
	Broken   State = "broken"
	Killing  State = "killing"
	Killed   State = "killed"
	Failed   State = "failed"
)

// States are all states, in the order of a life.
var States = []State{Creating, Running, Pausing, Paused, Resuming, Broken, Killing, Killed, Failed}

// transitions lists every step a sandbox can take. A step from one settled state
// to another is what its host reports: a pause, a resume, a failure or an end that
// the control plane did not see, and that what was broken can be used again.
var transitions = map[State][]State{
	Creating: {Running, Killing, Failed},
	Running:  {Pausing, Killing, Paused, Killed, Broken},
	Pausing:  {Paused, Running, Killing, Killed, Broken},
	Paused:   {Resuming, Killing, Running, Killed, Broken},
	Resuming: {Running, Paused, Killing, Killed, Broken},
	Broken:   {Killing, Running, Paused, Killed},
	Killing:  {Killed},
}

// CanBecome says whether a sandbox can go from one state to the next.
func (s State) CanBecome(next State) bool {
	return slices.Contains(transitions[s], next)
}

// From lists the states from which a sandbox can become next.
func From(next State) []State {
	var from []State
	for _, state := range States {
		if state.CanBecome(next) {
			from = append(from, state)
		}
	}
	return from
}

// Settled says whether a sandbox stays in a state until somebody asks for
// something else. The others belong to an operation under way.
func (s State) Settled() bool {
	switch s {
	case Running, Paused, Broken, Killed, Failed:
		return true
	default:
		return false
	}
}

// Over says whether a sandbox is gone for good.
func (s State) Over() bool { return s == Killed || s == Failed }

// Visible says whether its team sees a sandbox: one that is still being made is
// not there yet, and one that is being killed is not there any more.
func (s State) Visible() bool {
	switch s {
	case Running, Pausing, Paused, Resuming, Broken:
		return true
	default:
		return false
	}
}
