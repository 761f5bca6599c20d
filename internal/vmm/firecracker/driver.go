// Package firecracker runs microVMs with Firecracker under KVM, each in a jail that
// Firecracker's jailer makes: a user, a root directory and namespaces of its own, and
// Firecracker's filters of system calls.
package firecracker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Name is the driver's name.
const Name = "firecracker"

// The programs the driver runs, found on PATH.
const (
	Binary = "firecracker"
	Jailer = "jailer"
)

// ErrNotInstalled is returned where one of the programs is missing.
var ErrNotInstalled = errors.New("it is not installed")

// Driver starts Firecracker processes. Make one with New.
type Driver struct {
	binary  string
	jailer  string
	version string // as Firecracker prints it
	log     *slog.Logger
}

var _ vmm.Driver = (*Driver)(nil)

// New returns a driver that uses the programs on PATH. It returns ErrNotInstalled if
// one of them is missing, and ErrNotStatic if the jail could not run Firecracker.
func New(ctx context.Context, log *slog.Logger) (*Driver, error) {
	d := &Driver{log: log}
	if err := d.find(); err != nil {
		return nil, err
	}
	var err error
	d.version, err = version(ctx)
	return d, err
}

// CheckInstalled returns ErrNotInstalled or ErrNotStatic where New would.
func CheckInstalled() error { return new(Driver).find() }

// find finds the programs.
func (d *Driver) find() error {
	for name, path := range map[string]*string{Binary: &d.binary, Jailer: &d.jailer} {
		found, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("find %s: %w: %w", name, ErrNotInstalled, err)
		}
		// The jailer resolves links, too, and names its directories after the result.
		if *path, err = filepath.EvalSymlinks(found); err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
	}
	return checkStatic(d.binary)
}

// version is Firecracker's version as it prints it. A snapshot restores only with the
// version that took it.
func version(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, Binary, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask Firecracker for its version: %w", err)
	}
	first, _, _ := strings.Cut(string(output), "\n")
	return strings.TrimSpace(first), nil
}

// Name returns the driver's name.
func (d *Driver) Name() string { return Name }

// Accelerator is "kvm".
func (d *Driver) Accelerator() string { return "kvm" }

// Maker is the MadeBy of this driver's snapshots.
func (d *Driver) Maker() vmm.Maker {
	return vmm.Maker{Driver: d.Name(), Accelerator: d.Accelerator(), Version: d.version}
}

// mostVCPUs is MAX_SUPPORTED_VCPUS of Firecracker.
const mostVCPUs = 32

// Capabilities are metadata, a limit of the network and a bound of vCPUs.
func (d *Driver) Capabilities() vmm.Capabilities {
	return vmm.Capabilities{Metadata: true, NetworkLimit: true, MostVCPUs: mostVCPUs}
}

// Boot starts a kernel in fresh memory.
func (d *Driver) Boot(ctx context.Context, spec vmm.Spec, boot vmm.Boot) (vmm.Machine, error) {
	return d.start(ctx, spec, launch{
		memoryPath: boot.MemoryPath,
		furnish: func(j *jail) error {
			return errors.Join(j.unpackKernel(boot.KernelPath), j.copyIn(boot.InitramfsPath, jailInitramfs))
		},
		configure: func(a *api) error { return a.boot(ctx, spec, commandLine(boot.CommandLine)) },
	})
}

// commandLine turns off the search for hardware that Firecracker does not emulate.
func commandLine(line string) string {
	return line + " pci=off i8042.noaux i8042.nomux i8042.dumbkbd"
}

// Restore starts a machine from a snapshot.
func (d *Driver) Restore(ctx context.Context, spec vmm.Spec, from vmm.State) (vmm.Machine, error) {
	if err := d.Maker().Restores(from.MadeBy); err != nil {
		return nil, err
	}
	return d.start(ctx, spec, launch{
		memoryPath: from.MemoryPath, restored: true,
		furnish: func(j *jail) error {
			return errors.Join(j.lendMemory(from.MemoryPath), j.copyIn(from.DevicesPath, jailDevices))
		},
		configure: func(a *api) error { return a.restore(ctx, spec) },
	})
}

// launch is how a Firecracker is started.
type launch struct {
	memoryPath string
	// restored: the guest's memory is mapped from the file.
	restored bool
	// furnish puts the files into the jail that the start needs, except the disk.
	furnish func(j *jail) error
	// configure describes the machine and starts it.
	configure func(a *api) error
}

func (d *Driver) start(ctx context.Context, spec vmm.Spec, how launch) (vmm.Machine, error) {
	m, err := d.spawn(ctx, spec, how)
	if err != nil {
		return nil, fmt.Errorf("start Firecracker for %s: %w", spec.Name, err)
	}
	err = m.api.await(ctx, m.jail, m.process.Done())
	if err == nil {
		err = how.configure(m.api)
	}
	if err == nil {
		err = m.jail.strip(filepath.Base(d.binary))
	}
	if err != nil {
		output := vmm.OutputEnd(m.output)
		if killErr := m.Kill(context.WithoutCancel(ctx)); killErr != nil {
			d.log.ErrorContext(ctx, "kill a Firecracker that did not start", "sandbox", spec.Name, "error", killErr)
		}
		return nil, fmt.Errorf("start Firecracker for %s: %w (it printed: %s)", spec.Name, err, output)
	}
	return m, nil
}
