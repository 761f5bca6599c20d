package lifecycle

// HostState is where a host is in its life.
type HostState string

// The states of a host.
const (
	// HostPending has never been reached.
	HostPending HostState = "pending"
	HostReady   HostState = "ready"
	// HostDraining gets no sandboxes, and those that it has are paused.
	HostDraining HostState = "draining"
	// HostUnreachable may run its sandboxes all the same: none of them is given up.
	HostUnreachable HostState = "unreachable"
	// HostRetired is final.
	HostRetired HostState = "retired"
)

// hosts lists every step a host can take. A pending or unreachable host that answers is
// ready, or draining where that is wanted of it.
var hosts = Table[HostState]{
	States: []HostState{HostPending, HostReady, HostDraining, HostUnreachable, HostRetired},
	Steps: map[HostState][]HostState{
		HostPending:     {HostReady, HostDraining, HostRetired},
		HostReady:       {HostDraining, HostUnreachable, HostRetired},
		HostDraining:    {HostReady, HostUnreachable, HostRetired},
		HostUnreachable: {HostReady, HostDraining, HostRetired},
	},
	Settled: []HostState{HostPending, HostReady, HostDraining, HostUnreachable},
}

// HostStates returns all states of hosts, in the order of a life.
func HostStates() []HostState { return hosts.States }

// CanBecome reports whether a host can go from one state to the next.
func (s HostState) CanBecome(next HostState) bool { return hosts.CanBecome(s, next) }
