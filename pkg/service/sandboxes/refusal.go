package sandboxes

import (
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

func notFound(sandboxID string) error {
	if !id.IsPlausible(sandboxID) {
		return fault.New(fault.Invalid, "sandboxID is malformed")
	}
	return fault.New(fault.NotFound, "sandbox %q was not found", id.Shorten(sandboxID))
}

func notRunning(sandboxID string) error {
	return fault.New(fault.NotFound, "sandbox %s is not running", sandboxID)
}

// wrongState returns the refusal of what a sandbox cannot do in its state.
func wrongState(of sandbox.Sandbox) error {
	if of.State == sandbox.Broken {
		return fault.New(fault.Conflict, "sandbox %s has failed and cannot be used: %s", of.ID, of.Reason).Because(fault.Broken)
	}
	return fault.New(fault.Conflict, "sandbox %s is %s", of.ID, of.State).Because(fault.WrongState)
}

func busy(of sandbox.Sandbox) error {
	return fault.New(fault.Conflict, "sandbox %s is still %s; try again", of.ID, of.State).Because(fault.Busy)
}
