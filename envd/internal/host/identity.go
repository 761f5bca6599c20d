package host

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// Identity is the machine ID, the boot ID and the host name of the guest. They are in the
// snapshot, so clones would share them. The zero value works on the guest's files.
type Identity struct {
	machineID, bootID string // the files that programs read
	directory         string // in memory; only root may enter it
}

// Renew makes both IDs new and gives the machine the sandbox's ID as its name. An empty
// one leaves the name as it is.
func (i Identity) Renew(sandbox id.Sandbox) error {
	i.machineID = cmp.Or(i.machineID, "/etc/machine-id")
	i.bootID = cmp.Or(i.bootID, "/proc/sys/kernel/random/boot_id")
	i.directory = cmp.Or(i.directory, "/run/wrenn")
	failures := []error{i.prepare()}
	uuid := randomUUID()
	failures = append(failures, i.cover(i.machineID, "machine-id", hex.EncodeToString(uuid[:])+"\n"))
	uuid = randomUUID()
	failures = append(failures, i.cover(i.bootID, "boot-id",
		fmt.Sprintf("%x-%x-%x-%x-%x\n", uuid[:4], uuid[4:6], uuid[6:8], uuid[8:10], uuid[10:])))
	if sandbox != "" {
		failures = append(failures, unix.Sethostname([]byte(sandbox)))
	}
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("give the machine an identity of its own: %w", err)
	}
	return nil
}

// prepare makes the directory and mounts proc in it. The kernel lets a user namespace
// mount proc only while another mount of it has no files covered, and rootless
// containers need to mount it.
func (i Identity) prepare() error {
	const onlyRoot = 0o700
	view := filepath.Join(i.directory, "proc")
	if _, err := os.Stat(filepath.Join(view, "self")); err == nil {
		return nil
	}
	if err := os.MkdirAll(view, onlyRoot); err != nil {
		return err
	}
	if err := unix.Mount("proc", view, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", view, err)
	}
	return nil
}

// cover bind-mounts a file with this content, whose length never changes, over another.
// The boot ID cannot be written, and writing the machine ID to the disk would cost each
// clone a copied block.
func (i Identity) cover(path, name, content string) error {
	const readableByAll = 0o444
	own := filepath.Join(i.directory, name)
	file, err := os.OpenFile(own, os.O_WRONLY|os.O_CREATE, readableByAll)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if err := errors.Join(err, file.Chmod(readableByAll), file.Close()); err != nil {
		return err
	}
	covering, err := os.Stat(own)
	if err != nil {
		return err
	}
	covered, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		err = os.WriteFile(path, nil, readableByAll)
	}
	if err != nil {
		return err
	}
	if covered != nil && os.SameFile(covering, covered) {
		return nil
	}
	if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover %s: %w", path, err)
	}
	return nil
}

// randomUUID is a version 4 UUID, which machine IDs are too.
// Source: machine-id(5).
func randomUUID() [16]byte {
	var uuid [16]byte
	_, _ = rand.Read(uuid[:]) // never fails
	const version, variant = 0x40, 0x80
	uuid[6] = uuid[6]&0x0f | version
	uuid[8] = uuid[8]&0x3f | variant
	return uuid
}
