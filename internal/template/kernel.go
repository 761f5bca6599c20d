package template

import (
	"context"
	"fmt"
	"path/filepath"
)

// Kernel is the kernel that guests run, with all its modules, unpacked into a
// directory of its own; busybox lies beside it.
type Kernel struct {
	directory string
}

// FetchKernel downloads the kernel of the host's distribution into an existing
// directory and unpacks it there. Nothing is installed. It needs root.
func FetchKernel(ctx context.Context, directory string) (Kernel, error) {
	release, err := hostRelease()
	if err != nil {
		return Kernel{}, fmt.Errorf("fetch kernel: %w", err)
	}
	unpacked, err := fetchKernel(ctx, release, directory)
	if err != nil {
		return Kernel{}, fmt.Errorf("fetch kernel: %w", err)
	}
	return Kernel{directory: unpacked}, nil
}

// WriteBoot writes the kernel's image, and the initramfs that mounts /dev/vda
// and hands over to its /sbin/init.
func (k Kernel) WriteBoot(kernelPath, initramfsPath string) error {
	if err := installKernel(k.directory, kernelPath); err != nil {
		return fmt.Errorf("write kernel: %w", err)
	}
	init, err := guestFiles.ReadFile("guest/initramfs-init")
	if err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	return writeInitramfs(initramfsPath, k.directory, init)
}

// Modules is the directory that belongs at /lib/modules.
func (k Kernel) Modules() string { return filepath.Join(k.directory, "lib", "modules") }

// Busybox is the program's path.
func (k Kernel) Busybox() string { return filepath.Join(k.directory, "bin", "busybox") }
