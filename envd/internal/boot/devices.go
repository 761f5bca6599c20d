package boot

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/module"
)

// deviceLinks are what udev would make.
var deviceLinks = map[string]string{
	"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
}

// openToAll are the devices that udev's rules let every user open.
var openToAll = map[string]bool{"fuse": true, "net/tun": true}

// makeDevices makes links, and the nodes of devices whose drivers are loaded when they
// are opened.
func makeDevices() error {
	var failures []error
	for link, target := range deviceLinks {
		if err := os.Symlink(target, link); err != nil && !errors.Is(err, os.ErrExist) {
			failures = append(failures, err)
		}
	}
	devices, err := lateDevices()
	failures = append(failures, err)
	for _, device := range devices {
		failures = append(failures, makeNode("/dev", device))
	}
	return errors.Join(failures...)
}

// lateDevices are those of the bundle, or of the image's own modules.
func lateDevices() ([]module.Device, error) {
	if _, err := os.Stat(module.Bundle); err == nil {
		modules, err := module.Open(module.Bundle)
		if err != nil {
			return nil, err
		}
		return modules.Devices(), modules.Close()
	}
	lists, err := moduleLists("/")
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(filepath.Dir(lists), "modules.devname"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("make device nodes: %w", err)
	}
	defer file.Close()
	var devices []module.Device
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if device, ok := parseDevice(lines.Text()); ok {
			devices = append(devices, device)
		}
	}
	return devices, nil
}

// parseDevice reads a line "DRIVER NAME KINDmajor:minor" of modules.devname, which depmod
// writes.
func parseDevice(line string) (module.Device, bool) {
	var driver, number string
	var device module.Device
	if _, err := fmt.Sscan(line, &driver, &device.Name, &number); err != nil || strings.HasPrefix(line, "#") {
		return module.Device{}, false
	}
	if strings.Contains("/"+device.Name+"/", "/../") || number == "" {
		return module.Device{}, false
	}
	device.Block = number[0] == 'b'
	_, err := fmt.Sscanf(number[1:], "%d:%d", &device.Major, &device.Minor)
	return device, err == nil
}

func makeNode(directory string, device module.Device) error {
	const directoryMode, usual, everyone = 0o755, 0o600, 0o666
	path := filepath.Join(directory, device.Name)
	if err := os.MkdirAll(filepath.Dir(path), directoryMode); err != nil {
		return err
	}
	mode, kind := os.FileMode(usual), uint32(unix.S_IFCHR)
	if openToAll[device.Name] {
		mode = everyone
	}
	if device.Block {
		kind = unix.S_IFBLK
	}
	err := unix.Mknod(path, kind|uint32(mode), int(unix.Mkdev(device.Major, device.Minor)))
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make device node %s: %w", path, err)
	}
	return nil
}
