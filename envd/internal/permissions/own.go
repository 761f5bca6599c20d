package permissions

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// directoryMode is what a directory gets that was not there before.
const directoryMode = 0o755

// MakeDirectories makes a directory and the parents that it lacks, and gives the
// user those that it made. One that is there already stays whose it is. The path
// is not cleaned: ".." behind a link is where the link leads.
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
		// Another made it meanwhile, or it ends in "..", or it is a link to nothing.
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return Owned(os.Lchown(path, int(u.UID), int(u.GID)))
}

// parentOf cuts the last element off a path; empty when there is only one.
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

// Owned takes the result of giving something away. A file system that keeps no
// owners, or does not let even root choose them, is no reason to fail.
func Owned(err error) error {
	for _, kept := range []error{syscall.EPERM, syscall.EINVAL, syscall.ENOSYS, syscall.EOPNOTSUPP} {
		if errors.Is(err, kept) {
			return nil
		}
	}
	return err
}
