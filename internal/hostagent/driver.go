package hostagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/hostagent/choice"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/gvisor"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// driver is a VMM's driver that reports the VMM's version.
type driver interface {
	vmm.Driver
	Maker() vmm.Maker
}

// openDriver returns the driver that the configuration names, or else the one that
// suits the machine. storageDir is where the driver's VMs are.
func openDriver(ctx context.Context, config Config, storageDir string, images imageSource) (driver, error) {
	path := choice.Path(config.DataDir)
	known, err := choice.Read(path)
	if err != nil {
		if used, usedErr := isUsed(storageDir); used || usedErr != nil {
			return nil, errors.Join(usedErr, fmt.Errorf(`read which driver the data directory is used with: %w; `+
				`what is paused there restores with no other: write {"driver":%q}, {"driver":%q} or {"driver":%q} into that file`, err, DriverQEMU, DriverFirecracker, DriverGVisor))
		}
		config.Log.WarnContext(ctx, "remembered accelerator cannot be read, probing again", "error", err)
	}
	if config.Driver == DriverGVisor || config.Driver == DriverAuto && known.Driver == DriverGVisor {
		known.Driver = DriverGVisor // nothing of the machine is probed
		if err := choice.Write(path, known); err != nil {
			return nil, err
		}
		return gvisor.Open(ctx, config.Log)
	}
	answer, err := chooseAccelerator(ctx, config, images, known)
	if err != nil {
		return nil, err
	}
	installErr := firecracker.CheckInstalled()
	switch {
	case errors.Is(installErr, firecracker.ErrNotStatic):
		config.Log.WarnContext(ctx, "the installed Firecracker cannot be used", "reason", installErr)
	case installErr != nil && !errors.Is(installErr, firecracker.ErrNotInstalled):
		return nil, installErr
	}
	if answer.Driver, err = chooseDriver(config.Driver, known, answer.Accelerator, installErr); err != nil {
		return nil, err
	}
	if answer != known {
		if err := choice.Write(path, answer); err != nil {
			return nil, err
		}
	}
	if answer.Driver == DriverFirecracker {
		return firecracker.New(ctx, config.Log)
	}
	return qemu.New(ctx, answer.Accelerator, config.Log)
}

// isUsed reports whether a storage has sandboxes or snapshots, which only the VMM that
// made them can use.
func isUsed(storageDir string) (bool, error) {
	for _, name := range []string{sandboxDirectory, snapshotDirectory} {
		entries, err := os.ReadDir(filepath.Join(storageDir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), ".") { // guests held ready can be discarded
				return true, nil
			}
		}
	}
	return false, nil
}

// chooseDriver chooses by the configured driver, the driver of this data directory so
// far, whether KVM works, and installErr, which is why Firecracker cannot be used. A
// snapshot restores only with the VMM that made it, so a data directory keeps its
// driver until the configuration names another.
func chooseDriver(wanted string, known choice.Choice, accelerator string, installErr error) (string, error) {
	usable := installErr
	if usable == nil && accelerator != qemu.KVM {
		usable = errors.New("no guest boots under KVM on this machine")
	}
	switch {
	case wanted == DriverFirecracker && usable != nil:
		return "", fmt.Errorf("the configured driver is firecracker: %w", usable)
	case wanted != DriverAuto:
		return wanted, nil
	case known.Driver == DriverFirecracker && usable != nil:
		return "", fmt.Errorf("the data directory is used with firecracker: %w (--driver qemu gives up what is paused in it)", usable)
	case known.Driver != "":
		return known.Driver, nil
	case known != choice.Choice{} || usable != nil:
		return DriverQEMU, nil
	}
	return DriverFirecracker, nil
}
