package template

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// guestModules are the drivers that the guest agent loads by itself, in any
// image: those that mount volumes.
var guestModules = []string{"nfsv3"}

// guestModuleDirectory is where the guest agent looks for them.
const guestModuleDirectory = "usr/lib/wrenn/modules"

// installModules writes modules into the root file system, and the order in which
// they can be loaded: the guest has no depmod and needs none.
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

// installKernelModules puts all of the kernel's modules where modprobe looks for
// them: the guest's kernel loads each when something asks for what it does.
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
		// The guest's own, because it reads what this writes, and a host need not have one.
		if _, err := run(ctx, "/", "chroot", root, "depmod", "-a", version.Name()); err != nil {
			return fmt.Errorf("index the kernel's modules: %w", err)
		}
	}
	return nil
}
