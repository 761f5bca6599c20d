package firecracker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Paths in a jail, as Firecracker sees them.
const (
	jailSocket         = "/api.sock"
	jailDisk           = "/disk"
	jailMemory         = "/memory"
	jailDevices        = "/devices"
	jailKernel         = "/kernel"
	jailInitramfs      = "/initramfs"
	jailMemoryTarget   = "/snapshot-memory"
	jailDevicesTarget  = "/snapshot-devices"
	jailDeviceNodes    = "dev" // the jailer makes this directory and the next
	jailSocketsPlace   = "run"
	jailPIDFileSuffix  = ".pid"
	jailDirectory      = "jail" // in the machine's run directory
	jailRootPermission = 0o755  // the directories above it are root's alone
)

// sharedGroup is the group of all machines, which may read the memory files of
// snapshots. No distribution assigns this number.
const sharedGroup = 947_213

// jail is the root directory of one Firecracker. It is accessed by descriptor, because
// the machine's directory may be renamed while it runs. Firecracker, which a guest may
// have taken over, can write to it, so no link in it is followed.
type jail struct {
	root *os.File
	user int
	disk *os.File // the machine's, by descriptor as it may be moved; nil until it is lent
}

// makeJail makes an empty jail in a machine's run directory, where the jailer expects
// it, and removes an old one.
func makeJail(spec vmm.Spec, program string) (*jail, error) {
	base := filepath.Join(spec.RunDir, jailDirectory)
	if err := os.RemoveAll(base); err != nil {
		return nil, fmt.Errorf("remove an old jail: %w", err)
	}
	path := filepath.Join(base, program, jailID(spec.Name), "root")
	if err := os.MkdirAll(path, jailRootPermission); err != nil {
		return nil, fmt.Errorf("make jail: %w", err)
	}
	if err := os.Chown(path, spec.User, sharedGroup); err != nil {
		return nil, fmt.Errorf("make jail: %w", err)
	}
	return openJail(path)
}

// findJail finds the jail of a running machine, which may have been started under another
// name.
func findJail(spec vmm.Spec) (*jail, error) {
	roots, err := filepath.Glob(filepath.Join(escapeGlob(spec.RunDir), jailDirectory, "*", "*", "root"))
	if err != nil {
		return nil, fmt.Errorf("find jail: %w", err)
	}
	if len(roots) != 1 {
		return nil, fmt.Errorf("find jail: %s holds %d of them, not one", spec.RunDir, len(roots))
	}
	return openJail(roots[0])
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

func openJail(path string) (*jail, error) {
	root, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open jail: %w", err)
	}
	info, err := root.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open jail: %w", err), root.Close())
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.Join(errors.New("open jail: its owner is not known"), root.Close())
	}
	return &jail{root: root, user: int(owner.Uid)}, nil
}

// jailID is a machine's name in the form that the jailer accepts.
func jailID(name string) string {
	const longest = 64
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
	return "vm-" + id[:min(len(id), longest-len("vm-"))]
}

// path is the path of a jail's file for this process.
func (j *jail) path(name string) string {
	return fmt.Sprintf("/proc/self/fd/%d%s", j.root.Fd(), name)
}

// lendDisk links the disk into the jail and makes it Firecracker's, until takeBackDisk.
func (j *jail) lendDisk(path string) error {
	return errors.Join(j.lend(path, jailDisk), j.knowDisk(path))
}

// knowDisk opens the disk that is lent.
func (j *jail) knowDisk(path string) (err error) {
	if j.disk, err = os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0); err != nil {
		return fmt.Errorf("open a disk that is lent: %w", err)
	}
	return nil
}

// takeBackDisk makes the disk root's again: a later machine may get the same user, which
// must not have access to it.
func (j *jail) takeBackDisk() error {
	if j.disk == nil {
		return nil
	}
	const root = 0
	err := os.Chown(fmt.Sprintf("/proc/self/fd/%d", j.disk.Fd()), root, root)
	j.forgetDisk()
	if err != nil {
		return fmt.Errorf("take a disk back: %w", err)
	}
	return nil
}

func (j *jail) forgetDisk() {
	if j.disk != nil {
		j.disk.Close()
		j.disk = nil
	}
}

// lend links a file into the jail and makes it Firecracker's.
func (j *jail) lend(path, name string) error {
	if err := os.Link(path, j.path(name)); err != nil {
		return fmt.Errorf("lend %s: %w", path, err)
	}
	return os.Chown(path, j.user, sharedGroup)
}

// takeBack reverts lend.
func (j *jail) takeBack(path, name string) error {
	const root = 0
	return errors.Join(os.Chown(path, root, root), j.remove(name))
}

// lendMemory links a memory file into the jail and lets the group of all machines read
// it.
func (j *jail) lendMemory(path string) error {
	if err := os.Link(path, j.path(jailMemory)); err != nil {
		return fmt.Errorf("lend memory %s: %w", path, err)
	}
	const rootOnly, ownerAndGroup = 0, 0o640
	return errors.Join(os.Chown(path, rootOnly, sharedGroup), os.Chmod(path, ownerAndGroup))
}

func (j *jail) copyIn(path, name string) error {
	if err := disk.CopySparse(path, j.path(name)); err != nil {
		return err
	}
	return os.Chown(j.path(name), j.user, sharedGroup)
}

func (j *jail) unpackKernel(path string) error {
	if err := extractKernel(path, j.path(jailKernel)); err != nil {
		return err
	}
	return os.Chown(j.path(jailKernel), j.user, sharedGroup)
}

// copyOut copies a file that Firecracker wrote out of the jail.
func (j *jail) copyOut(name, path string) error {
	source, err := os.OpenFile(j.path(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("read a file that Firecracker wrote: %w", err)
	}
	defer source.Close()
	const maxBytes = 16 << 20 // the state of devices takes some tens of KB
	info, err := source.Stat()
	if err != nil {
		return fmt.Errorf("read a file that Firecracker wrote: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxBytes {
		return fmt.Errorf("the file that Firecracker wrote is %s of %d bytes", info.Mode(), info.Size())
	}
	target, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, io.LimitReader(source, maxBytes))
	return errors.Join(err, target.Close())
}

// openSocket opens the socket's file without connecting, so that later connections
// cannot reach another program's socket at the same path.
func (j *jail) openSocket() (*os.File, error) {
	file, err := os.OpenFile(j.path(jailSocket), unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().Type() != os.ModeSocket {
		err = fmt.Errorf("the socket is %s", info.Mode())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// strip removes the files that only the start needed. Firecracker has those open that it
// goes on using, and a guest that breaks out finds none.
func (j *jail) strip(program string) error {
	return errors.Join(
		j.remove(jailDisk, jailMemory, jailDevices, jailKernel, jailInitramfs, "/"+program, "/"+program+jailPIDFileSuffix),
		j.removeTree(jailDeviceNodes), j.removeTree(jailSocketsPlace))
}

// removeTree removes a directory that the jailer made, without following links out of
// the jail.
func (j *jail) removeTree(name string) error {
	root, err := os.OpenRoot(j.path("/"))
	if err != nil {
		return fmt.Errorf("empty jail: %w", err)
	}
	if err := errors.Join(root.RemoveAll(name), root.Close()); err != nil {
		return fmt.Errorf("empty jail: %w", err)
	}
	return nil
}

// remove removes the files that exist.
func (j *jail) remove(names ...string) error {
	var failures []error
	for _, name := range names {
		if err := os.Remove(j.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			failures = append(failures, fmt.Errorf("empty jail: %w", err))
		}
	}
	return errors.Join(failures...)
}

func (j *jail) close() {
	j.root.Close()
	j.forgetDisk()
}
