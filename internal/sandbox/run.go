package sandbox

import (
	"context"
	"errors"
	"reflect"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/meter"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

// run starts the sandbox's VM and saves that it runs, or undoes both.
func (o *operation) run(ctx context.Context, lifecycleID string, began time.Time) error {
	spec, err := o.guestSpec()
	if err != nil {
		return err
	}
	g, err := o.host.guests.Start(ctx, spec, o.base, o.guestIdentity(lifecycleID))
	if err != nil {
		return err
	}
	o.guest = g
	if err := o.saveRunning(began); err != nil {
		return errors.Join(err, o.stopGuest())
	}
	return nil
}

// guestSpec is what the sandbox's guest is started for.
func (o *operation) guestSpec() (guest.Spec, error) {
	spec := guest.Spec{
		ID: o.id, Directory: o.directory,
		VCPUCount: o.record.VCPUCount, MemoryMiB: o.record.MemoryMiB, DiskMiB: o.record.DiskMiB, Volumes: o.record.Volumes,
	}
	if reflect.DeepEqual(o.record.Network, egress.Spec{}) {
		return spec, nil
	}
	var err error
	spec.Policy, err = o.policy()
	return spec, err
}

// guestIdentity is what the guest is told in its next life. The policy comes first: it
// makes the authority that the guest has to trust.
func (o *operation) guestIdentity(lifecycleID string) guest.Identity {
	return guest.Identity{
		LifecycleID: lifecycleID, Environment: o.record.Environment, CABundle: o.record.CABundle(),
		User: o.record.Defaults.User, Workdir: o.record.Defaults.Workdir,
	}
}

// saveRunning starts the meter of a guest that has just become the sandbox's, and saves
// that it runs.
func (o *operation) saveRunning(began time.Time) error {
	started := meter.New(o.guest.Meter(), o.record.Usage)
	o.mutex.Lock()
	o.meter = started
	o.record.StartedAt = began.UTC()
	o.mutex.Unlock()
	return o.save(state.Running, "")
}

// stopGuest ends the VM, if there is one, and frees what it held, its live disk included.
func (o *operation) stopGuest() error { return o.endGuest(o.host.guests.Stop) }

// freeGuest is stopGuest that leaves the guest's files.
func (o *operation) freeGuest() error { return o.endGuest(o.host.guests.Free) }

func (o *operation) endGuest(end func(*guest.Guest) error) error {
	o.endMeter()
	g := o.guest
	o.guest = nil
	if g == nil {
		return nil
	}
	return end(g)
}

// endMeter adds the last reading of a VM that is about to be stopped, or has ended, to
// the sandbox's total.
func (o *operation) endMeter() {
	ending := o.Meter()
	if ending == nil {
		return
	}
	total := ending.Measure()
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.record.Usage, o.meter = total, nil
}
