package template

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kernel is the guests' kernel with its modules, and busybox, unpacked into a directory.
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
	kernel, err := fetchKernel(ctx, release, directory, filepath.Join(directory, "unpacked"))
	if err != nil {
		return Kernel{}, fmt.Errorf("fetch kernel: %w", err)
	}
	return kernel, nil
}

// WriteBoot writes the kernel's image, and an initramfs with only the guest agent, which
// starts the program of /dev/vda that wrenn.init=PATH on the kernel's command line names.
func (k Kernel) WriteBoot(kernelPath, initramfsPath string, agent []byte) error {
	if err := installKernel(k.directory, kernelPath); err != nil {
		return fmt.Errorf("write kernel: %w", err)
	}
	only := directory{{path: agentPath, mode: 0o755, content: agent}}
	if err := writeInitramfs(initramfsPath, k.directory, only); err != nil {
		return fmt.Errorf("write initramfs: %w", err)
	}
	return nil
}

// Modules is the directory that belongs at /lib/modules.
func (k Kernel) Modules() string {
	split := filepath.Join(k.directory, "lib", "modules")
	if _, err := os.Stat(split); err != nil {
		return filepath.Join(k.directory, "usr", "lib", "modules")
	}
	return split
}

// moduleRoot is the directory of the kernel's modules, named by its version.
func (k Kernel) moduleRoot() (string, error) {
	roots, err := filepath.Glob(filepath.Join(k.Modules(), "*"))
	if err != nil {
		return "", err
	}
	if len(roots) != 1 {
		return "", fmt.Errorf("the kernel package holds modules of %d kernels, want 1", len(roots))
	}
	return roots[0], nil
}

// Busybox is the program's path.
func (k Kernel) Busybox() string {
	split := filepath.Join(k.directory, "bin", "busybox")
	if _, err := os.Stat(split); err != nil {
		return filepath.Join(k.directory, "usr", "bin", "busybox")
	}
	return split
}

// fetchKernel downloads the packages of the kernel and busybox into archives, unless they
// are there, and unpacks them. Nothing is installed on the host.
func fetchKernel(ctx context.Context, release release, archives, unpacked string) (Kernel, error) {
	if err := os.MkdirAll(archives, 0o755); err != nil {
		return Kernel{}, err
	}
	names, err := downloadKernel(ctx, release, archives)
	if err != nil {
		// The package lists may be missing, or so old that they name a removed version.
		if _, updateErr := run(ctx, "/", "apt-get", "update"); updateErr != nil {
			return Kernel{}, errors.Join(err, updateErr)
		}
		if names, err = downloadKernel(ctx, release, archives); err != nil {
			return Kernel{}, err
		}
	}
	for _, name := range names {
		if _, err := run(ctx, "/", "dpkg-deb", "-x", filepath.Join(archives, name), unpacked); err != nil {
			return Kernel{}, err
		}
	}
	return Kernel{directory: unpacked}, removeOtherArchives(archives, names)
}

// downloadKernel returns the names of the archives.
func downloadKernel(ctx context.Context, release release, archives string) ([]string, error) {
	kernel, err := resolveKernel(ctx, release)
	if err != nil {
		return nil, err
	}
	wanted := append(kernel, "busybox-static")
	download := append([]string{"-o", "APT::Sandbox::User=root", "download"}, wanted...)
	if _, err := run(ctx, archives, "apt-get", download...); err != nil {
		return nil, err
	}
	// apt-get leaves out archives that are in the current directory: use another.
	listed, err := run(ctx, "/", "apt-get", append([]string{"--print-uris"}, download...)...)
	if err != nil {
		return nil, err
	}
	names := archiveNames(listed)
	if len(names) != len(wanted) {
		return nil, fmt.Errorf("apt-get names %d archives for %s", len(names), strings.Join(wanted, ", "))
	}
	return names, nil
}

// archiveNames reads the lines of apt-get --print-uris: 'address' name size sum.
func archiveNames(listed string) []string {
	var names []string
	for line := range strings.Lines(listed) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[0], "'") && strings.HasSuffix(fields[1], ".deb") {
			names = append(names, filepath.Base(fields[1]))
		}
	}
	return names
}

// removeOtherArchives keeps a cache from growing with each version.
func removeOtherArchives(directory string, kept []string) error {
	archives, err := filepath.Glob(filepath.Join(directory, "*.deb"))
	if err != nil {
		return err
	}
	var failures []error
	for _, archive := range archives {
		if !slices.Contains(kept, filepath.Base(archive)) {
			failures = append(failures, os.Remove(archive))
		}
	}
	return errors.Join(failures...)
}

// resolveKernel finds the packages that the metapackage depends on: the kernel, and its
// modules where they are another package.
func resolveKernel(ctx context.Context, release release) ([]string, error) {
	output, err := run(ctx, "/", "apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
		"--no-breaks", "--no-replaces", "--no-enhances", kernelPackages[release.id])
	if err != nil {
		return nil, err
	}
	var packages []string
	for line := range strings.Lines(output) {
		name := strings.TrimSpace(line)
		isKernel := strings.HasPrefix(name, "linux-image-") || strings.HasPrefix(name, "linux-modules-")
		if line != "" && line[0] != ' ' && isKernel && name != kernelPackages[release.id] {
			packages = append(packages, name)
		}
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("package %s is not known; run: apt-get update", kernelPackages[release.id])
	}
	return packages, nil
}

// installKernel copies the one kernel that was unpacked.
func installKernel(unpacked, target string) error {
	kernels, err := filepath.Glob(filepath.Join(unpacked, "boot", "vmlinuz-*"))
	if err != nil {
		return err
	}
	if len(kernels) != 1 {
		return fmt.Errorf("the kernel package holds %d kernels, want 1", len(kernels))
	}
	content, err := os.ReadFile(kernels[0])
	if err != nil {
		return err
	}
	return os.WriteFile(target, content, 0o644)
}
