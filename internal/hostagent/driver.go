package hostagent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// openDriver returns the driver that the configuration asks for, or that suits
// the machine, and what its VMM calls itself.
func openDriver(ctx context.Context, config Config, image template.Image) (vmm.Driver, string, error) {
	path := filepath.Join(config.DataDir, "accelerator.json")
	known, err := readChoice(path)
	if err != nil {
		config.Log.Warn("remembered accelerator cannot be read, probing again", "error", err)
	}
	answer, err := chooseAccelerator(ctx, config, image, known)
	if err != nil {
		return nil, "", err
	}
	_, installErr := firecracker.New(config.Log)
	if installErr != nil && !errors.Is(installErr, firecracker.ErrNotInstalled) {
		return nil, "", installErr
	}
	if answer.Driver, err = chooseDriver(config.Driver, known, answer.Accelerator, installErr); err != nil {
		return nil, "", err
	}
	if answer != known {
		if err := writeChoice(path, answer); err != nil {
			return nil, "", err
		}
	}
	if answer.Driver == DriverFirecracker {
		return openFirecracker(ctx, config)
	}
	return openQEMU(ctx, config, answer.Accelerator)
}

// chooseDriver decides by what is asked for, what this data directory has been
// used with, whether KVM works, and why Firecracker is not installed, if it is
// not. A snapshot restores only with the VMM that made it, so a data directory
// stays with the driver it began with until somebody says otherwise.
func chooseDriver(wanted string, known choice, accelerator string, installErr error) (string, error) {
	usable := installErr
	if usable == nil && accelerator != qemu.KVM {
		usable = errors.New("no guest boots under KVM on this machine")
	}
	switch {
	case wanted == DriverFirecracker && usable != nil:
		return "", fmt.Errorf("the driver firecracker was asked for: %w", usable)
	case wanted != DriverAuto:
		return wanted, nil
	case known.Driver == DriverFirecracker && usable != nil:
		return "", fmt.Errorf("the data directory is used with firecracker: %w (--driver qemu gives up what is paused in it)", usable)
	case known.Driver != "":
		return known.Driver, nil
	case known != choice{} || usable != nil:
		return DriverQEMU, nil
	}
	return DriverFirecracker, nil
}

func openFirecracker(ctx context.Context, config Config) (vmm.Driver, string, error) {
	version, err := firecracker.Version(ctx)
	if err != nil {
		return nil, "", err
	}
	driver, err := firecracker.New(config.Log)
	return driver, version, err
}

func openQEMU(ctx context.Context, config Config, accelerator string) (vmm.Driver, string, error) {
	version, err := qemu.Version(ctx)
	if err != nil {
		return nil, "", err
	}
	driver, err := qemu.New(accelerator, config.Log)
	return driver, version, err
}
