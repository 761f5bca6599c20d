// Package guest is the VM of a sandbox and what it holds of the host: a network slot, a
// control group, a server for its volumes; and the calls to the guest agent in it.
//
// A Guest has one owner at a time, who makes all calls but those that say otherwise.
package guest

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/nfs"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/meter"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/upkeep"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Spec is what a guest is started for.
type Spec struct {
	// ID names the VM and its control group.
	ID        string
	Directory record.Directory
	VCPUCount int
	MemoryMiB int
	DiskMiB   int
	// Policy is the network policy; nil is the network's default.
	Policy  *egress.Policy
	Volumes []record.VolumeMount
}

// Identity is what the guest's agent is told, so that a restored guest differs from every
// other guest of its snapshot.
type Identity struct {
	LifecycleID string
	// Environment is for every command; nil leaves what the agent knows.
	Environment map[string]string
	// CABundle is a certificate authority that the guest trusts, in PEM; empty for none.
	CABundle string
	// User runs commands whose caller names no user, in Workdir if no directory is named;
	// empty for the user "user" and for the user's home.
	User    string
	Workdir string
}

// Guest is a VM that runs, or is stopped for a moment.
type Guest struct {
	spec    Spec
	machine vmm.Machine
	slot    *network.Slot
	group   *cgroup.Group
	files   *nfs.Server // serves its volumes; nil without any

	envd   *envdclient.Client
	secret string   // authenticates the host to the agent in this life
	told   Identity // what the agent was told last

	// held: its virtual CPUs are stopped because the host's disk is nearly full.
	held bool
	// pending tells the agent what it did not answer to; nil for nothing.
	pending Wake
	retries upkeep.Backoff // of pending

	question    question
	clockIsLate atomic.Bool // it is told the time with the next question
}

// New makes a Guest of a machine that runs.
func New(spec Spec, machine vmm.Machine, slot *network.Slot, group *cgroup.Group) *Guest {
	return &Guest{spec: spec, machine: machine, slot: slot, group: group, envd: envdclient.New(slot.Address())}
}

// Access is how the host reaches a guest's agent.
type Access struct {
	Address netip.Addr
	Secret  string
}

// Access may be called by anyone while the guest runs.
func (g *Guest) Access() Access { return Access{g.slot.Address(), g.secret} }

// Done is closed when the VM has ended. It may be called by anyone.
func (g *Guest) Done() <-chan struct{} { return g.machine.Done() }

// Meter is what a meter measures of the guest.
func (g *Guest) Meter() meter.VM {
	return meter.VM{
		Group: g.group, ProcessID: g.machine.Process().ID, Link: g.slot.Device(),
		DiskPath: g.spec.Directory.Disk(), VCPUCount: g.spec.VCPUCount,
	}
}

// Record is how the next host agent adopts the guest, which is measured since start.
func (g *Guest) Record(start meter.Start) record.Running {
	return record.Running{
		Process: g.machine.Process(), Slot: g.slot.Name(), Secret: g.secret, LifecycleID: g.told.LifecycleID,
		Cgroup: g.group.Name(), Meter: start,
	}
}

// Source is what a snapshot of the stopped guest is taken of.
func (g *Guest) Source() snapshot.Source {
	return g.spec.Directory.Source(g.machine)
}

// Secret authenticates the host to the guest's agent in this life.
func (g *Guest) Secret() string { return g.secret }

// HasEnvironment is false for the guest of an earlier version, whose environment the host
// does not know.
func (g *Guest) HasEnvironment() bool { return g.told.Environment != nil }

// DeathReason says why the VM has ended on its own.
func (g *Guest) DeathReason() string {
	reason := g.machine.ExitReason()
	if g.group.OutOfMemory() {
		return fmt.Sprintf("out of memory (%s)", reason)
	}
	return reason
}

// Stop stops the virtual CPUs and settles the disk.
func (g *Guest) Stop(ctx context.Context) error { return g.machine.Pause(ctx) }

// Continue starts the virtual CPUs again.
func (g *Guest) Continue(ctx context.Context) error { return g.machine.Resume(ctx) }

// Kill ends the VM as a loss of power does. What the guest holds of the host stays until
// it is freed.
func (g *Guest) Kill(ctx context.Context) error { return g.machine.Kill(ctx) }

// Hold stops the virtual CPUs until Unhold, for want of room on the host's disk.
func (g *Guest) Hold(ctx context.Context) error {
	if err := g.machine.Pause(ctx); err != nil {
		return err
	}
	g.held = true
	return nil
}

// Unhold ends a Hold, if there is one.
func (g *Guest) Unhold(ctx context.Context) error {
	if !g.held {
		return nil
	}
	if err := g.machine.Resume(ctx); err != nil {
		return err
	}
	g.held = false
	return nil
}

// Held reports whether the guest is held. It may be called by anyone while no operation
// is under way.
func (g *Guest) Held() bool { return g.held }

// staller is a machine whose VMM stops the guest when the host has no room for what it
// writes, until it is resumed.
type staller interface {
	// Stalled reports whether the guest is stopped for that reason. It may be called by
	// anyone.
	Stalled(ctx context.Context) (bool, error)
}

// Stalled reports whether the VMM has stopped the guest because the host has no room for
// what it writes. It may be called by anyone while the guest runs.
func (g *Guest) Stalled(ctx context.Context) (bool, error) {
	asked, can := g.machine.(staller)
	if !can {
		return false, nil
	}
	return asked.Stalled(ctx)
}

// ApplyPolicy puts a network policy in force: on error the one before is in force.
func (g *Guest) ApplyPolicy(ctx context.Context, policy *egress.Policy) error {
	return g.slot.Apply(ctx, policy)
}
