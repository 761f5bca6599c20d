// Package qemu runs microVMs with QEMU's microvm machine, under KVM or under software
// emulation (TCG). Probe tests whether a guest boots under KVM.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Binary is the program the driver runs, found on PATH.
const Binary = "qemu-system-x86_64"

// Accelerators of QEMU.
const (
	KVM = "kvm"
	TCG = "tcg"
)

// Driver starts QEMU processes. Make one with New.
type Driver struct {
	binary      string
	accelerator string
	version     string // as QEMU prints it
	log         *slog.Logger
}

var _ vmm.Driver = (*Driver)(nil)

// New returns a driver that uses the given accelerator, "kvm" or "tcg".
// Probe tells which one works on this machine.
func New(ctx context.Context, accelerator string, log *slog.Logger) (*Driver, error) {
	if accelerator != KVM && accelerator != TCG {
		return nil, fmt.Errorf("unknown QEMU accelerator %q", accelerator)
	}
	binary, err := exec.LookPath(Binary)
	if err != nil {
		return nil, fmt.Errorf("%s is not installed; run: apt-get install qemu-system-x86", Binary)
	}
	if accelerator == TCG {
		if err := forgoHugePages(); err != nil {
			return nil, err
		}
	}
	version, err := Version(ctx)
	if err != nil {
		return nil, err
	}
	return &Driver{binary: binary, accelerator: accelerator, version: version, log: log}, nil
}

// forgoHugePages turns huge pages off for this process and all that it starts. An
// emulating QEMU asks for them for its translated code, and the kernel would zero 20 MiB
// for each guest that answers one request. Guest memory is a file's and has none.
// Source: PR_SET_THP_DISABLE(2const), which exec keeps.
func forgoHugePages() error {
	if err := unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forgo huge pages: %w", err)
	}
	return nil
}

// Name is the driver's name.
const Name = "qemu"

// Name returns the driver's name.
func (d *Driver) Name() string { return Name }

// Accelerator is "kvm" or "tcg".
func (d *Driver) Accelerator() string { return d.accelerator }

// Bounds of a guest's vCPUs. Under emulation each has a thread: guests with eight of them
// boot and restore on two CPUs, and many more that wait for each other do not in time.
const (
	mostVCPUs           = 240
	mostEmulatedVCPUs   = 8
	emulatedVCPUsPerCPU = 2
)

// Capabilities are a bound of vCPUs.
func (d *Driver) Capabilities() vmm.Capabilities {
	if d.accelerator == TCG {
		return vmm.Capabilities{MostVCPUs: max(mostEmulatedVCPUs, emulatedVCPUsPerCPU*runtime.NumCPU())}
	}
	return vmm.Capabilities{MostVCPUs: mostVCPUs}
}

// Maker is the MadeBy of this driver's snapshots.
func (d *Driver) Maker() vmm.Maker {
	return vmm.Maker{Driver: d.Name(), Accelerator: d.accelerator, Version: d.version}
}

// Boot starts a kernel in fresh memory.
func (d *Driver) Boot(ctx context.Context, spec vmm.Spec, boot vmm.Boot) (vmm.Machine, error) {
	arguments := append(d.hardware(spec, boot.MemoryPath),
		"-kernel", boot.KernelPath,
		"-initrd", boot.InitramfsPath,
		"-append", d.commandLine(boot.CommandLine))
	return d.start(ctx, spec, launch{arguments: arguments, files: []string{boot.MemoryPath, boot.KernelPath, boot.InitramfsPath}})
}

// commandLine adds what an emulated guest need not do: measure its clocks, and guard
// indirect calls against speculation, which emulation does not have; each guard would
// be more code to translate.
func (d *Driver) commandLine(line string) string {
	if d.accelerator != TCG {
		return line
	}
	line += " mitigations=off"
	if rate := CounterKHz(); rate > 0 {
		line += fmt.Sprintf(" tsc_early_khz=%d", rate)
	}
	return line
}

// Restore starts a machine from a snapshot.
func (d *Driver) Restore(ctx context.Context, spec vmm.Spec, from vmm.State) (vmm.Machine, error) {
	if err := d.Maker().Restores(from.MadeBy); err != nil {
		return nil, err
	}
	devices, err := os.Open(from.DevicesPath)
	if err != nil {
		return nil, fmt.Errorf("open device state: %w", err)
	}
	defer devices.Close()
	arguments := append(d.hardware(spec, from.MemoryPath), "-incoming", fmt.Sprintf("fd:%d", devicesFD))
	return d.start(ctx, spec, launch{arguments: arguments, files: []string{from.MemoryPath}, devices: devices})
}

// launch is how a QEMU is started.
type launch struct {
	arguments []string
	// files are those that QEMU opens itself, the memory first.
	files []string
	// devices is the state of CPUs and devices to restore; nil for a boot.
	devices *os.File
}

func (d *Driver) start(ctx context.Context, spec vmm.Spec, how launch) (vmm.Machine, error) {
	if spec.User <= 0 {
		return nil, fmt.Errorf("start QEMU for %s: %w", spec.Name, vmm.ErrNoUser)
	}
	opener, err := newMemoryOpener(how.files[0])
	if err != nil {
		return nil, fmt.Errorf("start QEMU for %s: %w", spec.Name, err)
	}
	m, err := d.spawn(spec, how, opener)
	if err != nil {
		return nil, fmt.Errorf("start QEMU for %s: %w", spec.Name, errors.Join(err, opener.close()))
	}
	err = m.awaitRunning(ctx)
	if err == nil {
		err = opener.end()
	} else {
		err = errors.Join(err, opener.close())
	}
	if err != nil {
		output := vmm.OutputEnd(m.output)
		killErr := m.Kill(context.WithoutCancel(ctx))
		if killErr != nil {
			d.log.ErrorContext(ctx, "kill a QEMU that did not start", "sandbox", spec.Name, "error", killErr)
		}
		return nil, fmt.Errorf("start QEMU for %s: %w (QEMU printed: %s)", spec.Name, err, output)
	}
	return m, nil
}
