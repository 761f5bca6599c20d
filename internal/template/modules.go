package template

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

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
