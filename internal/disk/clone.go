// Package disk keeps the disk images of a host: raw files, cloned by reflink, so that a copy
// takes neither time nor space until it is written to.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrNoReflink is returned by Clone where the file system cannot share blocks.
var ErrNoReflink = errors.New("file system cannot clone files by reflink")

// Clone makes target a copy-on-write copy of source, on the same file system.
// An existing target is an error.
func Clone(source, target string) (err error) {
	from, err := os.Open(source)
	if err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	defer from.Close()
	to, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	defer func() {
		err = errors.Join(err, to.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(target))
		}
	}()
	err = unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EXDEV), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("clone %s: %w", source, ErrNoReflink)
	case err != nil:
		return fmt.Errorf("clone %s: %w", source, err)
	}
	return nil
}

// CloneOrCopy is Clone where the file systems can share blocks, else a copy that keeps holes.
func CloneOrCopy(source, target string) error {
	err := Clone(source, target)
	if !errors.Is(err, ErrNoReflink) {
		return err
	}
	if err := CopySparse(source, target); err != nil {
		return errors.Join(err, RemoveIfThere(target))
	}
	return nil
}

// Renew replaces a file by a clone of it, which no process has open. A process that has
// the old file open goes on writing to that.
func Renew(path string) error {
	temporary := path + ".new"
	if err := Clone(path, temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(fmt.Errorf("renew %s: %w", path, err), os.Remove(temporary))
	}
	return nil
}

// probePrefix starts the names of directories that a killed CanClone leaves.
const probePrefix = ".reflink-"

// CanClone reports whether files in directory can be cloned, by cloning one. The file is
// sparse, because the disk may be full.
func CanClone(directory string) (can bool, err error) {
	probe, err := os.MkdirTemp(directory, probePrefix)
	if err != nil {
		return false, fmt.Errorf("probe for reflink: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(probe)) }()
	source := probe + "/source"
	const probeBytes = 1 << 16
	if err := CreateSparse(source, probeBytes); err != nil {
		return false, fmt.Errorf("probe for reflink: %w", err)
	}
	err = Clone(source, probe+"/clone")
	if errors.Is(err, ErrNoReflink) {
		return false, nil
	}
	return err == nil, err
}

// CreateSparse makes a file of the given size, in bytes, that consists of a hole.
func CreateSparse(path string, size int64) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make sparse file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := file.Truncate(size); err != nil {
		return fmt.Errorf("make sparse file %s: %w", path, err)
	}
	return nil
}

// CopySparse copies a file between file systems and keeps its holes.
func CopySparse(source, target string) (err error) {
	from, err := os.Open(source)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if err := CreateSparse(target, info.Size()); err != nil {
		return err
	}
	to, err := os.OpenFile(target, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := copyData(from, to, info.Size()); err != nil {
		return fmt.Errorf("copy %s to %s: %w", source, target, err)
	}
	return nil
}

// copyData copies each range of data between two holes.
func copyData(from, to *os.File, size int64) error {
	for offset := int64(0); offset < size; {
		start, err := from.Seek(offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return err
		}
		end, err := from.Seek(start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := copyRange(from, to, start, end); err != nil {
			return err
		}
		offset = end
	}
	return nil
}

func copyRange(from, to *os.File, start, end int64) error {
	for _, file := range []*os.File{from, to} {
		if _, err := file.Seek(start, io.SeekStart); err != nil {
			return err
		}
	}
	_, err := io.CopyN(to, from, end-start)
	return err
}

// SyncFile makes the content of a file, or of a directory, durable.
func SyncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	defer file.Close()
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
