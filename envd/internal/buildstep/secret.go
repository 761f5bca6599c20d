package buildstep

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MountSecret makes standard input a file, in memory, that Unmount removes.
type MountSecret struct {
	Path string `json:"path"`
	// Owner may read it.
	Owner string `json:"owner"`
}

// UnmountSecrets removes the files of secrets, and where they were.
type UnmountSecrets struct {
	Paths []string `json:"paths"`
}

const (
	secretMode     = 0o400
	maxSecretBytes = 1 << 20
)

// do mounts a file system in memory at a directory of its own and then its file at the
// path: nothing of the value is ever on a disk.
func (m MountSecret) do(stdin io.Reader) (_ Result, err error) {
	who, err := findOwner(m.Owner)
	if err != nil {
		return Result{}, err
	}
	value, err := io.ReadAll(io.LimitReader(stdin, maxSecretBytes+1))
	if err != nil {
		return Result{}, err
	}
	if len(value) > maxSecretBytes {
		return Result{}, fmt.Errorf("the secret is larger than %d bytes", maxSecretBytes)
	}
	if err := makeDirectories(filepath.Dir(m.Path), owner{}); err != nil {
		return Result{}, err
	}
	place, err := os.OpenFile(m.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, secretMode)
	if errors.Is(err, fs.ErrExist) {
		return Result{}, fmt.Errorf("the secret cannot be mounted at %s: a file is there", m.Path)
	}
	if err != nil {
		return Result{}, describe(err)
	}
	if err := place.Close(); err != nil {
		return Result{}, err
	}
	directory, err := os.MkdirTemp("/dev/shm", "wrenn-secret-")
	if err != nil {
		return Result{}, errors.Join(err, os.Remove(m.Path))
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	file := filepath.Join(directory, "value")
	if err := os.WriteFile(file, value, secretMode); err != nil {
		return Result{}, errors.Join(err, os.Remove(m.Path))
	}
	if err := os.Chown(file, who.uid, who.gid); err != nil {
		return Result{}, errors.Join(err, os.Remove(m.Path))
	}
	if err := unix.Mount(file, m.Path, "", unix.MS_BIND, ""); err != nil {
		return Result{}, errors.Join(fmt.Errorf("mount the secret at %s: %w", m.Path, err), os.Remove(m.Path))
	}
	return Result{Changed: true}, nil
}

// do removes the empty files, too, that the secrets were mounted over.
func (u UnmountSecrets) do() (Result, error) {
	var failures []error
	for _, path := range u.Paths {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err == nil || errors.Is(err, unix.EINVAL) {
			err = removeIfThere(path)
		}
		if errors.Is(err, unix.ENOENT) {
			err = nil
		}
		failures = append(failures, err)
	}
	return Result{}, errors.Join(failures...)
}
