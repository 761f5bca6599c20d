package lifecycle

import "slices"

// HostState is where a host is in its life.
type HostState string

// The states of a host. A pending one has never been reached; a draining one gets
// no sandboxes and has its own paused; an unreachable one may run its sandboxes
// all the same, so that nothing of them is given up. Retired is final.
const (
	HostPending     HostState = "pending"
	HostReady       HostState = "ready"
	HostDraining    HostState = "draining"
	HostUnreachable HostState = "unreachable"
	HostRetired     HostState = "retired"
)

// HostStates are all states of hosts, in the order of a life.
var HostStates = []HostState{HostPending, HostReady, HostDraining, HostUnreachable, HostRetired}

// hostTransitions lists every step a host can take. A pending or unreachable one
// that answers is ready, or draining where that is wanted of it.
var hostTransitions = map[HostState][]HostState{
	HostPending:     {HostReady, HostDraining, HostRetired},
	HostReady:       {HostDraining, HostUnreachable, HostRetired},
	HostDraining:    {HostReady, HostUnreachable, HostRetired},
	HostUnreachable: {HostReady, HostDraining, HostRetired},
}

// CanBecome says whether a host can go from one state to the next.
func (s HostState) CanBecome(next HostState) bool {
	return slices.Contains(hostTransitions[s], next)
}
