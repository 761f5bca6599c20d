package template

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// guestModules are the drivers that the guest agent itself loads, in any image, to mount
// volumes.
var guestModules = []string{"nfsv3"}

// guestModuleDirectory is where the guest agent looks for them.
const guestModuleDirectory = "usr/lib/wrenn/modules"

// installModules writes the guest agent's modules into the root file system, and the order
// in which to load them, so that an image needs no depmod.
func installModules(root, unpacked string) error {
	modules, err := findModules(unpacked, guestModules)
	if err != nil {
		return err
	}
	directory := filepath.Join(root, guestModuleDirectory)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("install the guest's modules: %w", err)
	}
	var order bytes.Buffer
	for _, module := range modules {
		fmt.Fprintln(&order, module.name)
		if err := os.WriteFile(filepath.Join(directory, module.name), module.content, 0o644); err != nil {
			return fmt.Errorf("install the guest's modules: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(directory, "order"), order.Bytes(), 0o644); err != nil {
		return fmt.Errorf("install the guest's modules: %w", err)
	}
	return nil
}

// installKernelModules installs all of the kernel's modules for modprobe: the guest's
// kernel loads each on demand.
func installKernelModules(ctx context.Context, root string, kernel Kernel) error {
	target := filepath.Join(root, "usr", "lib", "modules")
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("install the kernel's modules: %w", err)
	}
	if _, err := run(ctx, "/", "cp", "-a", kernel.Modules()+"/.", target); err != nil {
		return fmt.Errorf("install the kernel's modules: %w", err)
	}
	versions, err := os.ReadDir(target)
	if err != nil {
		return fmt.Errorf("install the kernel's modules: %w", err)
	}
	for _, version := range versions {
		// The guest's own depmod fits its modprobe, and the host may have none.
		if _, err := run(ctx, "/", "chroot", root, "depmod", "-a", version.Name()); err != nil {
			return fmt.Errorf("index the kernel's modules: %w", err)
		}
	}
	return nil
}
