package prepare

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/boot"
	"git.omukk.dev/wrenn/sandbox/envd/internal/module"
)

// Names of what the first program becomes, in reports and for the flag.
const (
	initWrenn   = "wrenn"
	initSystemd = boot.InitSystemd
)

// below is where the root file system is seen without what is mounted in it.
const below = "/run/wrenn/below"

func readGateway() (netip.Addr, error) {
	network, err := boot.ReadNetwork()
	return network.Gateway, err
}

// chooseInit writes the choice for the next boot; an empty name changes nothing.
func (i image) chooseInit(name string) (err error) {
	_, missing := boot.FindSystemd()
	i.report.Systemd = missing == nil
	switch {
	case name != "" && name != initWrenn && name != initSystemd:
		return fmt.Errorf("an init %q is not known: there are %q and %q", name, initWrenn, initSystemd)
	case name == initSystemd && missing != nil:
		return missing
	}
	const onlyRoot, directoryMode = 0o700, 0o755
	if err := os.MkdirAll(below, onlyRoot); err != nil {
		return err
	}
	if err := unix.Mount("/", below, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("see the disk: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(below, unix.MNT_DETACH), os.Remove(below)) }()
	directory := filepath.Join(below, boot.Directory)
	if err := os.MkdirAll(directory, directoryMode); err != nil {
		return err
	}
	settings, err := boot.ReadSettings(directory)
	if err != nil {
		i.note("the image brings settings that cannot be read, which are replaced: %v", err)
		if name == "" {
			name = initWrenn
		}
		if err := os.RemoveAll(filepath.Join(directory, boot.SettingsFile)); err != nil {
			return err
		}
	}
	switch name {
	case initWrenn:
		settings.Init = ""
	case initSystemd:
		settings.Init = initSystemd
	}
	i.report.Init = initWrenn
	if settings.Init != "" {
		i.report.Init = settings.Init
	}
	if err := storeModules(directory); err != nil {
		return err
	}
	if name == "" {
		return nil
	}
	return writeSettings(directory, settings)
}

// storeModules copies the bundle of kernel modules to the disk, where it takes up no
// memory, unless the disk has it. Bundles of other kernels are removed.
func storeModules(directory string) error {
	name, err := boot.StoredBundleName()
	if err != nil {
		return err
	}
	bundle, err := os.ReadFile(module.Bundle)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the image has modules of its own
	}
	if err != nil {
		return err
	}
	older, err := filepath.Glob(filepath.Join(directory, "modules-*.zip"))
	if err != nil {
		return err
	}
	target := filepath.Join(directory, name)
	for _, path := range older {
		info, err := os.Lstat(path)
		if err == nil && path == target && info.Mode().IsRegular() && info.Size() == int64(len(bundle)) {
			return nil
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	const mode = 0o644
	return editedFile{path: target, mode: mode}.replace(bundle)
}

func writeSettings(directory string, settings boot.Settings) error {
	const mode = 0o644
	file, err := openEdited(filepath.Join(directory, boot.SettingsFile), mode, maxFileBytes)
	if err != nil {
		return err
	}
	content, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	return file.replace(content)
}
