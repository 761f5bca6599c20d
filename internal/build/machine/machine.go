// Package machine is the VM in which a build's steps run, and the calls to its guest agent.
package machine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/guestdisk"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Host starts build VMs.
type Host struct{ guests *guest.Host }

// NewHost makes a Host. Builds have no volumes, and no client reaches their VMs.
func NewHost(config guest.Config) *Host {
	config.Traffic = noTraffic{}
	return &Host{guests: guest.NewHost(config)}
}

// noTraffic is the clients of a build VM: there are none.
type noTraffic struct{}

func (noTraffic) Drain(context.Context, string) {}
func (noTraffic) Disconnect(string)             {}

// SetBoot sets how disks are booted. MemoryPath is not looked at.
func (h *Host) SetBoot(boot vmm.Boot) { h.guests.SetBoot(boot) }

// Spec is a build VM.
type Spec struct {
	// Name tells VMs apart in process lists and control groups.
	Name string
	// Directory holds the VM's files. Start makes it.
	Directory string
	VCPUCount int
	MemoryMiB int
	Network   egress.Spec
	// Defaults are what commands get that say nothing else.
	Defaults snapshot.Defaults
}

// Machine is a build VM that runs. It has one owner.
type Machine struct {
	host      *Host
	guest     *guest.Guest
	envd      *envdclient.Client
	directory string
	diskMiB   int
}

// Start restores a snapshot, or boots one without memory. On error nothing of the VM is
// left.
func (h *Host) Start(ctx context.Context, spec Spec, base *snapshot.Snapshot) (_ *Machine, err error) {
	if err := os.MkdirAll(spec.Directory, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of a build VM: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(spec.Directory))
		}
	}()
	policy, bundle, err := policyOf(spec.Network)
	if err != nil {
		return nil, err
	}
	environment := spec.Defaults.Environment
	if environment == nil {
		environment = map[string]string{}
	}
	started, err := h.guests.Start(ctx, guest.Spec{
		ID: spec.Name, Directory: record.Directory(spec.Directory), VCPUCount: spec.VCPUCount, MemoryMiB: spec.MemoryMiB,
		DiskMiB: base.DiskMiB, Policy: policy,
	}, base, guest.Identity{
		LifecycleID: rand.Text(), Environment: environment, CABundle: bundle,
		User: spec.Defaults.User, Workdir: spec.Defaults.Workdir,
	})
	if err != nil {
		return nil, err
	}
	return &Machine{host: h, guest: started, envd: envdclient.New(started.Access().Address), directory: spec.Directory, diskMiB: base.DiskMiB}, nil
}

// policyOf is the network policy of a build, and the authority that its guest trusts if the
// policy changes requests.
func policyOf(spec egress.Spec) (policy *egress.Policy, bundle string, err error) {
	if policy, err = egress.Parse(spec); err != nil {
		return nil, "", err
	}
	if len(spec.Rules) == 0 {
		return policy, "", nil
	}
	authority, err := egress.NewAuthority()
	if err != nil {
		return nil, "", err
	}
	return policy.WithAuthority(authority), string(authority.Certificate()), nil
}

// DeadError is returned when the VM has ended on its own.
type DeadError struct{ Reason string }

// Error says why.
func (e *DeadError) Error() string { return "the build VM ended: " + e.Reason }

// Unwrap makes it a vmm.ErrNotRunning.
func (e *DeadError) Unwrap() error { return vmm.ErrNotRunning }

// whileRunning makes a call, and returns a DeadError if the VM ends meanwhile.
func (m *Machine) whileRunning(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-m.guest.Done():
			cancel()
		case <-stop:
		}
	}()
	err := call(ctx)
	close(stop)
	<-watched
	cancel()
	select {
	case <-m.guest.Done():
		if err != nil {
			return &DeadError{Reason: m.guest.DeathReason()}
		}
	default:
	}
	return err
}

// Execute runs a command, until its end or the deadline of ctx.
func (m *Machine) Execute(ctx context.Context, command envdclient.Command, to envdclient.Follower) (exit envdclient.Exit, err error) {
	err = m.whileRunning(ctx, func(ctx context.Context) error {
		exit, err = m.envd.Execute(ctx, m.guest.Secret(), command, to)
		return err
	})
	return exit, err
}

// freezeTimeout bounds how long a guest may take to write out its file system.
const freezeTimeout = 5 * time.Minute

// Capture calls use with a disk that has what the guest has written, and on which nothing
// changes meanwhile. The disk may be the guest's own.
func (m *Machine) Capture(ctx context.Context, disks guestdisk.Disks, use func(diskPath string) error) error {
	if !disks.HaveLayers() {
		return m.whileFrozen(ctx, func() error { return use(m.guest.Source().DiskPath) })
	}
	saved := filepath.Join(m.directory, "saved")
	err := m.whileStopped(ctx, func() error { return disks.Save(ctx, m.guest.Source(), saved, m.diskMiB) })
	if err == nil {
		err = use(saved)
	}
	return errors.Join(err, disk.RemoveIfThere(saved))
}

// whileFrozen makes a call while the guest's file system is written out and nothing changes
// it.
func (m *Machine) whileFrozen(ctx context.Context, call func() error) error {
	freezing, cancel := context.WithTimeout(ctx, freezeTimeout)
	defer cancel()
	if err := m.guest.FreezeFilesystem(freezing); err != nil {
		return err
	}
	err := call()
	thawErr := m.whileRunning(ctx, func(ctx context.Context) error { return m.envd.ThawFilesystem(ctx, m.guest.Secret()) })
	return errors.Join(err, thawErr)
}

// whileStopped makes a call while the guest stands still.
func (m *Machine) whileStopped(ctx context.Context, call func() error) error {
	return m.whileRunning(ctx, func(ctx context.Context) error {
		if err := m.guest.Stop(ctx); err != nil {
			return err
		}
		return errors.Join(call(), m.guest.Continue(context.WithoutCancel(ctx)))
	})
}

// TakeSnapshot stops the VM for good and takes a snapshot of it, with its processes. Where
// the manifest has a start command, the disk as it was before is kept, too.
func (m *Machine) TakeSnapshot(ctx context.Context, manifest snapshot.Manifest, beforeStartPath, directory string) (*snapshot.Snapshot, error) {
	// What a later boot of the disk finds is what the memory knows to be there.
	if err := m.whileFrozen(ctx, func() error { return nil }); err != nil {
		return nil, err
	}
	if err := m.guest.Quiet(ctx, envdclient.Preparation{ForgetEnvironment: true}); err != nil {
		return nil, fmt.Errorf("quiet the guest: %w", err)
	}
	if err := m.guest.Stop(ctx); err != nil {
		return nil, err
	}
	manifest.Secret = m.guest.Secret()
	source := m.guest.Source()
	if manifest.Start.Runs() {
		source.BeforeStartPath = beforeStartPath
	}
	return snapshot.Take(ctx, source, manifest, directory)
}

// Stop ends the VM and removes its files. It takes no context, because it always has to be
// completed.
func (m *Machine) Stop() error {
	return errors.Join(m.host.guests.Stop(m.guest), os.RemoveAll(m.directory))
}

// EndLeftovers ends the VMs of an earlier agent whose files are below a directory, and
// removes those files.
func EndLeftovers(ctx context.Context, driver vmm.Driver, directory string) error {
	left, err := driver.Processes(directory)
	if err != nil {
		return fmt.Errorf("find VMs of unfinished builds: %w", err)
	}
	for _, process := range left {
		if err := process.End(ctx); err != nil {
			return fmt.Errorf("end the VM of an unfinished build: %w", err)
		}
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return fmt.Errorf("find files of unfinished builds: %w", err)
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(directory, entry.Name())); err != nil {
			return fmt.Errorf("remove the files of an unfinished build: %w", err)
		}
	}
	return nil
}
