package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/module"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// bringDirectory binds Wrenn's directory of the initramfs, read-only, into the root file
// system, and returns the settings that it covers. It is called before the root is
// entered.
func bringDirectory(words map[string]string) (Settings, error) {
	target := filepath.Join(newRoot, Directory)
	if err := makeMountPoint(target); err != nil {
		return Settings{}, err
	}
	settings, err := ReadSettings(target)
	if err != nil {
		complain(err) // the guest boots as one that has none
	}
	if word, set := words[initWord]; set {
		settings.Init = word
	}
	complain(dropModules(newRoot))
	stored, err := storedModules(newRoot)
	complain(err)
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return Settings{}, fmt.Errorf("bring %s into the guest: %w", Directory, err)
	}
	// A time of access would be a write, in each clone, for reading a file.
	const readOnly = unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOATIME
	if err := unix.Mount("", target, "", readOnly, ""); err != nil {
		return Settings{}, fmt.Errorf("make %s read-only: %w", Directory, err)
	}
	if stored != nil {
		complain(stored.cover(filepath.Join(newRoot, module.Bundle)))
	}
	return settings, nil
}

// storedBundle is a copy on the disk of the bundle of kernel modules. It takes up no memory.
type storedBundle struct{ file *os.File }

// StoredBundleName is the copy's file in Wrenn's directory on the disk.
func StoredBundleName() (string, error) {
	lists, err := moduleLists("")
	if err != nil {
		return "", err
	}
	return "modules-" + filepath.Base(filepath.Dir(lists)) + ".zip", nil
}

// storedModules returns the disk's copy, if it has the size of the bundle, and empties the
// one in memory.
func storedModules(root string) (*storedBundle, error) {
	inMemory := filepath.Join(source, filepath.Base(module.Bundle))
	want, err := os.Stat(inMemory)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	name, err := StoredBundleName()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(root, Directory, name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have, err := file.Stat()
	if err != nil || !have.Mode().IsRegular() || have.Size() != want.Size() {
		return nil, errors.Join(err, file.Close())
	}
	return &storedBundle{file: file}, os.Truncate(inMemory, 0)
}

// cover binds the copy over the empty file of the bundle.
func (s *storedBundle) cover(path string) error {
	err := utils.WithDescriptor(s.file, func(opened int) error {
		return unix.Mount(fmt.Sprintf("/proc/self/fd/%d", opened), path, "", unix.MS_BIND, "")
	})
	if err != nil {
		err = fmt.Errorf("use the disk's copy of the kernel's modules: %w", err)
	}
	return errors.Join(err, s.file.Close())
}

// makeMountPoint makes a directory unless there is one. A link in its place would have
// the mount elsewhere.
func makeMountPoint(path string) error {
	const mode = 0o755
	if err := os.Mkdir(path, mode); err == nil || !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("the image has a file at %s, where Wrenn's directory belongs", Directory)
	}
	return nil
}

// dropModules removes the bundle of kernel modules, which takes up memory, if the image
// has the modules of this kernel.
func dropModules(root string) error {
	lists, err := moduleLists(root)
	if err != nil {
		return err
	}
	if _, err := os.Stat(lists); err != nil {
		return nil //nolint:nilerr // the image does not have them
	}
	err = os.Remove(filepath.Join(source, filepath.Base(module.Bundle)))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// moduleLists is where depmod has written what modprobe reads of this kernel.
func moduleLists(root string) (string, error) {
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		return "", fmt.Errorf("ask for the kernel's version: %w", err)
	}
	return filepath.Join(root, "lib/modules", unix.ByteSliceToString(system.Release[:]), "modules.dep"), nil
}

// complain says on the console what did not work. The boot goes on: an unreachable
// sandbox tells less than one that lacks something.
func complain(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "wrenn:", err)
	}
}
