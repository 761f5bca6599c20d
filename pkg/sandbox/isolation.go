package sandbox

import (
	"cmp"
	"fmt"
	"slices"
)

// Isolation is what stands between a sandbox and its host. As a demand the zero value is
// any; as what a host gives it is not known, and satisfies no demand.
type Isolation string

// The kinds of isolation.
const (
	// VM is a virtual machine with a kernel of its own.
	VM Isolation = "vm"
	// GVisor is gVisor's kernel, a process of the host.
	GVisor Isolation = "gvisor"
)

// driversOf has the drivers of each isolation, by the names with which hosts report them.
var driversOf = map[Isolation][]string{
	VM:     {"firecracker", "qemu"},
	GVisor: {"gvisor"},
}

// Isolations returns all kinds of isolation.
func Isolations() []Isolation { return []Isolation{VM, GVisor} }

// IsolationOf returns the isolation that a driver gives; none for an unknown driver.
func IsolationOf(driver string) Isolation {
	for isolation, drivers := range driversOf {
		if slices.Contains(drivers, driver) {
			return isolation
		}
	}
	return ""
}

// Drivers returns the names of the drivers that give the isolation; none where any does.
func (i Isolation) Drivers() []string { return slices.Clone(driversOf[i]) }

// Any is how a demand for any isolation is written where it must be written.
const Any = "any"

// OrAny returns the demand as text, "any" where there is none.
func (i Isolation) OrAny() string { return cmp.Or(string(i), Any) }

// Satisfies reports whether i, which a host gives, is what is demanded. No isolation
// stands for another: they protect against different things.
func (i Isolation) Satisfies(demand Isolation) bool { return demand == "" || i == demand }

// Validate returns an error for a demand that cannot be.
func (i Isolation) Validate() error {
	if i == "" || slices.Contains(Isolations(), i) {
		return nil
	}
	return fmt.Errorf("isolation must be vm or gvisor, not %.32q", string(i))
}

// IsolationConflictError is returned where a sandbox asks for another isolation than its
// team demands.
type IsolationConflictError struct{ Asked, Team Isolation }

// Error says what is asked for and what is demanded.
func (e *IsolationConflictError) Error() string {
	return fmt.Sprintf("isolation %s is asked for, and the team demands %s", e.Asked, e.Team)
}

// DemandedIsolation joins what is asked for a sandbox with what its team demands. It
// returns an *IsolationConflictError where no host can satisfy both.
func DemandedIsolation(asked, team Isolation) (Isolation, error) {
	switch {
	case team == "":
		return asked, nil
	case team.Satisfies(asked):
		return team, nil
	}
	return "", &IsolationConflictError{Asked: asked, Team: team}
}
