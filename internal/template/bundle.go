package template

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// bundledModules are directories of a kernel's modules: those without drivers of hardware.
var bundledModules = []string{
	"arch", "block", "crypto", "fs", "lib", "mm", "net", "virt",
	"drivers/block", "drivers/cdrom", "drivers/char", "drivers/md", "drivers/net", "drivers/target", "drivers/vhost", "drivers/virtio",
}

// unbundledModules are directories in these with drivers of hardware.
var unbundledModules = []string{
	"drivers/net/ethernet", "drivers/net/hyperv", "drivers/net/phy", "drivers/net/usb", "drivers/net/vmxnet3", "drivers/net/wireless",
	"drivers/net/wwan", "drivers/net/xen-netback",
}

// extraModules are in the bundle from other directories.
var extraModules = []string{"iscsi_tcp", "sd_mod", "sg", "sr_mod", "uinput", "virtio_scsi"}

// bundleVersion is part of a bundle's file name, and is raised when older ones must not be
// used any more.
const bundleVersion = 1

// ensureBundle makes the bundle of a system's kernel modules, unless it is there, and
// returns its path. The caller holds the cache's lock.
func ensureBundle(systemDirectory string, kernel Kernel) (path string, err error) {
	path = filepath.Join(systemDirectory, fmt.Sprintf("modules-%d.zip", bundleVersion))
	if _, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return path, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("bundle the kernel's modules: %w", err)
		}
	}()
	work := path + unfinishedSuffix
	if err := writeBundle(work, kernel); err != nil {
		return "", errors.Join(err, os.Remove(work))
	}
	return path, os.Rename(work, path)
}

// writeBundle writes a zip archive of modules, with their signatures, and an index of them
// for the guest agent. Each module is compressed by itself, so that one is read quickly.
func writeBundle(path string, kernel Kernel) (err error) {
	modules, err := selectModules(kernel)
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	archive := zip.NewWriter(file)
	archive.RegisterCompressor(zip.Deflate, func(into io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(into, flate.BestCompression)
	})
	entry := func(name string, content []byte) error {
		into, err := archive.Create(name)
		if err == nil {
			_, err = into.Write(content)
		}
		return err
	}
	if err := entry("index", indexOf(modules)); err != nil {
		return err
	}
	for _, m := range modules {
		if err := entry(m.name, m.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

// selectModules reads the modules of a bundle, each after those it depends on.
func selectModules(kernel Kernel) ([]module, error) {
	root, err := kernel.moduleRoot()
	if err != nil {
		return nil, err
	}
	finder, err := newModuleFinder(root)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(finder.files)) {
		relative, err := filepath.Rel(filepath.Join(root, "kernel"), finder.files[name])
		if err != nil {
			return nil, err
		}
		below := func(directory string) bool { return strings.HasPrefix(relative, directory+"/") }
		wanted := slices.ContainsFunc(bundledModules, below) && !slices.ContainsFunc(unbundledModules, below)
		if !wanted && !slices.Contains(extraModules, name) {
			continue
		}
		if err := finder.add(name); err != nil {
			return nil, err
		}
	}
	return finder.found, nil
}

// indexOf describes modules, a line each for a module with its dependencies, an alias, and
// a device whose driver is loaded when it is opened. Aliases of hardware are left out:
// a device that appears is known to the initramfs.
func indexOf(modules []module) []byte {
	var index bytes.Buffer
	for _, m := range modules {
		name := strings.TrimSuffix(m.name, ".ko")
		needs := dependencies(m.content)
		for i := range needs {
			needs[i] = canonical(needs[i])
		}
		fmt.Fprintln(&index, strings.TrimSpace("module "+name+" "+strings.Join(needs, ",")))
		device, number := "", ""
		for _, alias := range fieldsOf(m.content, "alias") {
			if found, is := strings.CutPrefix(alias, "devname:"); is {
				device = found
			}
			if numbered, is := parseDeviceAlias(alias); is {
				number = numbered
			}
			if !strings.ContainsAny(alias, ": \t") {
				fmt.Fprintf(&index, "alias %s %s\n", canonical(alias), name)
			}
		}
		if device != "" && number != "" && fs.ValidPath(device) {
			fmt.Fprintf(&index, "device %s %s\n", device, number)
		}
	}
	return index.Bytes()
}

// parseDeviceAlias reads "char-major-10-200" and "block-major-7-0" as a device's number.
func parseDeviceAlias(alias string) (number string, is bool) {
	for prefix, kind := range map[string]string{"char-major-": "c", "block-major-": "b"} {
		var major, minor uint32
		numbers, found := strings.CutPrefix(alias, prefix)
		if !found {
			continue
		}
		if _, err := fmt.Sscanf(numbers, "%d-%d", &major, &minor); err != nil {
			return "", false // of all minor numbers
		}
		return fmt.Sprintf("%s %d %d", kind, major, minor), true
	}
	return "", false
}
