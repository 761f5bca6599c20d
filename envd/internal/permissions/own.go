package permissions

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// directoryMode is the mode of new directories.
const directoryMode = 0o755

// MakeDirectories makes a directory and its missing parents, and gives the new ones to the
// user. The path is not cleaned: ".." after a link is the parent of the link's target.
func (u *User) MakeDirectories(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := parentOf(path); parent != "" {
		if err := u.MakeDirectories(parent); err != nil {
			return err
		}
	}
	err = os.Mkdir(path, directoryMode)
	if errors.Is(err, fs.ErrExist) {
		// It was made meanwhile, ends in "..", or is a link to nothing.
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return Owned(os.Lchown(path, int(u.UID), int(u.GID)))
}

// parentOf removes the last element of a path; empty if there is only one.
func parentOf(path string) string {
	end := len(path)
	for end > 0 && path[end-1] == '/' {
		end--
	}
	for end > 0 && path[end-1] != '/' {
		end--
	}
	return path[:end]
}

// Owned ignores errors of chown on file systems that have no owners or do not let root
// change them.
func Owned(err error) error {
	for _, kept := range []error{syscall.EPERM, syscall.EINVAL, syscall.ENOSYS, syscall.EOPNOTSUPP} {
		if errors.Is(err, kept) {
			return nil
		}
	}
	return err
}
