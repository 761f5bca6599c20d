package host

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"
)

// Identity is what tells a machine from others: the IDs of the machine and of
// its boot, and its name. A snapshot holds all three, and clones would share
// them. The zero value works on the machine's own files.
type Identity struct {
	machineID, bootID string // the files that programs read
	directory         string // in memory; only root may enter it
}

// sandboxName is a name of a sandbox that a machine can have.
var sandboxName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Renew makes both IDs new and, where name is one, gives the machine that name.
func (i Identity) Renew(name string) error {
	i.machineID = cmp.Or(i.machineID, "/etc/machine-id")
	i.bootID = cmp.Or(i.bootID, "/proc/sys/kernel/random/boot_id")
	i.directory = cmp.Or(i.directory, "/run/wrenn")
	failures := []error{i.prepare()}
	id := randomUUID()
	failures = append(failures, i.cover(i.machineID, "machine-id", hex.EncodeToString(id[:])+"\n"))
	id = randomUUID()
	failures = append(failures, i.cover(i.bootID, "boot-id",
		fmt.Sprintf("%x-%x-%x-%x-%x\n", id[:4], id[4:6], id[6:8], id[8:10], id[10:])))
	if sandboxName.MatchString(name) {
		failures = append(failures, unix.Sethostname([]byte(name)))
	}
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("give the machine an identity of its own: %w", err)
	}
	return nil
}

// prepare makes the directory, and in it a second view of the kernel's files: the
// kernel lets a user without rights mount another only while one is there that
// nothing covers, and containers without root need to.
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

// cover lays a file with this content, whose length is always the same, over
// another. It is a mount because the kernel's own ID cannot be written, and
// because what each life wrote to the disk would be a copy in each clone.
func (i Identity) cover(path, name, content string) error {
	const everybodyReads = 0o444
	own := filepath.Join(i.directory, name)
	file, err := os.OpenFile(own, os.O_WRONLY|os.O_CREATE, everybodyReads)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if err := errors.Join(err, file.Chmod(everybodyReads), file.Close()); err != nil {
		return err
	}
	ours, err := os.Stat(own)
	if err != nil {
		return err
	}
	theirs, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		err = os.WriteFile(path, nil, everybodyReads)
	}
	if err != nil {
		return err
	}
	if theirs != nil && os.SameFile(ours, theirs) {
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
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	const version, variant = 0x40, 0x80
	id[6] = id[6]&0x0f | version
	id[8] = id[8]&0x3f | variant
	return id
}
