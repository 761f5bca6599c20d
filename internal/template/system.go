package template

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// release is the distribution of host and guest: the guest's packages come from the host's
// package sources.
type release struct {
	id       string // "debian" or "ubuntu"
	codename string // such as "bookworm"
}

// kernelPackages are each distribution's metapackages of the smallest kernel for virtual
// machines.
var kernelPackages = map[string]string{
	"debian": "linux-image-cloud-amd64",
	"ubuntu": "linux-image-virtual",
}

// system is a Debian root file system made of packages, and its kernel: the part of an
// image that takes long to make.
type system struct {
	release release
	diskMiB int
	hash    string
}

// Parts of a system's directory.
const (
	rootfsFile      = "rootfs.ext4"
	kernelDirectory = "kernel"
)

// systemVersion is raised when older systems must not be used any more.
const systemVersion = 1

// describeSystem hashes what the system is made of. Versions of packages are not part of
// it: a cached system is used until the list of packages changes.
func describeSystem(release release, diskMiB int) system {
	inputs := []string{fmt.Sprint(systemVersion), release.id, release.codename, fmt.Sprint(diskMiB)}
	inputs = append(inputs, guestPackages...)
	inputs = append(inputs, excludedPaths...)
	return system{release: release, diskMiB: diskMiB, hash: hashStrings(inputs...)}
}

// build makes the system's files in work.
func (s system) build(ctx context.Context, options ImageOptions, work string) error {
	archives := filepath.Join(options.CacheDir, packagesDirectory, s.release.id+"-"+s.release.codename)
	options.Progress("fetching the guest's kernel")
	kernel, err := fetchKernel(ctx, s.release, filepath.Join(archives, "kernel"), filepath.Join(work, kernelDirectory))
	if err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	options.Progress("installing Debian packages into the guest's root file system")
	if err := bootstrap(ctx, s.release, root, filepath.Join(archives, "system"), options.Progress); err != nil {
		return err
	}
	if err := installKernelModules(ctx, root, kernel); err != nil {
		return err
	}
	options.Progress("making the guest's disk")
	if err := formatRootfs(ctx, root, filepath.Join(work, rootfsFile), s.diskMiB); err != nil {
		return err
	}
	if err := os.RemoveAll(root); err != nil {
		return fmt.Errorf("remove %s: %w", root, err)
	}
	return nil
}

// hostRelease reads the host's distribution.
// Source: os-release(5).
func hostRelease() (release, error) {
	content, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return release{}, err
	}
	return parseRelease(content)
}

func parseRelease(content []byte) (release, error) {
	fields := make(map[string]string)
	for line := range bytes.Lines(content) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		fields[name] = strings.Trim(value, `"'`)
	}
	r := release{id: fields["ID"], codename: fields["VERSION_CODENAME"]}
	if kernelPackages[r.id] == "" || r.codename == "" {
		return release{}, fmt.Errorf("the host runs %q; guest images are built on Debian and Ubuntu", fields["PRETTY_NAME"])
	}
	return r, nil
}
