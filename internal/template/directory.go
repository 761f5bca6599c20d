package template

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/network"
)

// guestFiles are scripts and settings of Wrenn's directory.
//
//go:embed guest
var guestFiles embed.FS

// directory is Wrenn's directory, which every guest has at /.wrenn, read-only: all that
// Wrenn needs in an image. It is sorted by path.
type directory []file

// file is a file, or a symbolic link, of Wrenn's directory.
type file struct {
	path    string // relative
	mode    os.FileMode
	content []byte
	link    string // the target of a link; empty for a file
}

// agentPath is the guest agent in Wrenn's directory.
const agentPath = "bin/envd"

// bundlePath is the bundle of kernel modules in Wrenn's directory.
const bundlePath = "modules.zip"

// describeDirectory returns Wrenn's directory, without busybox and the kernel's modules,
// which are of the system.
func describeDirectory(agent []byte) (directory, error) {
	description, err := describeNetwork()
	if err != nil {
		return nil, err
	}
	all := directory{
		{path: agentPath, mode: 0o755, content: agent},
		{path: "bin/init", link: "envd"},
		{path: "bin/modprobe", link: "envd"},
		{path: "bin/socat", link: "envd"},
		{path: "prepare", link: agentPath},
		{path: "network.json", mode: 0o644, content: description},
	}
	for _, f := range []file{{path: "bin/bash", mode: 0o755}, {path: "supervise", mode: 0o755}, {path: "sysctl.conf", mode: 0o644}} {
		if f.content, err = guestFiles.ReadFile(path.Join("guest", path.Base(f.path))); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// describeNetwork is the description of the guest's network that the guest agent reads.
func describeNetwork() ([]byte, error) {
	address, err := netip.ParseAddr(network.GuestIP)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"address": netip.PrefixFrom(address, network.GuestPrefixLength), "gateway": network.GatewayIP, "gatewayMAC": network.GatewayMAC,
	})
}

// withSystem adds busybox and the bundle of modules.
func (d directory) withSystem(kernel Kernel, bundle string) (directory, error) {
	busybox, err := os.ReadFile(kernel.Busybox())
	if err != nil {
		return nil, fmt.Errorf("read busybox: %w", err)
	}
	modules, err := os.ReadFile(bundle)
	if err != nil {
		return nil, fmt.Errorf("read the bundle of modules: %w", err)
	}
	all := append(slices.Clone(d), file{path: "bin/busybox", mode: 0o755, content: busybox}, file{path: bundlePath, mode: 0o644, content: modules})
	slices.SortFunc(all, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// write writes the directory to the host, where guests without an initramfs have it from.
func (d directory) write(target string) error {
	const directoryMode = 0o755
	for _, f := range d {
		path := filepath.Join(target, f.path)
		err := os.MkdirAll(filepath.Dir(path), directoryMode)
		switch {
		case err != nil:
		case f.link != "":
			err = os.Symlink(f.link, path)
		default:
			err = errors.Join(os.WriteFile(path, f.content, f.mode), os.Chmod(path, f.mode))
		}
		if err != nil {
			return fmt.Errorf("write Wrenn's directory: %w", err)
		}
	}
	return nil
}
